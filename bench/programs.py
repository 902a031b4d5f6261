"""Programs under test: run to their end, or as servers on a port of this machine alone."""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request


class Failed(Exception):
    """A program did not do its work: says which, and what it wrote."""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def shown(args):
    return " ".join(map(str, args))


def run(args, timeout, stdin=None, errors=False):
    """The standard output of a program, with errors its standard error behind it."""
    try:
        done = subprocess.run([str(a) for a in args], input=stdin, capture_output=True, encoding="utf-8", errors="replace", timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"{shown(args)} did not end within {timeout} s: is the machine busy? --timeout gives it longer")
    except OSError as e:
        raise Failed(f"{args[0]} cannot be run: {e.strerror}")
    if done.returncode != 0:
        raise Failed(f"{shown(args)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout + (done.stderr if errors else "")


class Server:
    """A server that is started, used and ended: `with Server([binary, "serve", ..., "{port}"]) as s`.

    args may have {port}, a free port, and {home}, an empty folder, in any word. begun is the moment
    (time.perf_counter) at which the process was started.
    """

    def __init__(self, args, timeout=120):
        self.args, self.timeout = args, timeout

    def __enter__(self):
        self.home = tempfile.TemporaryDirectory(prefix="galerne-bench-")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.args = [str(a).replace("{port}", str(self.port)).replace("{home}", self.home.name) for a in self.args]
        env = {k: v for k, v in os.environ.items() if not k.startswith(("GALERNE_", "LLAMA_"))}
        self.log = tempfile.TemporaryFile("w+", errors="replace")
        self.begun = time.perf_counter()
        try:
            self.process = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=env)
        except OSError as e:
            self.home.cleanup()
            raise Failed(f"{self.args[0]} cannot be run: {e.strerror}")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.home.cleanup()

    def failed(self, why):
        """The error that says why, with the end of what the server wrote."""
        self.log.flush()
        self.log.seek(0)
        return Failed(f"{shown(self.args)}: {why}\n{self.log.read()[-2000:]}")

    def wait(self, path, pattern=""):
        """Waits until a GET of path is answered with 200 and a text in which the pattern is found."""
        end = time.monotonic() + self.timeout
        while time.monotonic() < end:
            self.alive()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                    if answer.status == 200 and re.search(pattern, answer.read().decode(errors="replace")):
                        return self
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(0.05)
        raise self.failed(f"is not ready after {self.timeout} s")

    def alive(self):
        if self.process.poll() is not None:
            raise self.failed(f"ended with {self.process.returncode}")

    def peak_bytes(self):
        """The most memory that the process had resident so far; None if the system does not tell."""
        try:
            with open(f"/proc/{self.process.pid}/status") as f:
                for line in f:
                    if line.startswith("VmHWM:"):
                        return int(line.split()[1]) * 1024
        except OSError:
            pass
        return None


def json_of(args, timeout):
    """The JSON value that a program prints."""
    text = run(args, timeout)
    try:
        return json.loads(text)
    except ValueError:
        raise Failed(f"{shown(args)} printed no JSON: {text[:500]}")
