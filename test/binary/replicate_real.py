"""The official replicate client against real models: replicate_real.py URL"""
import os
import sys
import time

os.environ["REPLICATE_POLL_INTERVAL"] = "0.05"
import replicate
from replicate.exceptions import ReplicateError

client = replicate.Client(base_url=sys.argv[1], api_token="unused")
SMALL = "galerne/smollm2-135m"
CAPITAL = {"prompt": "What is the capital of France? Answer in one word.", "temperature": 0, "max_tokens": 60}
STORY = {"prompt": "Tell me a story about a wind, with é, 日本 and 🎉.", "temperature": 0, "max_tokens": 60}


def settled(p):
    for _ in range(1200):
        if p.status in ("succeeded", "failed", "canceled"):
            return p
        time.sleep(0.05)
        p.reload()
    raise AssertionError(p.status)


def test_run_waits_and_polls():
    for wait in (True, False):
        assert "Paris" in "".join(client.run(SMALL, input=CAPITAL, wait=wait))
    version = client.models.get(SMALL).latest_version
    assert "Paris" in "".join(client.run(f"{SMALL}:{version.id}", input=CAPITAL))


def test_streams_say_what_whole_answers_say():
    p = settled(client.models.predictions.create(model=SMALL, input=STORY))
    events = list(client.stream(SMALL, input=STORY))
    assert "".join(str(e) for e in events if e.event.value == "output") == "".join(p.output) and events[-1].event.value == "done"
    assert p.metrics["output_token_count"] == 60 and p.metrics["predict_time"] > 0 and client.predictions.get(p.id).output == p.output


def test_a_prediction_is_cancelled():
    p = client.models.predictions.create(model=SMALL, input={**STORY, "max_tokens": 4000, "temperature": 1, "min_tokens": 4000})
    while p.status == "starting":
        p.reload()
    p.cancel()
    assert settled(p).status == "canceled" and p.completed_at


def test_what_cannot_be_is_refused():
    for model, more, status in (("galerne/nobody", CAPITAL, 404), (SMALL, {**CAPITAL, "temperature": -1}, 422)):
        try:
            client.models.predictions.create(model=model, input=more)
        except ReplicateError as e:
            assert e.status == status, e
        else:
            raise AssertionError(status)


if __name__ == "__main__":
    from checks import run
    run(globals())
