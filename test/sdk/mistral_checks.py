"""What Mistral's own Python client makes of the Mistral surface."""
import asyncio
import json
import re

import numpy as np
import pydantic

try:
    import httpx2 as httpx
    from mistralai.client import Mistral, errors
    OLD = False
except ImportError:  # the older generation
    import httpx
    from mistralai import Mistral, models as errors
    OLD = True

from common import KEYED_URL, URL, asked, get, raises, stub, until_idle

client = Mistral(server_url=URL, api_key="any")
HI = [{"role": "user", "content": "hi"}]
TOOLS = [{"type": "function", "function": {"name": n, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}} for n in ("weather", "clock")]


def say(model, messages=HI, **more):
    return client.chat.complete(model=model, messages=messages, **more)


def stream(model, messages=HI, **more):
    return [e.data for e in client.chat.stream(model=model, messages=messages, **more)]


def text_of(content):
    """The text and the reasoning of a message's content."""
    if isinstance(content, str):
        return content, ""
    text = "".join(c.text for c in content if c.type == "text")
    return text, "".join(t.text for c in content if c.type == "thinking" for t in c.thinking)


def joined(chunks):
    text, thoughts, calls = "", "", []
    for c in chunks:
        more, thought = text_of(c.choices[0].delta.content)
        text, thoughts = text + more, thoughts + thought
        calls += c.choices[0].delta.tool_calls or []
    return text, thoughts, calls


def test_a_plain_answer():
    a = say("plain", random_seed=7, temperature=0.2, stop=["END"], max_tokens=9, top_p=0.5)
    assert a.choices[0].message.content == "Hello, wörld 🌊." and a.choices[0].finish_reason == "stop" and a.model == "plain"
    assert (a.usage.prompt_tokens, a.usage.completion_tokens, a.usage.total_tokens) == (5, 3, 8) and a.object == "chat.completion"
    r = asked()
    assert r["Sampling"]["Seed"] == 7 and r["Sampling"]["Temperature"] == 0.2 and r["Stop"] == ["END"] and r["MaxTokens"] == 9


def test_streamed_and_whole_answers_are_one():
    for model in ("plain", "thinks", "short", "refuses", "tools"):
        whole, chunks = say(model), stream(model)
        text, thoughts, calls = joined(chunks)
        m = whole.choices[0].message
        assert (text, thoughts) == text_of(m.content), model
        assert calls == (m.tool_calls or []), (calls, m.tool_calls)
        assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
        assert chunks[-1].usage == whole.usage and {c.id for c in chunks} == {chunks[0].id}


def test_reasoning_is_a_chunk_of_its_own():
    text, thoughts = text_of(say("thinks", prompt_mode="reasoning").choices[0].message.content)
    assert (text, thoughts) == ("42", "Let me see.") and asked()["Reasoning"]["Enabled"]
    if OLD:
        return
    text, thoughts = text_of(say("thinks", reasoning_effort="high").choices[0].message.content)
    assert (text, thoughts) == ("42", "Let me see.") and asked()["Reasoning"] == {"Enabled": True, "Effort": "high", "Budget": None}


def test_tools_are_called():
    a = say("tools", tools=TOOLS, tool_choice="any", parallel_tool_calls=True)
    assert asked()["ToolChoice"]["Mode"] == 2 and a.choices[0].finish_reason == "tool_calls"
    calls = a.choices[0].message.tool_calls
    assert [(c.function.name, c.function.arguments, c.index) for c in calls] == [("weather", '{"city": "Brest"}', 0), ("clock", "{}", 1)]
    assert all(re.fullmatch("[a-zA-Z0-9]{9}", c.id) for c in calls) and calls[0].id != calls[1].id
    results = [{"role": "tool", "tool_call_id": c.id, "name": c.function.name, "content": "fine"} for c in calls]
    say("plain", [*HI, a.choices[0].message, *results], tools=TOOLS)
    parts = [p for m in asked()["Messages"] for p in m["Parts"] if p["CallID"]]
    assert [(p["CallID"], p["Name"]) for p in parts] == [(calls[0].id, "weather"), (calls[1].id, "clock")]
    say("tools", tools=TOOLS, tool_choice={"type": "function", "function": {"name": "clock"}})
    assert asked()["ToolChoice"] == {"Mode": 3, "Names": ["clock"]}


def test_an_answer_is_continued():
    say("plain", [*HI, {"role": "assistant", "content": "So", "prefix": True}])
    assert asked()["Messages"][-1]["Prefix"]


def test_structured_answers():
    from pydantic import BaseModel

    class Person(BaseModel):
        name: str
        age: int

    a = client.chat.parse(Person, model="person", messages=HI)
    assert a.choices[0].message.parsed == Person(name="Ann", age=7) and asked()["Format"]["Strict"]


def test_probabilities():
    if OLD:
        return
    a = say("logprobs", logprobs=True, top_logprobs=3)
    tokens = a.choices[0].logprobs.content
    assert bytes(b for t in tokens for b in t.bytes_).decode() == "Hé" and all(len(t.top_logprobs) <= 3 for t in tokens)


def test_two_answers():
    assert [c.message.content for c in say("two", n=2).choices] == ["".join(
        c.choices[0].delta.content for c in stream("two", n=2) if c.choices[0].index == i) for i in range(2)]


def test_an_agent_is_a_model():
    assert client.agents.complete(agent_id="plain", messages=HI).choices[0].message.content == "Hello, wörld 🌊."
    assert joined(e.data for e in client.agents.stream(agent_id="plain", messages=HI))[0] == "Hello, wörld 🌊."


def test_the_middle_is_filled():
    a = client.fim.complete(model="plain", prompt="def f(", suffix="return a", max_tokens=8, stop="\n")
    assert a.choices[0].message.content == "Hello, wörld 🌊."
    assert asked()["Raw"]["Text"] == "def f(" and asked()["Raw"]["Suffix"] == "return a"
    assert joined(e.data for e in client.fim.stream(model="plain", prompt="def f(", suffix="return a"))[0] == "Hello, wörld 🌊."


def test_vectors():
    texts = ["one", "two"]
    a = client.embeddings.create(model="m", inputs=texts)
    assert [d.index for d in a.data] == [0, 1] and len(a.data[0].embedding) == 8 and a.usage.prompt_tokens == 6 and a.id
    assert client.embeddings.create(model="m", inputs="two").data[0].embedding == a.data[1].embedding
    assert len(client.embeddings.create(model="m", inputs=texts, output_dimension=4).data[0].embedding) == 4
    bits = client.embeddings.create(model="m", inputs=texts, output_dtype="ubinary")
    for whole, small in zip(a.data, bits.data):
        assert list(np.packbits(np.array(whole.embedding) > 0)) == small.embedding


def test_models():
    cards = client.models.list().data
    assert [m.id for m in cards] == ["m", "org/m:q4"] and {m.type for m in cards} == {"base"} and cards[0].capabilities.completion_fim
    assert client.models.retrieve(model_id="org/m:q4").id == "org/m:q4"


def test_moderation_and_classes():
    talk = [{"role": "user", "content": "xyz"}, {"role": "assistant", "content": "aeiou"}]
    a = client.classifiers.moderate(model="sorter", inputs=["aeiou", "xyz"])
    assert [r.category_scores for r in a.results] == [{"good": 1, "bad": 0}, {"good": 0, "bad": 1}] and a.results[0].categories == {"good": True, "bad": False}
    assert len(client.classifiers.moderate_chat(model="sorter", inputs=talk).results) == 1
    assert len(client.classifiers.moderate_chat(model="sorter", inputs=[talk, talk]).results) == 2
    a = client.classifiers.classify(model="sorter", inputs=["aeiou", "xyz"])
    assert [r["label"].scores for r in a.results] == [{"good": 1, "bad": 0}, {"good": 0, "bad": 1}] and a.model == "sorter"
    a = client.classifiers.classify_chat(model="sorter", **{"inputs" if OLD else "input": {"messages": talk}})
    assert set(a.results[0]["label"].scores) == {"good", "bad"}


def test_errors_are_the_right_exceptions():
    e = raises(errors.HTTPValidationError, say, "plain", temperature=9)
    assert e.data.detail[0].loc == ["body", "temperature"] and "temperature is 9" in e.data.detail[0].msg and e.status_code == 422
    raises(errors.HTTPValidationError, stream, "plain", [])
    for model, status in (("too_long", 400), ("nope", 404), ("limited", 429), ("quota", 429), ("busy", 503), ("denied", 403), ("down", 503), ("late", 504), ("large", 413)):
        for ask in (say, stream):
            e = raises(errors.SDKError, ask, model)
            assert e.status_code == status and '"object":"error"' in e.body, (model, e)
    e = raises(errors.SDKError, client.classifiers.classify, model="m", inputs=["a"])
    assert e.status_code == 400 and "no classifier" in e.body
    e = raises(errors.SDKError, client.classifiers.moderate, model="plain", inputs=["a"])
    assert e.status_code == 400 and "choose a larger model" in e.body
    assert raises(errors.HTTPValidationError, client.classifiers.moderate, model="m", inputs=[]).data.detail[0].loc == ["body", "input"]
    assert raises(errors.SDKError, client.models.retrieve, model_id="nope").status_code == 404


def test_an_error_in_the_middle_of_a_stream():
    seen = []

    def read():
        for e in client.chat.stream(model="breaks", messages=HI):
            seen.append(e.data.choices[0])
    e = raises(httpx.RemoteProtocolError, read)
    assert "secret" not in str(e) and seen[-1].finish_reason == "error" and seen[-2].delta.content == "Hel"


def test_keys():
    assert Mistral(server_url=KEYED_URL, api_key="right").models.list().data
    e = raises(errors.SDKError, Mistral(server_url=KEYED_URL, api_key="wrong").models.list)
    assert e.status_code == 401 and "wrong" not in e.body


def test_pings_are_passed_over():
    assert joined(stream("slow_start"))[0] == "At last"


def test_who_leaves_frees_the_slot():
    s = client.chat.stream(model="hangs", messages=HI)
    next(iter(s))
    assert get("/test/live") == 1
    s.response.close()
    until_idle()
    raises(httpx.ReadTimeout, say, "hangs_early", timeout_ms=300)
    until_idle()


def test_the_prefix():
    c = Mistral(server_url=URL + "/mistral", api_key="any")
    assert c.chat.complete(model="plain", messages=HI).choices[0].message.content == "Hello, wörld 🌊."


async def test_async_clients():
    a = await asyncio.gather(*(client.chat.complete_async(model="plain", messages=HI) for _ in range(8)))
    assert {x.choices[0].message.content for x in a} == {"Hello, wörld 🌊."}


# What the client does with answers that we must not give. Where one of these fails, a rule has gone.

STRICT = pydantic.ValidationError if OLD else errors.ResponseValidationError


def trapped(name):
    return Mistral(server_url=f"{URL}/test/raw/{name}", api_key="any")


def test_trap_a_chunk_without_its_finish_reason():
    for name in ("mistral_no_finish_reason", "mistral_call_without_a_name"):
        raises(STRICT, lambda: list(trapped(name).chat.stream(model="m", messages=HI)))


def test_trap_an_error_among_the_chunks():
    raises(STRICT, lambda: list(trapped("mistral_error_event").chat.stream(model="m", messages=HI)))


def test_trap_a_model_without_a_type():
    if not OLD:
        raises(errors.ResponseValidationError, trapped("mistral_models_without_a_type").models.list)


def sent(answer, content_type="application/json"):
    return Mistral(server_url=stub(content_type, answer if isinstance(answer, bytes) else json.dumps(answer).encode()), api_key="any")


def test_trap_an_answer_without_one_of_its_fields():
    # The other clients pass over most of it.
    whole = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
             "choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}]}
    assert sent(whole).chat.complete(model="m", messages=HI).choices[0].message.content == "a"
    for field in whole:
        raises(errors.ResponseValidationError, sent({k: v for k, v in whole.items() if k != field}).chat.complete, model="m", messages=HI)


def test_trap_vectors_without_an_id():
    whole = {"id": "1", "object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [1]}], "usage": {"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1}}
    assert sent(whole).embeddings.create(model="m", inputs="a").data
    raises(errors.ResponseValidationError, sent({k: v for k, v in whole.items() if k != "id"}).embeddings.create, model="m", inputs="a")


def test_trap_json_and_events_that_call_themselves_text():
    raises(errors.SDKError, sent(b"{}", "text/plain").models.list)
    raises(errors.SDKError, sent(b"data: [DONE]\n\n", "text/plain").chat.stream, model="m", messages=HI)
