"""A storm of callers who leave, then a look at what they left behind.

Starts the built program with a small real model and few places, and for a while lets a bounded number of
clients do what clients do at their worst: long and short answers, streamed and not, connections cut at
every moment, bodies that are no requests, bodies that stop half way, more callers than the queue has
room for. Then there must be nothing: no sequence, no waiting request, no connection; and a second storm
must not add goroutines, open files or memory to what the first one left. Before and after, one question
has one answer.

    python3 test/soak.py [--seconds 60] [--clients 24] [--seed 1] [--binary bin/galerne] [--model FILE]
"""

import argparse
import collections
import json
import pathlib
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORDS = "wind rain sea harbour lighthouse boat rope tide gull storm sail net sand rock salt oak stone bell night".split()
BAD = [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 20000, b'{"messages":[]}', b'{"messages":"x"}', b'{"messages":[{"role":"king","content":"x"}]}',
       b'{"messages":[{"role":"user","content":"x"}],"temperature":"hot"}', b'{"messages":[{"role":"user","content":"x"}],"n":-1}',
       b'{"model":"nobody","messages":[{"role":"user","content":"x"}]}', b'{"messages":[{"role":"user","content":"' + b"long " * 5000 + b'"}]}']
EXPECTED = {200, 400, 404}  # and 503 from a full queue, and from nothing else


def body(rng):
    """A request of random size, and the path it goes to."""
    prompt = " ".join(rng.choices(WORDS, k=rng.choice([1, 5, 40, 300])))
    r = {"max_tokens": rng.choice([1, 4, 32, 200]), "stream": rng.random() < 0.6, "temperature": rng.choice([0, 1]), "seed": rng.randrange(1000)}
    if rng.random() < 0.2:
        r["n"] = rng.randrange(2, 5)
    if rng.random() < 0.1:
        r["stop"] = [rng.choice(WORDS)]
    if rng.random() < 0.3:
        return "/v1/completions", r | {"prompt": prompt}
    if rng.random() < 0.2:
        r["response_format"] = {"type": "json_schema", "json_schema": {"name": "x", "schema": {
            "type": "object", "properties": {"place": {"type": "string"}, "year": {"type": "integer"}}, "required": ["place", "year"]}}}
    return "/v1/chat/completions", r | {"messages": [{"role": "user", "content": prompt}]}


class Storm:
    def __init__(self, port, seconds, clients, seed):
        self.port, self.end, self.seen, self.faults = port, time.monotonic() + seconds, collections.Counter(), []
        self.lock = threading.Lock()
        threads = [threading.Thread(target=self.client, args=(random.Random(seed * 1000 + i),)) for i in range(clients)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    def client(self, rng):
        while time.monotonic() < self.end:
            try:
                what = self.call(rng)
            except (ConnectionError, TimeoutError, OSError, ValueError, IndexError) as e:
                what = "fault"
                with self.lock:
                    self.faults.append(repr(e))
            with self.lock:
                self.seen[what] += 1
            time.sleep(rng.random() if what == "queue full" else rng.random() / 10)

    def call(self, rng):
        """One request, kept to its end or left at some moment; says what became of it."""
        path, request = body(rng)
        data = rng.choice(BAD) if rng.random() < 0.15 else json.dumps(request).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", self.port), timeout=90) as s:
            way = rng.random()
            if way < 0.05 and data:
                s.sendall(head + data[:rng.randrange(len(data))])
                return "left while asking"
            s.sendall(head + data)
            if way < 0.15:
                if rng.random() < 0.5:  # a reset instead of a polite end
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return "left at once"
            if way < 0.45:
                s.settimeout(rng.choice([0.01, 0.1, 0.5, 2]))
                try:
                    for _ in range(rng.randrange(1, 20)):
                        if not s.recv(256):
                            break
                except TimeoutError:
                    pass
                return "left while reading"
            answer = b""
            while part := s.recv(65536):
                answer += part
        status = int(answer.split(b" ", 2)[1])
        if status == 503 and b"queue_full" in answer and b"Retry-After" in answer:
            return "queue full"
        if status not in EXPECTED:
            raise ValueError(f"status {status}: {answer[-300:]!r}")
        if status == 200 and b"text/event-stream" in answer and b"[DONE]" not in answer:
            raise ValueError(f"a stream without an end: {answer[-300:]!r}")
        return status


class Server:
    def __init__(self, binary, model, home):
        self.log = open(pathlib.Path(home) / "log", "w+")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.process = subprocess.Popen([binary, "--home", home, "serve", model, "--listen", f"127.0.0.1:{self.port}", "--context", "2048",
                                         "--slots", "8", "--queue", "12", "--log", "error"], stdout=self.log, stderr=self.log)

    def get(self, path, data=None):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data, timeout=60) as r:
            return r.read().decode()

    def wait(self):
        for _ in range(300):
            try:
                return self.get("/readyz")
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        sys.exit(f"the server did not start:\n{self.text()}")

    def text(self):
        self.log.flush()
        return (pathlib.Path(self.log.name)).read_text()

    def answer(self):
        r = json.dumps({"prompt": "The lighthouse keeper saw", "max_tokens": 24, "temperature": 0}).encode()
        return json.loads(self.get("/v1/completions", r))["choices"][0]["text"]

    def numbers(self):
        out = collections.Counter()
        for line in self.get("/metrics").splitlines():
            if m := re.match(r"(\w+)(?:\{(.*)\})? (\S+)$", line):
                out[m[1]] += float(m[3])
                if 'end="cancelled"' in (m[2] or ""):
                    out["cancelled"] += float(m[3])
        return out

    def quiet(self, seconds=30):
        """The numbers once nobody is served any more, or the last ones before patience ended."""
        end = time.monotonic() + seconds
        while True:
            n = self.numbers()
            if not any(leftovers(n).values()) or time.monotonic() > end:
                time.sleep(2)  # connections end after their requests
                return self.numbers()
            time.sleep(0.2)


def leftovers(n):
    return {"sequences running": n["galerne_sequences_running"], "requests waiting": n["galerne_requests_waiting"],
            "requests active, besides this one": n["galerne_http_requests_active"] - 1, "KV tokens in use": n["galerne_kv_tokens_used"]}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=float, default=60, help="how long each of the two storms lasts")
    p.add_argument("--clients", type=int, default=24)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--binary", default=str(ROOT / "bin/galerne"))
    p.add_argument("--model", default=str(ROOT / ".deps/models/smollm2-135m.gguf"))
    a = p.parse_args()
    faults, left = [], []
    with tempfile.TemporaryDirectory() as home:
        s = Server(a.binary, a.model, home)
        try:
            s.wait()
            before = s.answer()
            for i in (1, 2):
                storm = Storm(s.port, a.seconds, a.clients, a.seed + i)
                n = s.quiet()
                left.append(n)
                print(f"storm {i}:", ", ".join(f"{what}: {count}" for what, count in storm.seen.most_common()))
                print(f"  left behind: {n['go_goroutines']:.0f} goroutines, {n['process_open_fds']:.0f} open files, {n['process_resident_memory_bytes'] / 1e6:.0f} MB; {n['cancelled']:.0f} answers were cancelled")
                faults += [f"storm {i}: {f}" for f in storm.faults[:10]]
                faults += [f"storm {i} left {v:.0f} {what}" for what, v in leftovers(n).items() if v]
                if not storm.seen[200] or not n["cancelled"]:
                    faults.append(f"storm {i}: {storm.seen[200]} answers, {n['cancelled']:.0f} cancelled: it was no storm")
            first, second = left
            for what, room in (("go_goroutines", 4), ("process_open_fds", 4), ("process_resident_memory_bytes", 48e6)):
                if second[what] > first[what] + room:
                    faults.append(f"{what} grew from {first[what]:.0f} to {second[what]:.0f} over the second storm")
            if (after := s.answer()) != before:
                faults.append(f"the same question was answered {before!r}, and {after!r} after the storms")
            s.get("/readyz")
        finally:
            s.process.terminate()
            try:
                s.process.wait(60)
            except subprocess.TimeoutExpired:
                s.process.kill()
                faults.append("the server did not end within 60 s")
        if "panic" in s.text():
            faults.append("the log has a panic:\n" + s.text()[-4000:])
    for f in faults:
        print("FAIL", f)
    sys.exit(1 if faults else print("ok"))


main()
