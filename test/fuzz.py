#!/usr/bin/env python3
"""Run every fuzz target of the checkout for a while, one after the other, and sum up.

  fuzz.py [--seconds 60] [--match WORDS] [--parallel 1] [--list] [--json]

An input that fails is kept by Go below the package's testdata/fuzz, where `go test` runs it from then on: mend the
code and commit the input. Exits 1 if a target fails, 2 if there is none.
"""
import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = re.compile(r"^func (Fuzz\w+)\(\w+ \*testing\.F\)", re.MULTILINE)
BUILD = 600  # seconds that a target may take beyond its time: to build, and to try its seeds


def targets():
    """All fuzz targets as (package folder, name)."""
    found = []
    for folder, below, files in os.walk(ROOT):
        below[:] = [d for d in below if d[0] not in "._" and d not in ("testdata", "node_modules")]
        for name in files:
            if name.endswith("_test.go"):
                text = (Path(folder) / name).read_text(encoding="utf-8")
                found += [("./" + Path(folder).relative_to(ROOT).as_posix(), t) for t in TARGET.findall(text)]
    return sorted(found)


def run(package, name, seconds, parallel):
    command = ["go", "test", package, "-run", f"^{name}$", "-fuzz", f"^{name}$", "-fuzztime", f"{seconds}s",
               "-fuzzminimizetime", "200x", "-parallel", str(parallel)]  # else a slow target minimizes most of its time
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds + BUILD)
        output, ok = done.stdout, done.returncode == 0
    except subprocess.TimeoutExpired as late:
        output, ok = (late.stdout or b"").decode(errors="replace") + f"\nstopped after {seconds + BUILD} s: it hangs\n", False
    execs = re.findall(r"execs: (\d+)", output)
    grown = re.findall(r"new interesting: (\d+)", output)
    return {"package": package, "target": name, "ok": ok, "execs": int(execs[-1]) if execs else 0,
            "new": int(grown[-1]) if grown else 0, "output": "" if ok else output[-4000:]}


def main():
    ask = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ask.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    ask.add_argument("--match", default="", help="only targets whose package or name contains this")
    ask.add_argument("--parallel", type=int, default=1, help="workers (default 1)")
    ask.add_argument("--list", action="store_true", help="only name the targets")
    ask.add_argument("--json", action="store_true", help="print the summary as JSON")
    want = ask.parse_args()
    if want.seconds < 1 or want.parallel < 1:
        ask.error("--seconds and --parallel start at 1")
    chosen = [(p, n) for p, n in targets() if want.match.lower() in f"{p} {n}".lower()]
    if not chosen:
        print(f"fuzz: no target matches {want.match!r}", file=sys.stderr)
        return 2
    if want.list:
        print(json.dumps([{"package": p, "target": n} for p, n in chosen]) if want.json else "\n".join(f"{p} {n}" for p, n in chosen))
        return 0
    results = []
    for i, (package, name) in enumerate(chosen):
        print(f"fuzz: {i + 1} of {len(chosen)}: {package} {name}, {want.seconds} s", file=sys.stderr, flush=True)
        results.append(run(package, name, want.seconds, want.parallel))
        if not results[-1]["ok"]:
            print(results[-1]["output"], file=sys.stderr, flush=True)
    if want.json:
        print(json.dumps(results, indent=1))
    else:
        for r in results:
            print(f"{'ok  ' if r['ok'] else 'FAIL'} {r['execs']:>10} runs {r['new']:>5} new  {r['package']} {r['target']}")
    return 0 if all(r["ok"] for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
