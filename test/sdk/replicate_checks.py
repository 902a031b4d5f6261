"""What Replicate's own Python client makes of the Replicate surface."""
import asyncio
import http.server
import json
import os
import threading
import time

os.environ["REPLICATE_POLL_INTERVAL"] = "0.05"
import replicate
from replicate.exceptions import ModelError, ReplicateError
from replicate.webhook import Webhooks

from common import KEYED_URL, URL, asked, raises, stub, until_idle

client = replicate.Client(base_url=URL, api_token="any")
HELLO = "Hello, wörld 🌊."


def until(p, *statuses, seconds=5):
    end = time.monotonic() + seconds
    while p.status not in statuses and time.monotonic() < end:
        time.sleep(0.02)
        p.reload()
    assert p.status in statuses, p.status
    return p


def create(model, c=client, **more):
    return c.models.predictions.create(model="galerne/" + model, input={"prompt": "hi"}, **more)


def test_run_waits_for_the_answer():
    out = client.run("galerne/m", input={"prompt": "hi", "system_prompt": "Be brief.", "max_tokens": 64, "temperature": 0.5, "top_k": 3, "top_p": 0.9,
                                         "stop_sequences": "END,STOP", "seed": 7, "presence_penalty": 0.25})
    assert "".join(out) == HELLO
    r = asked()
    assert [m["Role"] for m in r["Messages"]] == ["system", "user"] and r["MaxTokens"] == 64 and r["Stop"] == ["END", "STOP"]
    assert (r["Sampling"]["Temperature"], r["Sampling"]["TopK"], r["Sampling"]["TopP"], r["Sampling"]["Seed"]) == (0.5, 3, 0.9, 7)


def test_run_of_a_version_is_an_iterator():
    version = client.models.get("galerne/m").latest_version
    out = client.run(f"galerne/m:{version.id}", input={"prompt": "hi"})
    assert not isinstance(out, (str, list)) and list(out) == ["Hello", ", wörld", " 🌊."]


def test_run_polls_where_it_does_not_wait():
    assert "".join(client.run("galerne/m", input={"prompt": "hi"}, wait=False)) == HELLO
    # A wait that is over before the answer: what is not done yet is asked for again.
    assert create("slow", wait=1).status in ("starting", "processing")
    assert "".join(client.run("galerne/slow", input={"prompt": "hi"}, wait=1)) == "At last"


def test_predictions_are_created_reloaded_and_listed():
    p = create("m")
    assert p.status == "starting" and p.model == "galerne/m" and p.output is None
    until(p, "succeeded")
    assert p.output == ["Hello", ", wörld", " 🌊."] and p.metrics["output_token_count"] == 3 and p.error is None and p.completed_at
    assert client.predictions.get(p.id).output == p.output
    assert client.predictions.list().results[0].id == p.id


def test_streams_say_what_whole_answers_say():
    events = list(client.stream("galerne/m", input={"prompt": "hi"}))
    assert [e.event.value for e in events] == ["output"] * 3 + ["done"]
    assert "".join(str(e) for e in events) == HELLO and events[-1].data == "{}"
    p = create("m")
    assert "".join(str(e) for e in p.stream()) == HELLO


def test_many_pages_of_a_list():
    made = [create("m").id for _ in range(105)]  # a page has 100
    seen, pages, page = [], 0, client.predictions.list()
    while True:
        seen, pages = seen + [p.id for p in page.results], pages + 1
        if page.next is None:
            break
        page = client.predictions.list(page.next)
    assert pages > 1 and len(seen) == len(set(seen)) and seen[:len(made)] == made[::-1]  # the latest first


def test_a_cancelled_prediction():
    p = until(create("hangs"), "processing")
    p.cancel()
    assert p.status == "canceled" and p.completed_at
    until_idle()


def test_a_prediction_that_fails():
    e = raises(ModelError, client.run, "galerne/breaks", input={"prompt": "hi"})
    assert e.prediction.status == "failed" and "secret" not in str(e)
    raises(RuntimeError, list, client.stream("galerne/breaks", input={"prompt": "hi"}))


def test_models_and_versions():
    names = [f"{m.owner}/{m.name}" for m in client.models.list().results]
    assert names == ["galerne/m", "org/m:q4"]
    m = client.models.get("galerne/m")
    assert m.latest_version.openapi_schema["components"]["schemas"]["Input"]["required"] == ["prompt"]
    assert [v.id for v in m.versions.list().results] == [m.latest_version.id] and m.versions.get(m.latest_version.id).cog_version
    assert client.accounts.current().username == "galerne" and client.hardware.list()[0].sku == "cpu" and client.collections.list().results == []


def test_deployments_are_models():
    p = client.deployments.predictions.create("galerne/m", input={"prompt": "hi"})
    assert until(p, "succeeded").output


def test_errors_are_problems():
    e = raises(ReplicateError, client.models.get, "meta/llama")
    assert e.status == 404 and e.title == "Not Found" and "meta/llama" in e.detail
    e = raises(ReplicateError, client.run, "galerne/m", input={"prompt": "hi", "max_tokens": 0})
    assert e.status == 422 and "max_tokens" in e.detail
    e = raises(ReplicateError, client.trainings.get, "x")
    assert e.status == 404 and "trained" in e.detail
    e = raises(ReplicateError, client.predictions.get, "x")
    assert e.status == 404


def test_keys():
    assert create("m", c=replicate.Client(base_url=KEYED_URL, api_token="right")).id
    assert raises(ReplicateError, create, "m", c=replicate.Client(base_url=KEYED_URL, api_token="wrong")).status == 401


def test_the_prefix():
    c = replicate.Client(base_url=URL + "/replicate", api_token="any")
    assert "".join(c.run("galerne/m", input={"prompt": "hi"})) == HELLO
    assert "".join(str(e) for e in c.stream("galerne/m", input={"prompt": "hi"})) == HELLO


def test_webhooks_pass_their_validation():
    heard = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    p = create("m", webhook=f"http://127.0.0.1:{server.server_port}/hook", webhook_events_filter=["completed"])
    until(p, "succeeded")
    end = time.monotonic() + 5
    while not heard and time.monotonic() < end:
        time.sleep(0.02)
    server.shutdown()
    headers, text = heard[0]
    headers = {k.lower(): v for k, v in headers.items()}
    secret = client.webhooks.default.secret()
    Webhooks.validate(headers=headers, body=text, secret=secret)
    raises(ValueError, Webhooks.validate, headers=headers, body=text + " ", secret=secret)
    assert json.loads(text)["id"] == p.id and json.loads(text)["status"] == "succeeded" and len(heard) == 1


async def test_async_clients():
    answers = await asyncio.gather(*(client.async_run("galerne/m", input={"prompt": "hi"}) for _ in range(4)))
    assert {"".join(a) for a in answers} == {HELLO}
    assert "".join([str(e) async for e in await client.async_stream("galerne/m", input={"prompt": "hi"})]) == HELLO


def test_what_the_client_must_not_be_sent():
    base = {"id": "x", "model": "o/m", "version": "v", "input": {}, "output": None, "logs": "", "error": None, "metrics": {}, "created_at": None, "started_at": None,
            "completed_at": None}
    send = lambda status: json.dumps({**base, "status": status, "urls": {}}).encode()
    for status in ("queued", "aborted"):
        raises(ValueError, replicate.Client(base_url=stub("application/json", send(status)), api_token="x").predictions.get, "x")
    without = {k: v for k, v in base.items() if k != "version"}
    raises(ValueError, replicate.Client(base_url=stub("application/json", json.dumps({**without, "status": "starting"}).encode()), api_token="x").predictions.get, "x")
    events = stub("text/event-stream", b"event: output\ndata: lost\n\nevent: done\nid: 2\ndata: {}\n\n")
    p = create("m")
    p.urls["stream"] = events + "/stream"
    assert [e.event.value for e in p.stream()] == ["done"]  # what has no id is dropped
    p.urls["stream"] = stub("text/event-stream", b": ping\n\nevent: output\nid: 1\ndata: a\n\n") + "/stream"
    assert [e.event.value for e in p.stream()] == ["output"]  # nobody misses the end: so our tests look for it
