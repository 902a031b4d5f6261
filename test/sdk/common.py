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


def until_idle(looks=1000):
    """Wait until no answer is under way; fail if one still is. Looks are counted, not seconds: a machine that
    stands still is no fault of the server's."""
    for _ in range(looks):
        if not (live := get("/test/live")):
            return
        time.sleep(0.01)
    last = asked()
    raise AssertionError(f"{live} answers are still under way; the latest was asked of {last['Model']!r}, stream: {last.get('Stream')}")


def raises(kind, call, *args, **kwargs):
    """The exception of a call that must fail with it."""
    try:
        call(*args, **kwargs)
    except kind as e:
        return e
    raise AssertionError(f"{kind.__name__} was not raised")


def stub(content_type, *bodies):
    """The address of a server that answers the n-th request with the n-th body: for what a client must not be sent."""
    import http.server
    import threading
    rest = list(bodies)

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = rest.pop(0)
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
