"""What OpenAI's own Python client makes of the OpenAI surface."""
import asyncio
import contextlib
import json
import math
import time

import openai
from pydantic import BaseModel

from common import KEYED_URL, URL, asked, get, raises, until_idle

client = openai.OpenAI(base_url=URL + "/v1", api_key="any", max_retries=0)
HI = [{"role": "user", "content": "hi"}]
TOOLS = [{"type": "function", "function": {"name": n, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}
         for n in ("weather", "clock")]


def chat(model, **more):
    return client.chat.completions.create(model=model, messages=HI, **more)


def test_a_plain_answer():
    c = chat("plain", temperature=0.5, seed=7)
    assert c.choices[0].message.content == "Hello, wörld 🌊." and c.choices[0].finish_reason == "stop"
    assert c.usage.total_tokens == c.usage.prompt_tokens + c.usage.completion_tokens == 8
    assert c.usage.prompt_tokens_details.cached_tokens == 2 and c.model == "plain" and c.id.startswith("chatcmpl-")
    assert asked()["Sampling"]["Temperature"] == 0.5 and asked()["Sampling"]["Seed"] == 7


def test_headers_name_the_request():
    raw = client.chat.completions.with_raw_response.create(model="plain", messages=HI)
    assert raw.headers["x-request-id"].startswith("req_") and raw.headers["openai-processing-ms"].isdigit()
    assert raw.parse()._request_id == raw.headers["x-request-id"]


def test_streamed_and_whole_answers_are_one():
    whole = chat("plain")
    chunks = list(chat("plain", stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage and all(c.usage is None for c in chunks[:-1])
    assert len({c.id for c in chunks}) == 1


def test_two_calls_of_tools_streamed_and_whole():
    with client.chat.completions.stream(model="tools", messages=HI, tools=TOOLS) as s:
        for _ in s:
            pass
        final = s.get_final_completion()
    m = final.choices[0].message
    assert m.role == "assistant" and m.content is None and final.choices[0].finish_reason == "tool_calls"
    assert [(c.id, c.function.name, json.loads(c.function.arguments)) for c in m.tool_calls] == [
        ("call_1", "weather", {"city": "Brest"}), ("call_2", "clock", {})]
    whole = chat("tools", tools=TOOLS).choices[0].message
    assert [(c.id, c.function.name, c.function.arguments) for c in whole.tool_calls] == [
        (c.id, c.function.name, c.function.arguments) for c in m.tool_calls] and whole.content is None


def test_results_of_tools_go_back():
    first = chat("tools", tools=TOOLS).choices[0].message
    results = [{"role": "tool", "tool_call_id": c.id, "content": "sunny"} for c in first.tool_calls]
    client.chat.completions.create(model="plain", messages=[*HI, first, *results], tools=TOOLS)
    parts = [p for m in asked()["Messages"] for p in m["Parts"] if p["CallID"]]
    assert [(p["CallID"], p["Name"], p["Text"]) for p in parts] == [("call_1", "weather", "sunny"), ("call_2", "clock", "sunny")]


def test_a_tool_that_is_demanded_by_name_ends_with_stop():
    c = chat("tools", tools=TOOLS, tool_choice={"type": "function", "function": {"name": "weather"}})
    assert c.choices[0].finish_reason == "stop" and c.choices[0].message.tool_calls


LIST = 'ls "🌊é"\n'  # what the script calls the custom tool with
SHELL = {"type": "custom", "custom": {"name": "shell", "description": "runs a command",
                                      "format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "[a-z]+ .*\n"}}}}


def test_custom_tools_whole_streamed_and_back():
    forced = {"type": "custom", "custom": {"name": "shell"}}
    first = chat("custom", tools=[SHELL, TOOLS[1]], tool_choice=forced).choices[0].message
    call, clock = first.tool_calls
    assert (call.id, call.type, call.custom.name, call.custom.input) == ("call_1", "custom", "shell", LIST)
    assert (clock.type, clock.function.name, clock.function.arguments) == ("function", "clock", "{}")
    seen = asked()
    assert seen["ToolChoice"]["Names"] == ["shell"] and seen["Tools"][0]["Strict"]
    assert seen["Tools"][0]["Schema"]["properties"]["input"]["pattern"] == "^(?:[a-z]+ .*\n)$"

    pieces = [c for chunk in chat("custom", tools=[SHELL, TOOLS[1]], stream=True) for c in chunk.choices[0].delta.tool_calls or []]
    ours = [p.custom for p in pieces if p.index == 0]  # the client's type has function only, and keeps what else comes
    assert (pieces[0].id, pieces[0].type, ours[0]["name"]) == ("call_1", "custom", "shell")
    assert "".join(c["input"] for c in ours) == LIST and len(ours) > 3

    results = [{"role": "tool", "tool_call_id": c.id, "content": "sunny"} for c in first.tool_calls]
    client.chat.completions.create(model="plain", messages=[*HI, first, *results], tools=[SHELL, TOOLS[1]])
    parts = [p for m in asked()["Messages"] for p in m["Parts"] if p["CallID"] or p["ID"]]
    assert [p["Name"] for p in parts] == ["shell", "clock"] * 2 and json.loads(parts[0]["Arguments"]) == {"input": LIST}


def test_a_custom_tool_with_a_lark_grammar_says_what_to_do():
    tool = {"type": "custom", "custom": {"name": "f", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /a/"}}}}
    e = raises(openai.BadRequestError, chat, "custom", tools=[tool])
    assert e.param == "tools[0].custom.format.grammar.syntax" and "regular expression" in e.message


class Person(BaseModel):
    name: str
    age: int


def test_parsed_answers():
    p = client.chat.completions.parse(model="person", messages=HI, response_format=Person)
    assert p.choices[0].message.parsed == Person(name="Ann", age=7)
    f = asked()["Format"]
    assert f["Strict"] and f["Schema"]["properties"]["age"]["type"] == "integer"
    raises(openai.LengthFinishReasonError, client.chat.completions.parse, model="short", messages=HI, max_tokens=1, response_format=Person)
    with client.chat.completions.stream(model="person", messages=HI, response_format=Person) as s:
        assert s.get_final_completion().choices[0].message.parsed == Person(name="Ann", age=7)


def test_log_probabilities():
    c = chat("logprobs", logprobs=True, top_logprobs=3).choices[0]
    assert b"".join(bytes(t.bytes) for t in c.logprobs.content).decode() == c.message.content == "Hé"
    assert all(len(t.top_logprobs) <= 3 for t in c.logprobs.content) and len(c.logprobs.content[0].top_logprobs) == 3
    with client.chat.completions.stream(model="logprobs", messages=HI, logprobs=True) as s:
        final = s.get_final_completion().choices[0]
    assert [t.logprob for t in final.logprobs.content] == [t.logprob for t in c.logprobs.content]


def test_several_answers():
    whole = [c.message.content for c in chat("two", n=2).choices]
    with client.chat.completions.stream(model="two", messages=HI, n=2) as s:
        final = s.get_final_completion()
    assert whole == [c.message.content for c in final.choices] == ["Aa", "Bb"]
    assert [c.finish_reason for c in final.choices] == ["stop", "stop"]


def test_thoughts_and_refusals():
    m = chat("thinks", reasoning_effort="low")
    assert m.choices[0].message.reasoning_content == "Let me see." and m.choices[0].message.content == "42"
    assert m.usage.completion_tokens_details.reasoning_tokens == 3 and asked()["Reasoning"]["Effort"] == "low"
    with client.chat.completions.stream(model="refuses", messages=HI) as s:
        assert s.get_final_completion().choices[0].message.refusal == "I will not."


def test_completions_give_what_evaluations_need():
    ids = [ord(c) for c in "Say"]
    c = client.completions.create(model="echoes", prompt=ids, echo=True, logprobs=2, max_tokens=1, temperature=0).choices[0]
    assert c.text == "Say hé" and c.finish_reason == "length" and len(c.logprobs.tokens) == len(ids) + 2
    assert c.logprobs.text_offset == sorted(c.logprobs.text_offset) == [0, 1, 2, 3, 5]
    assert c.logprobs.token_logprobs == [None, -1.0, -2.0, -0.5, -0.25]
    assert asked()["Raw"]["Tokens"] == ids and asked()["Raw"]["NoBOS"] and asked()["PromptLogprobs"] == 2
    pieces = list(client.completions.create(model="echoes", prompt="Say", echo=True, logprobs=2, max_tokens=1, stream=True,
                                            stream_options={"include_usage": True}))
    assert "".join(p.choices[0].text for p in pieces if p.choices) == c.text and pieces[-1].usage.total_tokens == 5
    assert [t for p in pieces if p.choices and p.choices[0].logprobs for t in p.choices[0].logprobs.text_offset] == c.logprobs.text_offset


def test_several_prompts_have_their_own_places():
    c = client.completions.create(model="two", prompt=["a", "b", "c"], n=2)
    assert [x.index for x in c.choices] == list(range(6)) and [x.text for x in c.choices] == ["Aa", "Bb"] * 3
    assert c.usage.completion_tokens == 12
    texts = [""] * 6
    for p in client.completions.create(model="two", prompt=["a", "b", "c"], n=2, stream=True):
        texts[p.choices[0].index] += p.choices[0].text
    assert texts == ["Aa", "Bb"] * 3
    e = raises(openai.BadRequestError, client.completions.create, model="two", prompt=["a", "b"], n=2, best_of=4)
    assert e.param == "best_of"


def test_responses_whole_and_streamed_are_one():
    whole = client.responses.create(model="thinks", input="hi", store=False, instructions="Be brief.", metadata={"a": "b"})
    assert whole.output_text == "42" and whole.status == "completed" and whole.metadata == {"a": "b"}
    assert [o.type for o in whole.output] == ["reasoning", "message"] and whole.output[0].content[0].text == "Let me see."
    assert whole.usage.total_tokens == 9 and whole.usage.output_tokens_details.reasoning_tokens == 3
    numbers, deltas, kinds = [], [], []
    with client.responses.stream(model="thinks", input="hi", store=False) as s:
        for e in s:
            numbers.append(e.sequence_number)
            kinds.append(e.type)
            if e.type == "response.output_text.delta":
                deltas.append(e.delta)
        final = s.get_final_response()
    assert numbers == list(range(len(numbers))) and "".join(deltas) == whole.output_text == final.output_text
    assert kinds[:2] == ["response.created", "response.in_progress"] and kinds[-1] == "response.completed"
    assert [o.to_dict() for o in final.output] == [o.to_dict() | ({"content": [c | {"parsed": None} for c in o.to_dict()["content"]]} if o.type == "message" else {})
                                                   for o in whole.output]


def test_responses_with_tools_go_round():
    tools = [{"type": "function", "name": n, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}, "strict": False} for n in ("weather", "clock")]
    first = client.responses.create(model="tools", input="weather?", tools=tools)
    calls = [o for o in first.output if o.type == "function_call"]
    assert [(c.call_id, c.name, json.loads(c.arguments)) for c in calls] == [("call_1", "weather", {"city": "Brest"}), ("call_2", "clock", {})]
    with client.responses.stream(model="tools", input="weather?", tools=tools) as s:
        done = [e for e in s if e.type == "response.function_call_arguments.done"]
        streamed = s.get_final_response()
    assert [json.loads(e.arguments) for e in done] == [{"city": "Brest"}, {}]
    assert [o.arguments for o in streamed.output] == [c.arguments for c in calls]
    again = [{"role": "user", "content": "weather?"}, *first.output, *({"type": "function_call_output", "call_id": c.call_id, "output": "sunny"} for c in calls)]
    assert client.responses.create(model="plain", input=again, tools=tools).output_text == "Hello, wörld 🌊."
    parts = [p for m in asked()["Messages"] for p in m["Parts"] if p["CallID"]]
    assert [(p["CallID"], p["Name"], p["Text"]) for p in parts] == [("call_1", "weather", "sunny"), ("call_2", "clock", "sunny")]


def test_responses_with_custom_tools_go_round():
    tools = [{"type": "custom", "name": "shell", "description": "runs a command"}, {"type": "function", "name": "clock", "parameters": {}, "strict": False}]
    ask = {"model": "custom", "input": "list?", "tools": tools, "tool_choice": {"type": "custom", "name": "shell"}}
    first = client.responses.create(**ask)
    call, clock = first.output
    assert (call.type, call.call_id, call.name, call.input) == ("custom_tool_call", "call_1", "shell", LIST) and clock.type == "function_call"
    with client.responses.stream(**ask) as s:
        events = list(s)
        streamed = s.get_final_response()
    deltas = [e.delta for e in events if e.type == "response.custom_tool_call_input.delta"]
    done = [e.input for e in events if e.type == "response.custom_tool_call_input.done"]
    assert "".join(deltas) == LIST and done == [LIST] and len(deltas) > 2
    assert (streamed.output[0].call_id, streamed.output[0].input) == (call.call_id, call.input)
    again = [{"role": "user", "content": "list?"}, *first.output, {"type": "custom_tool_call_output", "call_id": "call_1", "output": "a b"},
             {"type": "function_call_output", "call_id": "call_2", "output": "noon"}]
    assert client.responses.create(model="plain", input=again, tools=tools).output_text == "Hello, wörld 🌊."
    parts = [p for m in asked()["Messages"] for p in m["Parts"] if p["CallID"]]
    assert [(p["CallID"], p["Name"], p["Text"]) for p in parts] == [("call_1", "shell", "a b"), ("call_2", "clock", "noon")]


def test_responses_hide_the_lengths_of_their_pieces():
    def deltas(**more):
        return [e for e in client.responses.create(model="plain", input="hi", stream=True, **more) if e.type == "response.output_text.delta"]
    even = deltas(stream_options={"include_obfuscation": True})
    assert all(e.obfuscation for e in even) and [e.delta for e in even] == [e.delta for e in deltas()]
    assert not any(hasattr(e, "obfuscation") for e in deltas())


def test_responses_parse_and_end_early():
    assert client.responses.parse(model="person", input="hi", text_format=Person).output_parsed == Person(name="Ann", age=7)
    assert asked()["Format"]["Strict"] and asked()["Format"]["Name"] == "Person"
    short = client.responses.create(model="short", input="hi", max_output_tokens=1)
    assert short.status == "incomplete" and short.incomplete_details.reason == "max_output_tokens" and short.output[-1].status == "incomplete"
    events = list(client.responses.create(model="breaks", input="hi", stream=True))
    assert events[-1].type == "response.failed" and "secret" not in events[-1].response.error.message
    e = raises(openai.BadRequestError, client.responses.create, model="plain", input="hi", previous_response_id="resp_nobody")
    assert e.param == "previous_response_id"
    e = raises(openai.NotFoundError, client.responses.retrieve, "resp_nobody")
    if hasattr(client.responses, "input_tokens"):  # not in the older generation
        assert client.responses.input_tokens.count(model="m", input="four").input_tokens == 4


def test_embeddings_in_both_encodings_are_the_same():
    texts = ["one", "two", "three"]
    default = client.embeddings.create(model="m", input=texts)
    floats = client.embeddings.create(model="m", input=texts, encoding_format="float")
    assert [d.index for d in default.data] == [0, 1, 2] and len(default.data[0].embedding) == 8
    for a, b in zip(default.data, floats.data):
        assert all(math.isclose(x, y, abs_tol=1e-6) for x, y in zip(a.embedding, b.embedding, strict=True))
    for text, d in zip(texts, default.data):  # each is where its text is
        assert client.embeddings.create(model="m", input=text).data[0].embedding == d.embedding
    short, same = (client.embeddings.create(model="m", input="one", dimensions=3, **more).data[0].embedding for more in ({}, {"encoding_format": "float"}))
    assert len(short) == 3 and all(math.isclose(x, y, abs_tol=1e-6) for x, y in zip(short, same, strict=True))
    assert client.embeddings.create(model="m", input=[ord(c) for c in "one"]).data[0].embedding == default.data[0].embedding


def test_moderation_names_what_a_text_is():
    a = client.moderations.create(model="judge", input=["I kill for a coffee", "flowers"])
    threat, flowers = a.results
    assert threat.flagged and threat.categories.violence and threat.category_scores.violence == 1 and not threat.categories.harassment
    assert not flowers.flagged and a.id.startswith("modr-") and client.moderations.create(model="judge", input="flowers").results == [flowers]
    e = raises(openai.BadRequestError, client.moderations.create, model="plain", input="flowers")
    assert e.param == "model" and "cannot moderate" in str(e)


def test_models():
    assert [m.id for m in client.models.list()] == ["m", "org/m:q4"]
    assert client.models.retrieve("org/m:q4").id == "org/m:q4"
    e = raises(openai.NotFoundError, client.models.retrieve, "nope")
    assert e.code == "model_not_found" and e.request_id.startswith("req_")


def test_errors_are_the_right_exceptions():
    e = raises(openai.AuthenticationError, openai.OpenAI(base_url=KEYED_URL + "/v1", api_key="wrong").models.list)
    assert e.code == "invalid_api_key" and "wrong" not in str(e)
    assert openai.OpenAI(base_url=KEYED_URL + "/v1", api_key="right").models.list().data
    e = raises(openai.BadRequestError, chat, "plain", temperature=9)
    assert e.param == "temperature" and e.type == "invalid_request_error"
    e = raises(openai.BadRequestError, chat, "too_long")
    assert e.code == "context_length_exceeded" and "9000" in str(e)
    e = raises(openai.NotFoundError, chat, "nope")
    assert e.code == "model_not_found"
    e = raises(openai.RateLimitError, chat, "limited")
    assert e.response.headers["retry-after-ms"] == "20"
    e = raises(openai.InternalServerError, chat, "busy")
    assert e.code == "queue_full" and e.response.headers["retry-after-ms"] == "20" and "x-should-retry" not in e.response.headers
    e = raises(openai.PermissionDeniedError, chat, "denied")
    assert e.code == "permission_denied"
    for model, code, status in (("down", "upstream_down", 503), ("late", "timeout", 504), ("breaks", "internal_error", 500)):
        e = raises(openai.InternalServerError, chat, model)
        assert (e.code, e.status_code) == (code, status) and "secret" not in str(e)
    e = raises(openai.APIStatusError, chat, "large")
    assert (e.code, e.status_code) == ("request_too_large", 413)
    e = raises(openai.BadRequestError, chat, "plain", verbosity="low")
    assert e.code == "unsupported_parameter" and e.param == "verbosity"
    e = raises(openai.NotFoundError, client.fine_tuning.jobs.list)
    assert e.code == "unknown_url"


def test_limits_are_told_and_kept():
    limited = openai.OpenAI(base_url=KEYED_URL + "/v1", api_key="limited", max_retries=0)
    raws = [limited.chat.completions.with_raw_response.create(model="plain", messages=HI) for _ in range(3)]
    left = [int(r.headers["x-ratelimit-remaining-requests"]) for r in raws]
    assert left == [2, 1, 0] and raws[0].headers["x-ratelimit-limit-tokens"] == "1000" and raws[0].headers["x-ratelimit-reset-requests"].endswith("s")
    assert int(raws[2].headers["x-ratelimit-remaining-tokens"]) < 1000
    e = raises(openai.RateLimitError, limited.models.list)
    assert e.code == "rate_limit_exceeded" and 0 < int(e.response.headers["retry-after"]) <= 20


def test_an_error_in_the_middle_of_a_stream():
    with chat("breaks", stream=True) as s:  # one that is left open can lock older httpcore for ever when it is collected
        e = raises(openai.APIError, list, s)
    assert "internal error" in str(e) and "secret" not in str(e)


def test_a_used_up_budget_is_not_tried_again():
    eager = client.with_options(max_retries=2, base_url=URL + "/test/try/quota/busy/0/v1")
    e = raises(openai.RateLimitError, eager.chat.completions.create, model="quota", messages=HI)
    assert get("/test/tries/quota") == ["0"] and e.code == "insufficient_quota" and e.response.headers["x-should-retry"] == "false"


def test_busy_servers_are_tried_again():
    eager = client.with_options(max_retries=2, base_url=URL + "/test/try/busy/busy/2/v1")
    assert eager.chat.completions.create(model="plain", messages=HI).choices[0].finish_reason == "stop"
    assert get("/test/tries/busy") == ["0", "1", "2"]
    eager = client.with_options(max_retries=1, base_url=URL + "/test/try/limited/limited/1/v1")
    assert eager.chat.completions.create(model="plain", messages=HI).choices and get("/test/tries/limited") == ["0", "1"]


def test_who_leaves_frees_the_slot():
    s = chat("hangs", stream=True)
    assert next(iter(s)).choices and get("/test/live") == 1
    s.close()
    until_idle()
    for model in ("hangs_early", "hangs"):  # before the first token, and an answer that is not streamed
        raises(openai.APITimeoutError, client.with_options(timeout=0.3).chat.completions.create, model=model, messages=HI)
        until_idle()
    with contextlib.suppress(openai.APITimeoutError):  # a keep-alive may be there first: it comes after 0.2 s
        client.with_options(timeout=0.15).chat.completions.create(model="hangs_early", messages=HI, stream=True).close()
    until_idle()


def test_keep_alives_are_passed_over():
    raw = client.chat.completions.with_streaming_response.create(model="slow_start", messages=HI, stream=True)
    with raw as r:
        lines = list(r.iter_lines())
    assert ": keep-alive" in lines
    assert "".join(c.choices[0].delta.content or "" for c in chat("slow_start", stream=True)) == "At last"


async def test_async_clients():
    c = openai.AsyncOpenAI(base_url=URL + "/openai/v1", api_key="any")
    answers = await asyncio.gather(*(c.chat.completions.create(model="plain", messages=HI) for _ in range(8)))
    assert {a.choices[0].message.content for a in answers} == {"Hello, wörld 🌊."}


def azure(url=URL, key="any", **more):
    return openai.AzureOpenAI(azure_endpoint=url, api_version="2024-10-21", api_key=key, max_retries=0, **more)


def test_azures_client_finds_deployments():
    for c in (azure(), azure(URL + "/azure"), azure(azure_deployment="plain")):
        a = c.chat.completions.with_raw_response.create(model="plain", messages=HI)
        assert a.parse().choices[0].message.content == "Hello, wörld 🌊." and a.headers["apim-request-id"].startswith("req_")
        assert "".join(x.choices[0].delta.content or "" for x in c.chat.completions.create(model="plain", messages=HI, stream=True) if x.choices) == "Hello, wörld 🌊."
    assert len(azure().embeddings.create(model="m", input="one").data[0].embedding) == 8
    assert azure().completions.create(model="plain", prompt="a").choices[0].text == "Hello, wörld 🌊."
    assert azure().responses.create(model="plain", input="hi").output_text == "Hello, wörld 🌊."
    assert [m.id for m in azure().models.list()] == ["m", "org/m:q4"]
    assert azure(key=None, azure_ad_token="any").models.list().data


def test_azures_errors():
    wrong = azure(KEYED_URL, "wrong")
    for call in (wrong.models.list, lambda: wrong.chat.completions.create(model="plain", messages=HI), lambda: wrong.embeddings.create(model="m", input="a"),
                 lambda: wrong.responses.create(model="plain", input="hi")):
        assert raises(openai.AuthenticationError, call).code == "401"
    assert raises(openai.RateLimitError, azure().chat.completions.create, model="limited", messages=HI).code == "429"
    assert raises(openai.BadRequestError, azure().chat.completions.create, model="too_long", messages=HI).code == "context_length_exceeded"
    assert azure(KEYED_URL, "right").models.list().data
    e = raises(openai.NotFoundError, azure().chat.completions.create, model="nope", messages=HI)
    assert e.code == "DeploymentNotFound"
    old = openai.AzureOpenAI(azure_endpoint=URL, api_version="yesterday", api_key="any", max_retries=0)
    assert raises(openai.NotFoundError, old.models.list).code == "404"


# Files and batches.

def test_files():
    f = client.files.create(file=("a name.jsonl", b"one\ntwo\n"), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600})
    assert f.id.startswith("file-") and f.bytes == 8 and f.filename == "a name.jsonl" and f.status == "processed"
    assert f.expires_at - f.created_at in (3599, 3600, 3601)
    assert client.files.retrieve(f.id) == f
    assert client.files.content(f.id).read() == b"one\ntwo\n"
    more = [client.files.create(file=("x", b""), purpose="vision").id for _ in range(3)]
    assert {x.id for x in client.files.list(limit=2)} >= {f.id, *more}  # the client asks for page after page
    assert {x.purpose for x in client.files.list(purpose="vision", order="asc", limit=1)} == {"vision"}
    for id in [f.id, *more]:
        assert client.files.delete(id).deleted
    raises(openai.NotFoundError, client.files.retrieve, f.id)
    raises(openai.NotFoundError, client.files.content, f.id)
    assert raises(openai.BadRequestError, client.files.create, file=("x", b"x"), purpose="fun").param == "purpose"


def batch_of(n, **more):
    lines = [{"custom_id": f"c{i}", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "plain", "messages": HI}} for i in range(n)]
    f = client.files.create(file=("in.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch")
    return client.batches.create(input_file_id=f.id, endpoint="/v1/chat/completions", completion_window="24h", **more)


def wait(b, *states):
    for _ in range(600):
        b = client.batches.retrieve(b.id)
        if b.status in states:
            return b
        time.sleep(0.05)
    raise AssertionError(b)


def test_a_batch():
    b = batch_of(30, metadata={"who": "me"})
    assert b.object == "batch" and b.metadata == {"who": "me"} and b.request_counts.total == 30
    b = wait(b, "completed")
    assert b.request_counts.completed == 30 and b.request_counts.failed == 0 and b.error_file_id is None and b.errors is None
    got = [json.loads(line) for line in client.files.content(b.output_file_id).text.splitlines()]
    assert sorted(x["custom_id"] for x in got) == sorted(f"c{i}" for i in range(30))
    assert all(x["response"]["status_code"] == 200 and x["response"]["body"]["choices"][0]["message"]["content"] == "Hello, wörld 🌊." for x in got)
    assert b.id in [x.id for x in client.batches.list(limit=1)]


def test_a_batch_that_is_wrong():
    f = client.files.create(file=("in.jsonl", b"{}\n"), purpose="batch")
    b = client.batches.create(input_file_id=f.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert b.status == "failed" and b.errors.data[0].line == 1 and b.errors.data[0].param == "custom_id"
    e = raises(openai.NotFoundError, client.batches.create, input_file_id="file-nobody", endpoint="/v1/chat/completions", completion_window="24h")
    assert e.param == "input_file_id"


def test_a_batch_that_is_cancelled():
    lines = [{"custom_id": f"c{i}", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "hangs_early", "messages": HI}} for i in range(3)]
    f = client.files.create(file=("in.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch")
    b = client.batches.create(input_file_id=f.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert client.batches.cancel(b.id).status == "cancelling"
    b = wait(b, "cancelled")
    assert b.cancelled_at and b.request_counts.completed == 0
    until_idle()


# Answers that are kept, and made in the background.

def test_answers_are_kept_and_gone_on_from():
    a = client.responses.create(model="plain", input="hi", metadata={"k": "v"})
    assert client.responses.retrieve(a.id).output_text == a.output_text == "Hello, wörld 🌊." and a.store
    b = client.responses.create(model="plain", input="and now?", previous_response_id=a.id, store=False)
    assert b.previous_response_id == a.id
    assert [m["Role"] for m in asked()["Messages"]] == ["user", "assistant", "user"]
    items = client.responses.input_items.list(a.id).data
    assert items[0].type == "message" and items[0].content[0].text == "hi"
    client.responses.delete(a.id)
    raises(openai.NotFoundError, client.responses.retrieve, a.id)
    e = raises(openai.BadRequestError, client.responses.create, model="plain", input="x", previous_response_id=a.id)
    assert e.code == "previous_response_not_found" and e.param == "previous_response_id"


def settled(r):
    for _ in range(600):
        if r.status not in ("queued", "in_progress"):
            return r
        time.sleep(0.05)
        r = client.responses.retrieve(r.id)
    raise AssertionError(r)


def test_an_answer_in_the_background():
    r = client.responses.create(model="plain", input="hi", background=True)
    assert r.status == "queued" and r.background
    r = settled(r)
    assert r.status == "completed" and r.output_text == "Hello, wörld 🌊."
    whole = list(client.responses.retrieve(r.id, stream=True))
    assert [e.sequence_number for e in whole] == list(range(len(whole))) and whole[-1].type == "response.completed"
    rest = list(client.responses.retrieve(r.id, stream=True, starting_after=3))
    assert [e.sequence_number for e in rest] == list(range(4, len(whole)))
    filled = list(client.responses.retrieve(r.id, stream=True, include_obfuscation=True))
    assert [e.sequence_number for e in filled] == list(range(len(whole)))
    assert all(e.obfuscation for e in filled if e.type == "response.output_text.delta")


def test_a_stream_in_the_background_is_taken_up_again():
    seen = []
    with client.responses.create(model="plain", input="hi", background=True, stream=True) as s:
        for e in s:
            seen.append(e)
            if e.type == "response.output_text.delta":
                break
    rest = list(client.responses.retrieve(seen[0].response.id, stream=True, starting_after=seen[-1].sequence_number))
    text = "".join(e.delta for e in seen + rest if e.type == "response.output_text.delta")
    assert text == "Hello, wörld 🌊." and rest[-1].type == "response.completed"


def test_an_answer_in_the_background_is_cancelled():
    r = client.responses.create(model="hangs_early", input="hi", background=True)
    assert client.responses.cancel(r.id).status == "cancelled"
    assert settled(client.responses.retrieve(r.id)).status == "cancelled"
    until_idle()


# Chats that are kept.

def test_chats_are_kept_where_they_say_so():
    plain = chat("plain", metadata={"k": "v"})
    raises(openai.NotFoundError, client.chat.completions.retrieve, plain.id)
    a = chat("plain", store=True, metadata={"case": "first", "k": "v"}, temperature=0.5)
    again = client.chat.completions.retrieve(a.id)
    assert again.choices[0].message.content == a.choices[0].message.content == "Hello, wörld 🌊."
    assert again.usage == a.usage and again.metadata == {"case": "first", "k": "v"} and again.temperature == 0.5
    pieces = list(client.chat.completions.create(model="tools", messages=[*HI, {"role": "user", "content": [{"type": "text", "text": "and"}]}],
                                                 store=True, stream=True, metadata={"case": "first"}))
    b = client.chat.completions.retrieve(pieces[0].id)
    assert b.choices[0].finish_reason == "tool_calls" and b.choices[0].message.tool_calls
    said = list(client.chat.completions.messages.list(b.id, limit=1))  # the client turns the pages
    assert [m.role for m in said] == ["user", "user"] and said[1].content == "and" and said[1].content_parts[0].text == "and"
    assert [c.id for c in client.chat.completions.list(limit=1, metadata={"case": "first"})] == [a.id, b.id]
    assert [c.id for c in client.chat.completions.list(order="desc", metadata={"case": "first"})] == [b.id, a.id]
    assert [c.id for c in client.chat.completions.list(model="tools", metadata={"case": "first"})] == [b.id]
    assert client.chat.completions.update(a.id, metadata={"case": "second"}).metadata == {"case": "second"}
    assert [c.id for c in client.chat.completions.list(metadata={"case": "first"})] == [b.id]
    gone = client.chat.completions.delete(a.id)
    assert gone.deleted and gone.object == "chat.completion.deleted" and gone.id == a.id
    e = raises(openai.NotFoundError, client.chat.completions.retrieve, a.id)
    assert e.param == "completion_id"
    raises(openai.NotFoundError, client.chat.completions.update, a.id, metadata={})
    e = raises(openai.BadRequestError, chat, "plain", store=True, metadata={"k" * 65: "v"})
    assert e.param == "metadata"


def test_azure_keeps_chats_too():
    a = azure().chat.completions.create(model="plain", messages=HI, store=True)
    assert azure().chat.completions.retrieve(a.id).choices[0].message.content == "Hello, wörld 🌊."
    assert a.id in [c.id for c in azure().chat.completions.list()]
    assert azure().chat.completions.delete(a.id).deleted


def test_a_conversation_is_compacted():
    if not hasattr(client.responses, "compact"):  # not in the older generation
        return
    a = client.responses.create(model="thinks", input="hi")
    small = client.responses.compact(model="plain", previous_response_id=a.id, input="and now?")
    assert small.object == "response.compaction" and [o.type for o in small.output] == ["message", "message", "compaction"]
    assert small.usage.total_tokens == 8
    on = client.responses.create(model="plain", input=[*(o.to_dict() for o in small.output), {"role": "user", "content": "go on"}], store=False)
    assert on.output_text == "Hello, wörld 🌊."
    assert [m["Role"] for m in asked()["Messages"]] == ["user", "user", "assistant", "user"]
    e = raises(openai.NotFoundError, client.responses.create, model="plain", input=[{"type": "item_reference", "id": "msg_nobody_0"}])
    assert e.param == "input[0].id"


def test_what_is_not_there_is_told_by_its_name():
    for absent in ("conversations", "vector_stores", "fine_tuning", "evals", "containers", "videos", "uploads", "audio", "images", "realtime", "decisions", "live", "skills"):
        for method in ("get", "post", "delete"):
            e = raises(openai.NotFoundError, getattr(client, method), "/" + absent + "/x", cast_to=object)
            assert (e.code, e.type) == ("unknown_url", "invalid_request_error"), absent
    for a in (lambda: client.conversations.create(), lambda: client.vector_stores.list(), lambda: client.fine_tuning.jobs.list(), lambda: client.evals.list()):
        assert raises(openai.NotFoundError, a).code == "unknown_url"


def test_a_conversation_that_is_too_long_is_shortened():
    long = [{"role": "user", "content": "x" * 3000}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "y" * 3000}]
    r = client.responses.create(model="m", input=long, truncation="auto", store=False)
    assert r.truncation == "auto" and [m["Parts"][0]["Text"][0] for m in asked()["Messages"]] == ["y"]
    client.responses.create(model="m", input=long, store=False)
    assert len(asked()["Messages"]) == 3
