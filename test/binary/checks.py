"""Runs the test_* functions of a program of checks, all or those whose name has its second argument."""
import sys
from concurrent.futures import ThreadPoolExecutor


def together(*calls):
    """What the calls give, in their order, all made at once: a server writes many answers in little more time than one,
    and each is what it would be alone."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(lambda call: call(), calls))


def run(everything, at_once=4):
    """Functions that look at what the whole server does are run with at_once=1."""
    names = [n for n in sorted(everything) if n.startswith("test_") and (len(sys.argv) < 3 or sys.argv[2] in n)]

    def passes(name):
        try:
            everything[name]()
        except Exception as e:
            print(f"FAILED {name} {type(e).__name__} {str(e)[:1500]}\n", end="", flush=True)
            return False
        print(f"ok {name}\n", end="", flush=True)
        return True

    with ThreadPoolExecutor(at_once) as pool:
        failed = list(pool.map(passes, names)).count(False)
    if failed:
        raise SystemExit(f"{failed} of {len(names)} checks failed")
    print(f"{len(names)} checks passed")
