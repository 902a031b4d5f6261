"""What rounding costs: mean divergence from the float32 weights, galerne's and llama.cpp's."""
import json
import re
import tempfile
from pathlib import Path

import models
from parts import Pair, Part, nothing_open
from programs import Failed, run

TEXT = models.ROOT / "test" / "testdata" / "constitution.txt"
CHUNK, CHUNKS = 512, 4  # tokens; the second half of each chunk is compared


def open_rounding(setting, model):
    path, exact = models.file_of(model), models.exact_of(model)

    def divergence(*more):
        text = run([setting.binary, "inspect", "divergence", path, "--exact", exact, "--context", CHUNK, "--chunks", CHUNKS, "--threads", setting.threads, *more],
                   setting.timeout, stdin=TEXT.read_text())
        return json.loads(text)

    def ours(i):
        got, written = divergence(), divergence("--deterministic")
        return {"mean divergence": got["mean_divergence"], "error": got["mean_error"], "same first": got["same_first"], "perplexity": got["perplexity"],
                "written divergence": written["mean_divergence"], "written error": written["mean_error"]}

    def theirs(i):
        with tempfile.TemporaryDirectory(dir=models.folder()) as place:
            base = Path(place) / "logits"
            perplexity(setting, exact, "--kl-divergence-base", base)
            return read_divergence(perplexity(setting, path, "--kl-divergence-base", base, "--kl-divergence", wanted="Mean    KLD"))

    return nothing_open(Pair(ours, theirs if setting.peers else None))


# Both programs give the same numbers every time: one round.
PARTS = (Part("rounding", (models.SMALL, models.HALF), open_rounding, most=1),)


def perplexity(setting, path, *more, wanted="Final estimate"):
    """What llama-perplexity writes; its last lines are sometimes lost, so that it may run three times."""
    for _ in range(3):
        text = run([setting.peers / "llama-perplexity", "-m", path, "-f", TEXT, "-c", CHUNK, "-t", setting.threads, "--chunks", CHUNKS, *more],
                   setting.timeout, errors=True)
        if wanted in text:
            return text
    raise Failed(f"llama-perplexity gave no line with {wanted!r}: {text[-1000:]}")


def read_divergence(text):
    found = {"mean divergence": re.search(r"Mean +KLD: +([-0-9.]+)", text), "error": re.search(r"Mean +KLD: .*± +([0-9.]+)", text),
             "same first": re.search(r"Same top p: +([0-9.]+)", text),
             "perplexity": re.search(r"Mean PPL\(Q\) +: +([0-9.]+)", text)}
    out = {name: float(m[1]) for name, m in found.items() if m}
    if "same first" in out:
        out["same first"] /= 100
    return out
