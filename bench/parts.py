"""What a part of the measurements is, and its rounds: ours and theirs in turn.

A part has a name, the models that it measures, and open(setting, model), a context manager that gives a
Pair of functions: one round of ours, one of theirs (None where there is nothing to compare with). A round
takes its number and gives {measurement: value}; targets.py says what each measurement means.
"""
import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Optional

import machine
from programs import Failed, say

# A machine that is left alone takes a few hundredths of a CPU for itself.
BUSY = 0.15


@dataclass(frozen=True)
class Setting:
    binary: Path                # galerne
    peers: Optional[Path]       # the folder of llama.cpp's programs; None: galerne alone
    threads: int
    runs: int
    timeout: int                # seconds that one program, or one answer, may take


@dataclass(frozen=True)
class Pair:
    ours: Callable
    theirs: Optional[Callable] = None
    extra: Callable = dict      # what is kept beside the measurements, asked after the last round


@dataclass(frozen=True)
class Part:
    name: str
    models: Iterable[str]
    open: Callable
    most: int = 1000            # rounds at most
    least: int = 1
    large: bool = False         # only where it is asked for


def measure(part, model, setting):
    """All rounds of one part on one model, as they are kept in the result."""
    others, begin = machine.Others(), time.monotonic()
    runs = max(part.least, min(setting.runs, part.most))
    ours, theirs = [], []
    with part.open(setting, model) as pair:
        for i in range(runs):
            say(f"{part.name}, {model}: round {i + 1} of {runs}")
            ours.append(pair.ours(i))
            if pair.theirs:
                theirs.append(pair.theirs(i))
        extra = pair.extra()
    entry = {"date": time.strftime("%Y-%m-%d %H:%M"), "threads": setting.threads, "runs": runs,
             "seconds": round(time.monotonic() - begin), "others": others.asked(), "galerne": medians(ours)}
    if theirs:
        entry["llama.cpp"] = medians(theirs)
    if (entry["others"] or 0) > BUSY:
        say(f"{part.name}, {model}: other programs took {entry['others']:.2f} CPUs meanwhile; the table will say so")
    return entry | extra


def medians(rounds):
    """Measurement -> {median, low, high, runs} over rounds, in the first round's order."""
    out = {}
    for name in {name: None for r in rounds for name in r}:
        values = [r[name] for r in rounds if r.get(name) is not None]
        if values:
            out[name] = {"median": statistics.median(values), "low": min(values), "high": max(values), "runs": len(values)}
    return out


@contextmanager
def nothing_open(pair):
    """The context of a part whose rounds start and end their own programs."""
    yield pair


def part_of(name, parts):
    for p in parts:
        if p.name == name:
            return p
    raise Failed(f"there is no part {name}: there are {', '.join(p.name for p in parts)}")
