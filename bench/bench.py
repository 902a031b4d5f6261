#!/usr/bin/env python3
"""Measures this machine: galerne alone, or beside llama.cpp in the same run.

    python3 bench/bench.py                        the built binary's numbers
    python3 bench/bench.py --peers                builds llama.cpp if needed and measures both in turn
    python3 bench/bench.py --peers --parts server,prefix --models smollm2-135m
    python3 bench/bench.py --peers --large        also a file that is larger than memory (28 GB, made once)
    python3 bench/bench.py --peers --only avx2    as though this processor had nothing better than that, for both
    python3 bench/bench.py --table                only rewrites the tables from the results

Programs take turns, ours and theirs (A B A B), so that a machine that slows down slows both; each number is
the median of all rounds, and the lowest and highest are kept beside it. The result goes to
bench/results/<date>-<processor>-<its best unit>.json, where a part that is measured again on that day replaces itself
alone, and with --peers the tables of all machines, of the latest result of each part, to bench/README.md.

    speed      prompts, one answer, 16 answers at once (galerne bench, llama-bench, llama-batched-bench)
    server     16 chats at once: tokens a second, first token, longest pause
    drawn      the same with tokens drawn by temperature, top-k, top-p and min-p
    prefix     16 chats that share 2,000 tokens: the later ones' first token
    guess      answers that quote or edit what they read, with guesses and without
    load       a 4 GB file: first token after the start of the process, most memory
    schema     16 answers at once, held to a JSON schema or not
    rounding   divergence from the float32 weights
    large      a file larger than memory (--large)

Needs bin/galerne (make build) and .deps (make deps). Larger files are made once in
${XDG_CACHE_HOME:-~/.cache}/galerne-bench: 3.9 GB of Mixtral's shape, 3.1 GB of float32 weights. Standard
library only.
"""
import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

import machine
import models
import rounding
import serving
import speed
import table
from parts import Setting, measure, part_of
from programs import Failed, run, say

README = models.ROOT / "bench" / "README.md"
BINARY = models.ROOT / "bin" / "galerne"
RESULTS = models.ROOT / "bench" / "results"
PARTS = speed.PARTS[:1] + serving.PARTS + rounding.PARTS + speed.PARTS[1:]


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda s: [n for n in s.split(",") if n]
    p.add_argument("--peers", action="store_true", help="measure llama.cpp beside us, building it first if needed (ten minutes)")
    p.add_argument("--parts", type=names, help=f"only these of {','.join(part.name for part in PARTS)}")
    p.add_argument("--models", type=names, help="only these; default: all, the made ones where the disk has room")
    p.add_argument("--large", action="store_true", help="the part large too, whose file takes 28 GB of disk; left out, and told, where it has no room")
    p.add_argument("--only", choices=machine.LESS, help="as though this processor had no better unit for products: ours and llama.cpp without the others; a result of its own")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--runs", type=int, default=5, help="rounds, of which the median counts (default 5)")
    p.add_argument("--timeout", type=int, default=900, help="seconds that one program or one answer may take (default 900)")
    p.add_argument("--binary", type=Path, default=BINARY)
    p.add_argument("--table", action="store_true", help="write the tables from the results and measure nothing")
    o = p.parse_args()
    if o.runs < 1 or o.threads < 1 or o.timeout < 1:
        p.error("--runs, --threads and --timeout are at least 1")
    return o


def chosen(o):
    """[(part, model)] to be measured, in order."""
    parts = [part_of(name, PARTS) for name in o.parts] if o.parts else [p for p in PARTS if o.large or not p.large]
    work = [(p, m) for p in parts for m in p.models if not o.models or m in o.models]
    if not work:
        raise Failed(f"no part that was chosen measures {', '.join(o.models)}: they measure {', '.join(dict.fromkeys(m for p in parts for m in p.models))}")
    out = []
    for p, m in work:
        if o.models or models.room_for(m):
            out.append((p, m))
        else:
            say(f"{p.name}, {m}: left out, the disk of {models.folder()} has no room for {models.MADE[m][1] / 1e9:.1f} GB")
    return out


def peers(o):
    if not o.peers:
        return None
    say("looking for llama.cpp (the first build takes about ten minutes)")
    return Path(run(["bash", models.ROOT / "bench" / "build_llama_cpp.sh", o.only or "native"], 7200).strip().splitlines()[-1])


def result_file(only):
    """Today's result of this processor: its path, and what is in it so far."""
    path = RESULTS / f"{time.strftime('%Y-%m-%d')}-{machine.name(only)}.json"
    facts = {"cpu": machine.cpu(only), "flags": machine.flags(only), "cpus": os.cpu_count(), "memory_bytes": machine.memory()}
    return path, facts | {"parts": read_result(path)["parts"] if path.exists() else {}}


def latest(folder):
    """For each machine the latest result of each part and model, whatever the day; the machine measured last first."""
    machines = {}
    for path in sorted(folder.glob("*.json")):
        result = read_result(path)
        name = path.name[len("2026-11-29-"):]
        for part, entries in machines.get(name, {"parts": {}})["parts"].items():
            result["parts"][part] = entries | result["parts"].get(part, {})
        machines[name] = result | {"parts": in_order(result["parts"]), "measured": (path.name[:10], path.stat().st_mtime)}
    return sorted(machines.values(), key=lambda r: r["measured"], reverse=True)


def in_order(parts):
    order = {p.name: i for i, p in enumerate(PARTS)}
    return dict(sorted(parts.items(), key=lambda item: order.get(item[0], len(order))))


def read_result(path):
    try:
        result = json.loads(path.read_text())
        result["parts"]
        return result
    except OSError as e:
        raise Failed(f"{path}: {e.strerror}")
    except (ValueError, KeyError, TypeError) as e:
        raise Failed(f"{path} is no result of this program ({e!r})")


def keep(result, part, model, entry, path):
    """Puts one entry into the result, in place of an older one of the same part and model, and saves it."""
    result["parts"].setdefault(part, {})[model] = entry
    result["parts"] = in_order(result["parts"])
    path.parent.mkdir(exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps(result, indent=1) + "\n")
    draft.replace(path)


def main():
    o = options()
    if o.table:
        table.write(latest(RESULTS), README)
        return 0
    begin, failures = time.monotonic(), []
    if not o.binary.exists():
        raise Failed(f"{o.binary} is missing: run make build")
    if o.binary == BINARY and (source := machine.newer(models.ROOT, BINARY)):
        raise Failed(f"bin/galerne is older than {source}: run make build, or name the binary to be measured with --binary")
    work = chosen(o)
    if o.only:
        machine.turn_off(o.only)
    setting = Setting(o.binary.resolve(), peers(o), o.threads, o.runs, o.timeout)
    path, result = result_file(o.only)
    for part, model in work:
        try:
            entry = measure(part, model, setting)
        except (Failed, ValueError, KeyError) as e:  # the other parts' numbers are not lost for it
            why = str(e) if isinstance(e, Failed) else f"a program's output is not what was expected: {e!r}"
            failures.append(f"{part.name}, {model}: {why}")
            say(f"NOT MEASURED: {failures[-1]}")
            continue
        keep(result, part.name, model, entry | {"commit": machine.commit(models.ROOT)}, path)
    if result["parts"]:
        print(table.table(result))
        if setting.peers:
            table.write(latest(RESULTS), README)
    say(f"{(time.monotonic() - begin) / 60:.0f} minutes; {path.relative_to(models.ROOT)}" + (" and the tables in bench/README.md" if setting.peers else ""))
    for f in failures:
        say(f"NOT MEASURED: {f}")
    return 1 if failures else 0


def stopped(*_):
    """Ends as at Ctrl-C, so that servers under test are ended too."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stopped)
    try:
        sys.exit(main())
    except Failed as e:
        sys.exit(f"bench: {e}")
    except KeyboardInterrupt:
        sys.exit("bench: stopped; the parts that were whole are kept")
