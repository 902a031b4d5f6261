"""What a measurement would be at its machine's limits: the memory's bandwidth, the arithmetic unit, the disk, as they were meanwhile.

Of a profile each kind of work takes its share of the time, and was at some part of the memory's and of its unit's limit: at the nearer
one it would take that part of its time. Work without a limit (norms, choosing tokens, waiting) stays as it is.
"""
from serving import ANSWERS

SPEEDS = {"prompt 512": "prompt", "generate": "generate", "batch 16": "batch"}


def possible(result, row, model):
    """The row's number for the model at the limits; None where no limits were measured."""
    entry = result["parts"][row.part][model]
    value = median(entry, "galerne", row.name)
    if row.beside:
        if not (theirs := median(entry, "llama.cpp", row.name)):
            return None
        value /= theirs
    if row.part == "speed" and row.name in SPEEDS:
        part = left(entry, SPEEDS[row.name])
        return part and value / part
    if row.part == "server" and row.beside:
        part = left_of_chats(result, entry, model)
        return part and (value / part if row.more else value * part)
    if row.part == "large" and row.name == "generate":
        disk, read, waited = (median(entry, "galerne", name) for name in ("disk MB/s", "MB from disk a token", "s waited a token"))
        return disk and read and max(disk / read / theirs, 1 / waited / theirs if waited else 0, value)
    return None


def left(entry, what):
    """The part of the time of a prompt, an answer or a batch that would be left."""
    profile = entry.get("profile", {})
    if "limits" not in profile or what not in profile:
        return None
    return 1 - sum(share * (1 - min(1, max(memory, unit))) for _, share, memory, unit in profile[what] if memory or unit)


def left_of_chats(result, entry, model):
    """The same of chats, which are prompts and a batch of answers: each as long as its speed alone makes it."""
    speed = result["parts"].get("speed", {}).get(model)
    if not speed or model not in ANSWERS:
        return None
    parts = left(speed, "prompt"), left(speed, "batch")
    rates = median(speed, "galerne", "prompt 512"), median(speed, "galerne", "batch 16")
    tokens = median(entry, "galerne", "prompt tokens"), ANSWERS[model]
    if None in parts + rates + tokens:
        return None
    took = [n / rate for n, rate in zip(tokens, rates)]
    return sum(t * part for t, part in zip(took, parts)) / sum(took)


def median(entry, program, name):
    return entry.get(program, {}).get(name, {}).get("median")
