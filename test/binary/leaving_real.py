"""Official clients that leave a server of one place: leaving_real.py URL"""
import contextlib
import json
import sys
import threading
import time
import urllib.request

import anthropic
import openai

URL = sys.argv[1]
client = openai.OpenAI(base_url=URL + "/v1", api_key="unused", max_retries=0)
other = anthropic.Anthropic(base_url=URL, api_key="unused", max_retries=0)
STORY = {"model": "smollm2-135m", "messages": [{"role": "user", "content": "Write a very long story about the sea."}]}


def metric(name, *labels):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(URL + "/metrics", timeout=10) as r:
        lines = r.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + "{", name + " ")) and all(label in line for label in labels))


def running():
    return metric("galerne_sequences_running")


def waiting():
    return metric("galerne_requests_waiting")


def within_a_second(what, ok):
    """Looks are counted, not seconds: a machine that stands still is no fault of the server's."""
    for _ in range(100):
        if ok():
            return
        time.sleep(0.01)
    raise AssertionError(f"{what}: {running()} running, {waiting()} waiting")


@contextlib.contextmanager
def cancelled():
    """What happens inside cancels one answer, and frees its place within a second."""
    count = lambda: metric("galerne_model_answers_total", 'end="cancelled"')
    before, at_work = count(), running()
    yield
    within_a_second("one was cancelled", lambda: count() == before + 1)
    within_a_second("the place is free", lambda: running() == at_work and waiting() == 0)


def timed_out(call, *kinds):
    try:
        call()
    except kinds:
        return
    raise AssertionError("it was answered")


def tell(c=client, **more):
    return c.chat.completions.create(**STORY, max_tokens=4000, temperature=0, extra_body={"ignore_eos": True}, **more)


def test_a_stream_that_is_closed():
    with cancelled():
        s = tell(stream=True)
        next(iter(s))
        assert running() == 1
        s.close()


def test_a_whole_answer_that_nobody_waits_for():
    with cancelled():
        timed_out(lambda: tell(client.with_options(timeout=1)), openai.APITimeoutError)


@contextlib.contextmanager
def busy():
    """The server's one place is taken inside, by answers one after another, since one may be written within seconds.
    Gives how many pieces came so far."""
    first = tell(stream=True, n=8)
    next(iter(first))
    read, enough = [0], threading.Event()

    def read_on():
        for _ in first:
            read[0] += 1
            if enough.is_set():
                return first.close()

    reader = threading.Thread(target=read_on)
    reader.start()  # what is not read does not go on
    try:
        yield lambda: read[0]
    finally:
        enough.set()
        reader.join()


def test_callers_who_leave_the_queue():
    with busy() as pieces:
        leave_the_queue(pieces)
    within_a_second("it has ended", lambda: running() == 0)


def leave_the_queue(pieces):
    impatient = client.with_options(timeout=1)
    for stream in (False, True):
        with cancelled():
            call = threading.Thread(target=timed_out, args=(lambda: list(tell(impatient, stream=True)) if stream else tell(impatient), openai.APITimeoutError))
            call.start()
            within_a_second("one waits", lambda: waiting() == 1)
            call.join()
    with cancelled():
        timed_out(lambda: other.with_options(timeout=1).messages.create(**STORY, max_tokens=4000), anthropic.APITimeoutError)
    seen = pieces()
    within_a_second("the answer that runs goes on", lambda: running() == 1 and pieces() > seen)


def test_who_waits_hears_that_the_server_lives():
    ask = {"model": STORY["model"], "messages": [{"role": "user", "content": "What is the capital of France? Answer in one word."}], "temperature": 0, "max_tokens": 40}
    whole = client.chat.completions.create(**ask).choices[0].message.content
    with client.chat.completions.with_streaming_response.create(**ask, stream=True) as free:
        assert not any(line.startswith(":") for line in free.iter_lines())
    with contextlib.ExitStack() as place:
        place.enter_context(busy())
        with client.chat.completions.with_streaming_response.create(**ask, stream=True) as waits:
            lines = waits.iter_lines()
            assert next(lines) == ": keep-alive" and waiting() == 1  # after ten seconds, in silence up to then
            place.close()
            text = [json.loads(line[6:])["choices"][0]["delta"].get("content") or "" for line in lines if line.startswith("data: {")]
    assert "".join(text) == whole and "Paris" in whole


def test_another_vendors_client_leaves():
    with cancelled(), other.messages.stream(**STORY, max_tokens=4000) as s:
        next(iter(s))
    with cancelled():
        timed_out(lambda: other.with_options(timeout=1).messages.create(**STORY, max_tokens=4000), anthropic.APITimeoutError)


if __name__ == "__main__":
    from checks import run
    run(globals(), at_once=1)
