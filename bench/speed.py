"""Prompts, one answer, many answers: `galerne bench` beside llama-bench and llama-batched-bench."""
import json

import disk
import models
from parts import Pair, Part, nothing_open
from programs import Failed, json_of, run

ANSWER = 128
# Prompts in tokens, answers at once (None: not measured).
WORK = {
    models.SMALL: ((512, 2048), 16),
    models.HALF: ((512, 2048), 16),
    models.MIXTRAL: ((512,), None),
}
MEMORY = 16  # GiB that galerne may take for the file that is larger than memory
FEW = 8      # tokens of an answer there


def open_speed(setting, model):
    path, (prompts, batch) = models.file_of(model), WORK[model]
    profile = {}

    def ours(i):
        last = i == setting.runs - 1
        got = bench(setting, path, prompts[0], ANSWER, batch, *(["--profile"] if last else []))
        out = {f"prompt {prompts[0]}": got["prompt_tokens_per_s"]}
        for prompt in prompts[1:]:
            out[f"prompt {prompt}"] = bench(setting, path, prompt, 2, None)["prompt_tokens_per_s"]
        out |= {"generate": got["generate_tokens_per_s"], "bandwidth share": bandwidth_share(got)}
        out |= {f"batch {b['n']}": b["generate_tokens_per_s"] for b in got["batch"] if b["n"] > 1}
        out |= {"bandwidth GB/s": got["bandwidth_bytes_per_s"] / 1e9, "MB read a token": got["bytes_per_token"] / 1e6, "load s": got["load_s"]}
        if last:
            profile.update(profile=short_profile(got["profile"]))
        return out

    def theirs(i):
        return llama_bench(setting, path, prompts, ANSWER) | (llama_batches(setting, path, batch) if batch else {})

    return nothing_open(Pair(ours, theirs if setting.peers else None, lambda: profile))


def open_large(setting, model):
    path = models.file_of(model)

    def ours(i):
        got = bench(setting, path, 1, FEW, None, "--memory", f"{MEMORY}GiB")
        return {"generate": got["generate_tokens_per_s"], "peak GiB": got["peak_rss_bytes"] / 2**30} | residency(got) | disk.speed(path)

    def theirs(i):
        # Left to itself it repacks 21 GB into memory of its own, and the system kills it.
        return llama_bench(setting, path, (), FEW, "-lm", "mmap", "--repack", 0)

    return nothing_open(Pair(ours, theirs if setting.peers else None))


PARTS = (Part("speed", tuple(WORK), open_speed), Part("large", (models.HUGE,), open_large, large=True))


def bench(setting, path, prompt, answer, batch, *more):
    """What galerne bench prints."""
    return json_of([setting.binary, "bench", path, "--json", "--runs", 1, "--threads", setting.threads, "--prompt", prompt,
                    "--generate", answer, "--batch", f"1,{batch}" if batch else "1", *more], setting.timeout)


def bandwidth_share(got):
    return got["generate_tokens_per_s"] * got["bytes_per_token"] / got["bandwidth_bytes_per_s"]


def short_profile(profile):
    """[kind of work, share of the time, of the memory's bandwidth, of the unit's operations] of the longest few."""
    whats = [what for what in ("prompt", "generate", "batch") if what in profile]
    return {what: [[w["name"], w["share"], w["bandwidth_share"], w["unit_share"]] for w in profile[what]["work"][:6]] for what in whats} | {
        "limits": {what: profile[what]["limits"] for what in whats}}


def residency(got):
    """What writing did for the experts that are not all in memory."""
    experts = got["experts"]
    use = experts["generate"]
    return {"hit rate": use["hit_rate"], "experts kept": experts["kept"] / experts["count"], "MB from disk a token": use["bytes_read_per_token"] / 1e6,
            "s waited a token": use["wait_per_token_s"]}


def llama_bench(setting, path, prompts, answer, *options):
    """One round of llama-bench, under our names. It warms up before each test, as galerne bench does."""
    rows = json_of([setting.peers / "llama-bench", "-m", path, "-t", setting.threads, "-r", 1, "-o", "json",
                    "-p", ",".join(map(str, prompts)) or 0, "-n", answer, *options], setting.timeout)
    return {f"prompt {row['n_prompt']}" if row["n_prompt"] else "generate": row["avg_ts"] for row in rows}


def llama_batches(setting, path, batch):
    """One round of llama-batched-bench: answers at once behind prompts of 16 tokens."""
    text = run([setting.peers / "llama-batched-bench", "-m", path, "-t", setting.threads, "-c", (ANSWER + 16) * batch,
                "-npp", 16, "-ntg", ANSWER, "-npl", batch, "--output-format", "jsonl"], setting.timeout)
    for line in text.splitlines():
        if line.startswith("{"):
            return {f"batch {batch}": json.loads(line)["speed_tg"]}
    raise Failed(f"llama-batched-bench printed no result for {batch} answers: {text[-500:]}")
