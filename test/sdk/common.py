"""What the checks of every vendor share."""
import json
import os
import time
import urllib.request

URL = os.environ["GALERNE_TEST_URL"]
KEYED_URL = os.environ["GALERNE_TEST_KEYED_URL"]  # a server whose one key is "right"


def get(path):
    """The test server's answer about itself, as JSON."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(URL + path, timeout=10) as r:
        return json.load(r)


def asked():
    """The latest request, in Galerne's own words."""
    return get("/test/asked")


def until_idle(seconds=10):
    """Wait until no answer is under way; fail if one still is."""
    end = time.monotonic() + seconds
    while (live := get("/test/live")) and time.monotonic() < end:
        time.sleep(0.01)
    assert live == 0, f"{live} answers are still under way"


def raises(kind, call, *args, **kwargs):
    """The exception of a call that must fail with it."""
    try:
        call(*args, **kwargs)
    except kind as e:
        return e
    raise AssertionError(f"{kind.__name__} was not raised")
