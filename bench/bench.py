#!/usr/bin/env python3
"""Measures this machine: galerne alone, or beside llama.cpp in the same run.

    python3 bench/bench.py                 the built binary's numbers
    python3 bench/bench.py --peers         builds llama.cpp if needed and measures both in turn
    python3 bench/bench.py --table FILE    only rewrites the table from a result

Programs run one after the other, ours and theirs in turn (A B A B), so that a machine that slows down
slows both; each number is the median of all rounds, and the lowest and highest are kept beside it. The
result goes to bench/results/<date>-<processor>.json, the table to bench/README.md.

Needs bin/galerne (make build) and the models of .deps/models (make deps). Standard library only.
"""
import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "bench" / "README.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"

# What a number should be, as a multiple of the peer's.
TARGETS = {
    "smollm2-135m": {"prompt 512": 3, "prompt 2048": 3, "generate": 1.15, "batch 16": 6},
    "qwen2.5-coder-0.5b": {"prompt 512": 4, "generate": 1.4, "batch 16": 5},
}
PROMPTS, ANSWER, BATCHES = (512, 2048), 128, (4, 16, 32)


class Failed(Exception):
    """A program did not do its work: says which, and what it wrote."""


def run(args, timeout):
    """The standard output of a program."""
    try:
        done = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"{args[0]} did not end within {timeout} s: is the machine busy?")
    except OSError as e:
        raise Failed(f"{args[0]} cannot be run: {e.strerror}")
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, args))} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def ours(binary, model, threads, batches, timeout):
    """One round of galerne: measurement -> tokens a second (or seconds, bytes)."""
    def bench(prompt, batch):
        return json.loads(run([binary, "bench", model, "--json", "--runs", 1, "--threads", threads, "--prompt", prompt,
                               "--generate", ANSWER, "--batch", ",".join(map(str, batch))], timeout))
    first = bench(PROMPTS[0], (1,) + batches)
    out = {f"prompt {PROMPTS[0]}": first["prompt_tokens_per_s"]}
    for prompt in PROMPTS[1:]:
        out[f"prompt {prompt}"] = bench(prompt, (1,))["prompt_tokens_per_s"]
    out |= {"generate": first["generate_tokens_per_s"],
            "load s": first["load_s"], "peak bytes": first["peak_rss_bytes"], "bandwidth bytes/s": first["bandwidth_bytes_per_s"]}
    for b in first["batch"]:
        if b["n"] > 1:
            out[f"batch {b['n']}"] = b["generate_tokens_per_s"]
    return out


def theirs(folder, model, threads, batches, timeout):
    """One round of llama.cpp, under the same names."""
    out = {}
    for test in json.loads(run([folder / "llama-bench", "-m", model, "-t", threads, "-r", 1, "-o", "json",
                                "-p", ",".join(map(str, PROMPTS)), "-n", ANSWER], timeout)):
        name = f"prompt {test['n_prompt']}" if test["n_prompt"] else "generate"
        out[name] = test["avg_ts"]
    if batches:
        rows = run([folder / "llama-batched-bench", "-m", model, "-t", threads, "-c", (ANSWER + 16) * max(batches),
                    "-npp", 16, "-ntg", ANSWER, "-npl", ",".join(map(str, batches)), "--output-format", "jsonl"], timeout)
        for line in rows.splitlines():
            if line.startswith("{"):
                row = json.loads(line)
                out[f"batch {row['pl']}"] = row["speed_tg"]
    return out


def medians(rounds):
    """Measurement -> {median, low, high} over rounds."""
    names = {name: None for r in rounds for name in r}
    out = {}
    for name in names:
        values = [r[name] for r in rounds if name in r]
        out[name] = {"median": statistics.median(values), "low": min(values), "high": max(values), "runs": len(values)}
    return out


def cpu():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def flags():
    """What of the processor matters here."""
    wanted = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8", "amx_bf16", "asimddp", "i8mm")
    try:
        words = set(re.findall(r"[a-z0-9_]+", Path("/proc/cpuinfo").read_text()))
    except OSError:
        return []
    return [w for w in wanted if w in words]


def commit():
    try:
        text = run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], 10).strip()
        dirty = run(["git", "-C", ROOT, "status", "--porcelain", "--untracked-files=no"], 10).strip()
        return text + ("+changes" if dirty else "")
    except Failed:
        return "unknown"


def load():
    """How busy the machine is with other things, as its one-minute average."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def measure(o, peers):
    result = {"date": time.strftime("%Y-%m-%d"), "cpu": cpu(), "flags": flags(), "cpus": os.cpu_count(), "threads": o.threads,
              "commit": commit(), "runs": o.runs, "answer_tokens": ANSWER, "load_before": load(), "models": {}}
    for name in o.models:
        model = ROOT / ".deps" / "models" / f"{name}.gguf"
        if not model.exists():
            raise Failed(f"{model} is missing: run make deps")
        a, b = [], []
        for i in range(o.runs):
            say(f"{name}, round {i + 1} of {o.runs}")
            a.append(ours(o.binary, model, o.threads, o.batches, o.timeout))
            if peers:
                b.append(theirs(peers, model, o.threads, o.batches, o.timeout))
        entry = {"galerne": medians(a)}
        if peers:
            entry["llama.cpp"] = medians(b)
            entry["ratio"] = {k: v["median"] / entry["llama.cpp"][k]["median"] for k, v in entry["galerne"].items() if k in entry["llama.cpp"]}
        result["models"][name] = entry
    result["load_after"] = load()
    return result


def table(result):
    """The result in Markdown, shortfalls said plainly."""
    lines = [f"Measured {result['date']} at commit {result['commit']}: {result['cpu']} ({', '.join(result['flags'])}), "
             f"{result['threads']} threads of {result['cpus']} CPUs, medians of {result['runs']}.", ""]
    if (result.get("load_before") or 0) > 0.5:
        lines += [f"**The machine was busy with other work (load {result['load_before']:.1f} before): take the ratios with care.**", ""]
    lines += ["| model | what | galerne | llama.cpp | ratio | target | |", "|---|---|---|---|---|---|---|"]
    short = []
    for model, entry in result["models"].items():
        for name, value in entry["galerne"].items():
            if not name.startswith(("prompt", "generate", "batch")):
                continue
            peer = entry.get("llama.cpp", {}).get(name)
            ratio, target = entry.get("ratio", {}).get(name), TARGETS.get(model, {}).get(name)
            verdict = ""
            if ratio is not None and target is not None:
                verdict = "reached" if ratio >= target else "**short**"
                if ratio < target:
                    short.append(f"{model}, {name}: {ratio:.2f}× where {target}× is the target.")
            what = {"p": "prompt of {} tokens", "g": "one answer", "b": "{} answers at once"}[name[0]].format(name.split()[-1])
            lines.append(f"| {model} | {what} | {value['median']:.0f} | {peer['median'] if peer else float('nan'):.0f} | "
                         f"{f'{ratio:.2f}×' if ratio else ''} | {f'{target}×' if target else ''} | {verdict} |".replace("nan", ""))
    lines += ["", "Tokens a second. " + " ".join(
        f"{model}: loaded in {e['galerne']['load s']['median']:.2f} s, at most {e['galerne']['peak bytes']['median'] / 2**20:.0f} MiB resident, "
        f"memory read at {e['galerne']['bandwidth bytes/s']['median'] / 1e9:.1f} GB/s." for model, e in result["models"].items())]
    if any("ratio" in e for e in result["models"].values()):
        lines += ["", "Short of its target: " + (" ".join(short) if short else "nothing that was measured here.")]
    return "\n".join(lines)


def write_table(result):
    text = README.read_text()
    head, rest = text.split(BEGIN, 1)
    README.write_text(head + BEGIN + "\n" + table(result) + "\n" + END + rest.split(END, 1)[1])


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--peers", action="store_true", help="measure llama.cpp beside us, building it first if needed")
    p.add_argument("--models", type=lambda s: s.split(","), default=list(TARGETS), help="names in .deps/models, without .gguf")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--runs", type=int, default=5, help="rounds, of which the median counts (default 5)")
    p.add_argument("--batches", type=lambda s: tuple(int(n) for n in s.split(",") if n), default=BATCHES, help="answers at once; '' for none")
    p.add_argument("--timeout", type=int, default=1800, help="seconds that one program may take")
    p.add_argument("--binary", type=Path, default=ROOT / "bin" / "galerne")
    p.add_argument("--table", type=Path, metavar="FILE", help="write the table from this result and measure nothing")
    o = p.parse_args()
    if o.runs < 1 or o.threads < 1 or any(n < 2 for n in o.batches):
        p.error("--runs and --threads are at least 1, --batches at least 2 each")
    return o


def main():
    o = options()
    try:
        if o.table:
            write_table(json.loads(o.table.read_text()))
            return
        peers = None
        if o.peers:
            say("looking for llama.cpp (the first build takes about ten minutes)")
            peers = Path(run(["bash", ROOT / "bench" / "build_llama_cpp.sh"], 7200).strip().splitlines()[-1])
        result = measure(o, peers)
    except Failed as e:
        sys.exit(f"bench: {e}")
    except (ValueError, KeyError) as e:
        sys.exit(f"bench: a program's output is not what was expected: {e!r}")
    slug = re.sub(r"[^a-z0-9]+", "-", result["cpu"].lower().replace("(r)", "").replace("(tm)", "")).strip("-")
    path = ROOT / "bench" / "results" / f"{result['date']}-{slug}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    if peers:
        write_table(result)
    print(table(result))
    say(f"written: {path.relative_to(ROOT)}" + (" and the table in bench/README.md" if peers else ""))


if __name__ == "__main__":
    main()
