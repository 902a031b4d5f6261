"""What Anthropic's own Python client makes of the Anthropic surface."""
import asyncio
import os
import time

import anthropic
from pydantic import BaseModel

from common import KEYED_URL, URL, asked, get, raises, until_idle

OLD = int(anthropic.__version__.split(".")[0]) == 0
client = anthropic.Anthropic(base_url=URL, api_key="any", max_retries=0)
HI = [{"role": "user", "content": "hi"}]
TOOLS = [{"name": n, "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}} for n in ("weather", "clock")]


def say(model, **more):
    return client.messages.create(**{"model": model, "messages": HI, "max_tokens": 64, **more})


def stream(model, **more):
    return client.messages.stream(**{"model": model, "messages": HI, "max_tokens": 64, **more})


def test_a_plain_answer():
    m = say("plain", system="Be brief.", stop_sequences=["END"], extra_body={"temperature": 0.5, "top_k": 3})
    assert [b.type for b in m.content] == ["text"] and m.content[0].text == "Hello, wörld 🌊." and m.stop_reason == "end_turn"
    assert m.id.startswith("msg_") and m.model == "plain" and m.role == "assistant" and m.stop_sequence is None
    assert (m.usage.input_tokens, m.usage.cache_read_input_tokens, m.usage.output_tokens) == (3, 2, 3)
    assert m._request_id.startswith("req_")
    r = asked()
    assert r["Messages"][0]["Role"] == "system" and r["MaxTokens"] == 64 and r["Stop"] == ["END"]
    assert r["Sampling"]["Temperature"] == 0.5 and r["Sampling"]["TopK"] == 3


def test_the_order_of_events():
    with stream("thinks") as s:
        names = [e.type for e in s]
    raw = [n for n in names if n not in ("text", "thinking", "signature", "input_json")]
    assert raw == ["message_start",
                   "content_block_start", "content_block_delta", "content_block_delta", "content_block_delta", "content_block_stop",
                   "content_block_start", "content_block_delta", "content_block_stop",
                   "message_delta", "message_stop"], raw
    with stream("tools", tools=TOOLS) as s:
        indexes = [e.index for e in s if e.type == "content_block_start"]
    assert indexes == [0, 1]


def same(model, **more):
    whole = say(model, **more)
    with stream(model, **more) as s:
        for _ in s:
            pass
        streamed = s.get_final_message()
    a, b = whole.model_dump(), streamed.model_dump()
    for one in (a, b):
        one["content"] = [{k: v for k, v in c.items() if v is not None and not k.startswith("parsed")} for c in one["content"]]
        one.pop("usage")
    assert a == b, (a, b)
    assert whole.usage.output_tokens == streamed.usage.output_tokens and whole.usage.input_tokens == streamed.usage.input_tokens
    return whole


def test_streamed_and_whole_answers_are_one():
    for model in ("plain", "thinks", "short", "refuses", "tools"):
        same(model)
    assert same("short").stop_reason == "max_tokens" and same("refuses").stop_reason == "refusal"


def test_two_calls_of_tools():
    m = same("tools", tools=TOOLS, tool_choice={"type": "any", "disable_parallel_tool_use": True})
    assert m.stop_reason == "tool_use" and [(c.type, c.id, c.name, c.input) for c in m.content] == [
        ("tool_use", "toolu_1", "weather", {"city": "Brest"}), ("tool_use", "toolu_2", "clock", {})]
    assert asked()["ToolChoice"]["Mode"] == 2 and asked()["ParallelTools"] is False


def test_results_of_tools_go_back():
    first = say("tools", tools=TOOLS)
    results = [{"type": "tool_result", "tool_use_id": c.id, "content": "sunny"} for c in first.content]
    say("plain", messages=[*HI, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}], tools=TOOLS)
    parts = [p for m in asked()["Messages"] for p in m["Parts"] if p["CallID"]]
    assert [(p["CallID"], p["Name"], p["Text"]) for p in parts] == [("toolu_1", "weather", "sunny"), ("toolu_2", "clock", "sunny")]


def test_the_helper_that_runs_tools():
    if not hasattr(client.beta.messages, "tool_runner"):
        return
    calls = []

    @anthropic.beta_tool
    def weather(city: str) -> str:
        """The weather of a city."""
        calls.append(city)
        return "sunny"

    runner = client.beta.messages.tool_runner(model="weather_once", messages=HI, max_tokens=64, tools=[weather], max_iterations=1)
    for message in runner:
        assert message.stop_reason == "tool_use"
    assert calls == ["Brest"]


def test_reasoning_makes_the_round_trip():
    m = same("thinks", max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1024})
    think, text = m.content
    assert think.thinking == "Let me see." and think.signature and text.text == "42"
    assert asked()["Reasoning"] == {"Enabled": True, "Effort": "", "Budget": 1024}
    for shown in (m, say("thinks", extra_body={"thinking": {"type": "adaptive", "display": "omitted"}})):
        say("plain", messages=[*HI, {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in shown.content]}, *HI])
        assert [p["Text"] for p in asked()["Messages"][1]["Parts"]] == ["Let me see.", "42"]


def test_an_answer_is_continued():
    say("plain", messages=[*HI, {"role": "assistant", "content": "So"}])
    assert asked()["Messages"][-1]["Prefix"]


def test_tokens_are_counted_as_they_are_used():
    n = client.messages.count_tokens(model="m", messages=[{"role": "user", "content": "four"}], system="and five").input_tokens
    assert n == 12


def test_structured_answers():
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    m = say("person", extra_body={"output_config": {"format": {"type": "json_schema", "schema": schema}}})
    assert m.content[0].text == '{"name": "Ann", "age": 7}' and asked()["Format"]["Strict"] and asked()["Format"]["Schema"] == schema


class Person(BaseModel):
    name: str
    age: int


def test_parsed_answers():
    m = client.messages.parse(model="person", messages=HI, max_tokens=64, output_format=Person)
    assert m.parsed_output == Person(name="Ann", age=7) and asked()["Format"]["Strict"]
    assert asked()["Format"]["Schema"]["properties"]["age"]["type"] == "integer"


def test_models():
    assert [m.id for m in client.models.list(limit=1)] == ["m", "org/m:q4"]  # two pages
    assert client.models.retrieve("org/m:q4").id == "org/m:q4"
    assert raises(anthropic.NotFoundError, client.models.retrieve, "nope").status_code == 404


def test_betas_are_taken_as_they_come():
    m = client.beta.messages.create(model="plain", messages=HI, max_tokens=64, betas=["something-2031-01-01"])
    assert m.content[0].text == "Hello, wörld 🌊."
    assert client.beta.messages.count_tokens(model="m", messages=HI).input_tokens == 2
    for version in ("2023-06-01", "2026-10-21", "2031-01-01"):  # a version is no reason to refuse
        assert say("plain", extra_headers={"anthropic-version": version}).stop_reason == "end_turn"


def test_both_forms_of_credentials():
    for credential in ({"api_key": "right"}, {"auth_token": "right"}, {"api_key": None, "default_headers": {"X-Api-Key": "right"}},
                       {"api_key": None, "default_headers": {"Authorization": "Bearer right"}}):
        for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
            os.environ.pop(name, None)
        assert anthropic.Anthropic(base_url=KEYED_URL, max_retries=0, **credential).models.list().data
    e = raises(anthropic.AuthenticationError, anthropic.Anthropic(base_url=KEYED_URL, api_key="wrong", max_retries=0).models.list)
    assert e.body["error"]["type"] == "authentication_error" and "wrong" not in str(e)


def test_errors_are_the_right_exceptions():
    for model, kind, status, word in (
            ("too_long", anthropic.BadRequestError, 400, "invalid_request_error"),
            ("nope", anthropic.NotFoundError, 404, "not_found_error"),
            ("limited", anthropic.RateLimitError, 429, "rate_limit_error"),
            ("quota", anthropic.APIStatusError, 402, "billing_error"),
            ("denied", anthropic.PermissionDeniedError, 403, "permission_error"),
            ("large", anthropic.APIStatusError if OLD else anthropic.RequestTooLargeError, 413, "request_too_large"),
            ("late", anthropic.APIStatusError if OLD else anthropic.DeadlineExceededError, 504, "timeout_error"),
            ("down", anthropic.InternalServerError, 503, "api_error"),
            ("busy", anthropic.APIStatusError if OLD else anthropic.OverloadedError, 529, "overloaded_error")):
        for ask in (say, lambda model: say(model, stream=True)):
            e = raises(kind, ask, model)
            assert e.status_code == status and e.body["error"]["type"] == word and e.body["request_id"] == e.request_id, (model, e.body)
    assert "prompt is too long" in str(raises(anthropic.BadRequestError, say, "too_long"))
    e = raises(anthropic.BadRequestError, say, "plain", extra_body={"temperature": 9})
    assert "temperature is 9" in str(e)
    e = raises(anthropic.NotFoundError, client.beta.files.list)
    assert "keeps no files" in str(e) and e.body["error"]["type"] == "not_found_error"
    e = raises(anthropic.NotFoundError, client.get, "/v1/sessions", cast_to=object)
    assert e.body["error"]["type"] == "not_found_error"


def params(model):
    return {"model": model, "max_tokens": 9, "messages": HI}


def wait(batch, seconds=20):
    end = time.monotonic() + seconds
    while batch.processing_status != "ended" and time.monotonic() < end:
        time.sleep(0.05)
        batch = client.messages.batches.retrieve(batch.id)
    assert batch.processing_status == "ended", batch
    return batch


def test_batches_come_to_their_results():
    batch = client.messages.batches.create(requests=[{"custom_id": m, "params": params(m)} for m in ("plain", "tools", "nope")])
    assert batch.id.startswith("msgbatch_") and batch.request_counts.processing == 3
    batch = wait(batch)
    assert (batch.request_counts.succeeded, batch.request_counts.errored) == (2, 1) and batch.results_url.startswith(URL)
    results = {r.custom_id: r.result for r in client.messages.batches.results(batch.id)}
    assert results["plain"].message.content[0].text == "Hello, wörld 🌊." and results["tools"].message.content[0].input == {"city": "Brest"}
    assert results["nope"].type == "errored" and results["nope"].error.error.type == "not_found_error"
    assert batch.id in [b.id for b in client.messages.batches.list(limit=1)]
    assert client.messages.batches.delete(batch.id).type == "message_batch_deleted"
    raises(anthropic.NotFoundError, client.messages.batches.retrieve, batch.id)


def test_batches_are_cancelled():
    batch = client.messages.batches.create(requests=[{"custom_id": "a", "params": params("hangs")}])
    assert client.messages.batches.cancel(batch.id).cancel_initiated_at
    batch = wait(batch)
    assert batch.request_counts.canceled == 1 and [r.result.type for r in client.messages.batches.results(batch.id)] == ["canceled"]
    until_idle()


def test_an_error_in_the_middle_of_a_stream():
    e = raises(anthropic.APIStatusError, list, say("breaks", stream=True))
    assert "api_error" in str(e) and "secret" not in str(e)


def test_limits_are_told():
    limited = anthropic.Anthropic(base_url=KEYED_URL, api_key="limited", max_retries=0)
    raws = [limited.messages.with_raw_response.create(model="plain", messages=HI, max_tokens=9) for _ in range(2)]
    assert raws[0].headers["anthropic-ratelimit-requests-limit"] == "3" and raws[0].headers["anthropic-ratelimit-tokens-reset"].endswith("Z")
    assert int(raws[1].headers["anthropic-ratelimit-input-tokens-remaining"]) < 1000


def test_busy_servers_are_tried_again_and_used_up_budgets_are_not():
    eager = client.with_options(max_retries=2, base_url=URL + "/test/try/anthropic/busy/2")
    assert eager.messages.create(model="plain", messages=HI, max_tokens=9).stop_reason == "end_turn"
    assert get("/test/tries/anthropic") == ["0", "1", "2"]
    eager = client.with_options(max_retries=2, base_url=URL + "/test/try/anthropic_quota/busy/0")
    raises(anthropic.APIStatusError, eager.messages.create, model="quota", messages=HI, max_tokens=9)
    assert get("/test/tries/anthropic_quota") == ["0"]


def test_who_leaves_frees_the_slot():
    s = say("hangs", stream=True)
    assert next(iter(s)).type == "message_start" and get("/test/live") == 1
    s.close()
    until_idle()
    for model in ("hangs_early", "hangs"):
        raises(anthropic.APITimeoutError, client.with_options(timeout=0.3).messages.create, model=model, messages=HI, max_tokens=9)
        until_idle()


def test_pings_are_passed_over():
    with client.messages.with_streaming_response.create(model="slow_start", messages=HI, max_tokens=9, stream=True) as r:
        lines = list(r.iter_lines())
    at = lines.index("event: ping")
    assert lines[at + 1] == 'data: {"type":"ping"}'
    with stream("slow_start") as s:
        assert s.get_final_text() == "At last"


def test_the_prefix_and_a_doubled_version():
    for base in ("/anthropic", "/anthropic/v1", "/v1"):
        c = anthropic.Anthropic(base_url=URL + base, api_key="any", max_retries=0)
        assert c.messages.create(model="plain", messages=HI, max_tokens=9).content[0].text == "Hello, wörld 🌊."


async def test_async_clients():
    c = anthropic.AsyncAnthropic(base_url=URL, api_key="any")
    answers = await asyncio.gather(*(c.messages.create(model="plain", messages=HI, max_tokens=9) for _ in range(8)))
    assert {a.content[0].text for a in answers} == {"Hello, wörld 🌊."}


def trapped(name):
    """What the client makes of a stream that this server must not send."""
    c = anthropic.Anthropic(base_url=URL + "/test/raw/" + name, api_key="any", max_retries=0)
    with c.messages.stream(model="m", messages=HI, max_tokens=9) as s:
        return s.get_final_message()


def test_traps_are_still_there():
    failing = {"anthropic_no_event_lines", "anthropic_no_start_usage", "anthropic_no_delta_usage", "anthropic_no_block_start", "anthropic_named_done"}
    failed = set()
    for name in failing:
        try:
            trapped(name)
        except Exception:
            failed.add(name)
    assert failed == failing - ({"anthropic_named_done"} if OLD else set()), failed
    assert trapped("anthropic_no_stop").content[0].text == "a"  # Python's client does without; Node's fails
    for no_effect in ("anthropic_done", "anthropic_retry"):
        assert trapped(no_effect).content[0].text == "a", no_effect
