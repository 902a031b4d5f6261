"""Runs the test_* functions of a program of checks, all or those whose name has its second argument."""
import sys


def run(everything):
    names = [n for n in sorted(everything) if n.startswith("test_") and (len(sys.argv) < 3 or sys.argv[2] in n)]
    failed = 0
    for name in names:
        try:
            everything[name]()
            print("ok", name, flush=True)
        except Exception as e:
            failed += 1
            print("FAILED", name, type(e).__name__, str(e)[:1500], flush=True)
    if failed:
        raise SystemExit(f"{failed} of {len(names)} checks failed")
    print(f"{len(names)} checks passed")
