"""Run the test_* functions of files, say how each went, and fail if one did.

python run.py FILE.py... [NAME...]   with GALERNE_TEST_URL and GALERNE_TEST_KEYED_URL set
"""
import importlib.util
import inspect
import asyncio
import sys
import time
import traceback
from pathlib import Path


def main():
    files, wanted = [Path(a) for a in sys.argv[1:] if a.endswith(".py")], [a for a in sys.argv[1:] if not a.endswith(".py")]
    sys.path.insert(0, str(Path(__file__).parent))
    checks = []
    for file in files:
        spec = importlib.util.spec_from_file_location(file.stem, file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        checks += vars(module).items()
    passed, failed = 0, []
    for name, check in checks:
        if not name.startswith("test_") or wanted and name not in wanted:
            continue
        began = time.monotonic()
        try:
            result = check()
            if inspect.isawaitable(result):
                asyncio.run(result)
            passed += 1
            print(f"ok    {name} ({time.monotonic() - began:.2f} s)", flush=True)
        except BaseException:
            failed.append(name)
            print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
    if failed:
        sys.exit(f"{len(failed)} checks failed: {', '.join(failed)}")
    print(f"{passed} checks passed")


if __name__ == "__main__":
    main()
