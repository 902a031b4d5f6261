"""Loads an OpenAI-compatible server with streamed answers and takes their times.

Tokens are counted from the usage that the server reports, never from the pieces that come.
"""
import http.client
import json
import threading
import time
from dataclasses import dataclass

from programs import Failed


@dataclass
class Answer:
    """One streamed answer; moments are time.perf_counter's, in seconds."""
    begin: float          # the request is about to be sent
    first: float          # the first piece of text
    last: float           # the last
    stall: float          # the longest pause between two pieces
    prompt_tokens: int
    tokens: int
    text: str


def request(prompt, tokens, **more):
    """A greedy chat of exactly so many tokens, if the server knows ignore_eos."""
    return {"model": "default", "messages": [{"role": "user", "content": prompt}], "max_tokens": tokens, "temperature": 0,
            "stream": True, "stream_options": {"include_usage": True}, **more}


def ask(port, body, timeout, path="/v1/chat/completions"):
    """One answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    begin = time.perf_counter()
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        with connection.getresponse() as response:
            if response.status != 200:
                raise Failed(f"port {port}{path}: HTTP {response.status}: {response.read(500).decode(errors='replace')}")
            return read(response, begin)
    except (OSError, http.client.HTTPException) as e:
        raise Failed(f"port {port}{path}: {e!r} after {time.perf_counter() - begin:.0f} s")
    finally:
        connection.close()


def read(lines, begin):
    """The answer in server-sent events."""
    first = last = None
    stall, usage, text = 0.0, {}, []
    for line in lines:
        if not line.startswith(b"data: {"):
            continue
        event, now = json.loads(line[6:]), time.perf_counter()
        if event.get("error"):
            raise Failed(f"an answer broke off: {event['error']}")
        usage = event.get("usage") or usage
        choice = (event.get("choices") or [{}])[0]
        piece = choice.get("delta", {}).get("content") or choice.get("text")
        if not piece:
            continue
        if first is None:
            first = now
        else:
            stall = max(stall, now - last)
        last = now
        text.append(piece)
    if first is None or not usage:
        raise Failed(f"an answer had {len(text)} pieces of text and the usage {usage}: it cannot be measured")
    return Answer(begin, first, last, stall, usage["prompt_tokens"], usage["completion_tokens"], "".join(text))


def together(port, bodies, timeout):
    """The answers of requests that are sent at once, each by a thread of its own."""
    answers, errors = [None] * len(bodies), []
    gate = threading.Barrier(len(bodies))

    def one(i):
        gate.wait()
        try:
            answers[i] = ask(port, bodies[i], timeout)
        except Exception as e:  # told by the caller's thread
            errors.append(e)

    threads = [threading.Thread(target=one, args=(i,), daemon=True) for i in range(len(bodies))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
    return answers


def need_tokens(answers, tokens):
    """Refuses answers that are shorter than was asked for: they would be compared with longer ones."""
    for a in answers:
        if a.tokens != tokens:
            raise Failed(f"an answer has {a.tokens} tokens where {tokens} were asked for: {a.text[-200:]!r}")
