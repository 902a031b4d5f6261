"""What Ollama's own Python client makes of the Ollama surface."""
import asyncio
import json
import os
import urllib.request

import httpx
import ollama
import pydantic

from common import KEYED_URL, URL, asked, get, raises, stub, until_idle

client = ollama.Client(host=URL, trust_env=False)
HI = [{"role": "user", "content": "hi"}]
TEXT = "Hello, wörld 🌊."


def weather(city: str) -> str:
    """The weather of a city.

    Args:
      city: where
    """
    return "sunny in " + city


def test_a_plain_answer():
    r = client.chat("plain", messages=HI, options={"temperature": 0.5, "seed": 7, "num_predict": 9, "num_ctx": 4096, "stop": ["END"]}, keep_alive="5m")
    assert r.message.content == TEXT and r.message.role == "assistant" and r.done and r.done_reason == "stop" and r.model == "plain"
    assert r.prompt_eval_count == 5 and r.eval_count == 3 and r.total_duration >= r.eval_duration > 0 and r.created_at.endswith("Z")
    a = asked()
    assert a["Sampling"]["Temperature"] == 0.5 and a["Sampling"]["Seed"] == 7 and a["MaxTokens"] == 9 and a["Stop"] == ["END"] and a["KeepAlive"] == 300 * 10**9


def test_streamed_and_whole_answers_are_one():
    for model, more in (("plain", {}), ("thinks", {"think": True}), ("short", {}), ("refuses", {})):
        whole = client.chat(model, messages=HI, **more)
        parts = list(client.chat(model, messages=HI, stream=True, **more))
        assert "".join(p.message.content or "" for p in parts) == whole.message.content
        assert "".join(p.message.thinking or "" for p in parts) == (whole.message.thinking or "")
        assert [p.done for p in parts] == [False] * (len(parts) - 1) + [True]
        assert (parts[-1].done_reason, parts[-1].eval_count, parts[-1].prompt_eval_count) == (whole.done_reason, whole.eval_count, whole.prompt_eval_count)
        whole = client.generate(model, "hi", **more)
        parts = list(client.generate(model, "hi", stream=True, **more))
        assert "".join(p.response for p in parts) == whole.response and parts[-1].context == whole.context
    assert client.chat("short", messages=HI).done_reason == "length"


def test_arguments_of_tools_are_objects():
    want = [("weather", {"city": "Brest"}), ("clock", {})]
    r = client.chat("tools", messages=HI, tools=[weather])
    assert [(c.function.name, c.function.arguments) for c in r.message.tool_calls] == want and r.done_reason == "stop"
    streamed = [c for p in client.chat("tools", messages=HI, tools=[weather], stream=True) for c in p.message.tool_calls or []]
    assert [(c.function.name, c.function.arguments) for c in streamed] == want
    tool = asked()["Tools"][0]
    assert tool["Name"] == "weather" and tool["Description"] == "The weather of a city." and tool["Schema"]["required"] == ["city"]


def test_results_of_tools_go_back():
    first = client.chat("tools", messages=HI, tools=[weather]).message
    results = [{"role": "tool", "tool_name": c.function.name, "content": "sunny"} for c in first.tool_calls]
    client.chat("plain", messages=[*HI, first, *results])
    messages = asked()["Messages"]
    calls = [p for p in messages[1]["Parts"] if p["Name"]]
    parts = [p for m in messages for p in m["Parts"] if p["CallID"]]
    assert [(p["Name"], p["Text"], p["CallID"]) for p in parts] == [(c["Name"], "sunny", c["ID"]) for c in calls] and len(parts) == 2


def test_reasoning_is_apart():
    r = client.chat("thinks", messages=HI, think="high")
    assert r.message.thinking == "Let me see." and r.message.content == "42"
    assert asked()["Reasoning"]["Enabled"] and asked()["Reasoning"]["Effort"] == "high"
    r = client.generate("thinks", "hi", think=True)
    assert r.thinking == "Let me see." and r.response == "42"
    client.chat("plain", messages=HI, think=False)
    assert asked()["Reasoning"]["Enabled"] is False


def test_formats():
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    assert client.chat("person", messages=HI, format=schema).message.content == '{"name": "Ann", "age": 7}'
    assert asked()["Format"]["Schema"] == schema and asked()["Format"]["Strict"]
    client.generate("person", "hi", format="json")
    assert asked()["Format"]["Kind"] == 1


def test_generate_goes_on_with_its_context():
    first = client.generate("plain", "hi", system="Be brief.")
    client.generate("plain", "and then?", context=first.context)
    said = [(m["Role"], m["Parts"][0]["Text"]) for m in asked()["Messages"]]
    assert said == [("system", "Be brief."), ("user", "hi"), ("assistant", TEXT), ("user", "and then?")]


def test_raw_prompts_and_what_is_filled_in():
    client.generate("plain", "<|im_start|>user", raw=True)
    assert asked()["Raw"]["Text"] == "<|im_start|>user" and asked()["Raw"]["ParseSpecial"]
    client.generate("plain", "def f(", suffix="return 1")
    assert asked()["Raw"]["Suffix"] == "return 1"


def test_logprobs():
    r = client.chat("logprobs", messages=HI, logprobs=True, top_logprobs=3)
    assert len(r.logprobs) == 3 and r.logprobs[0].logprob == -0.25 and len(r.logprobs[0].top_logprobs) == 3
    streamed = [x for p in client.chat("logprobs", messages=HI, logprobs=True, top_logprobs=3, stream=True) for x in p.logprobs or []]
    assert streamed == list(r.logprobs)


def test_embeddings():
    one = client.embed("m", ["one", "two"])
    assert len(one.embeddings) == 2 and len(one.embeddings[0]) == 8 and one.prompt_eval_count == 6
    assert client.embed("m", "one").embeddings[0] == one.embeddings[0]
    assert len(client.embed("m", "one", dimensions=3).embeddings[0]) == 3
    assert client.embed("m", []).embeddings == []
    assert len(client.embeddings("m", "one").embedding) == 8


def test_lists_and_descriptions():
    models = client.list().models
    assert [m.model for m in models] == ["m:latest", "org/m:q4"] and models[0].size > 0 and len(models[0].digest) == 64
    assert models[0].modified_at.tzinfo and models[0].details.family == "llama"
    p = client.ps().models[0]
    assert p.model == "m:latest" and p.expires_at.year == 2300 and p.context_length == 4096
    s = client.show("m:latest")
    assert s.modelinfo["general.architecture"] == "llama" and {"completion", "tools", "insert", "embedding"} == set(s.capabilities)
    assert client.chat("m:latest", messages=HI).model == "m:latest" and asked()["Model"] == "m"


def test_models_are_loaded_and_unloaded():
    assert client.generate("m").done_reason == "load"
    assert client.chat("m", messages=[], keep_alive=0).done_reason == "unload"


def test_models_are_pulled_copied_and_deleted():
    assert client.pull("m").status == "success"
    lines = list(client.pull("m", stream=True))
    assert lines[-1].status == "success" and lines[0].completed == 40 and lines[0].total == 100
    assert client.copy("m", "mine").status == "success" and client.delete("m").status == "success"
    assert raises(ollama.ResponseError, client.copy, "nope", "mine").status_code == 404
    assert raises(ollama.ResponseError, client.delete, "nope").status_code == 404
    e = raises(ollama.ResponseError, client.pull, "nope")
    assert e.status_code == 404
    raises(ollama.ResponseError, list, client.pull("broken", stream=True))
    for refused in (lambda: client.create("x", from_="m", system="Arr"), lambda: client.push("m")):
        assert raises(ollama.ResponseError, refused).status_code == 400


def test_errors_say_what_is_wrong():
    e = raises(ollama.ResponseError, client.chat, "nope", messages=HI)
    assert e.status_code == 404 and e.error.startswith("model 'nope' not found")
    e = raises(ollama.ResponseError, lambda: list(client.chat("nope", messages=HI, stream=True)))
    assert e.status_code == 404
    e = raises(ollama.ResponseError, client.chat, "too_long", messages=HI)
    assert e.status_code == 400 and "9000" in e.error
    for model, status in (("limited", 429), ("quota", 429), ("busy", 503), ("denied", 403), ("down", 503), ("late", 504), ("large", 413)):
        for call in (lambda: client.chat(model, messages=HI), lambda: list(client.generate(model, "hi", stream=True))):
            e = raises(ollama.ResponseError, call)
            assert e.status_code == status and e.error, (model, e)
    assert raises(ollama.ResponseError, client.chat, "busy", messages=HI).status_code == 503
    assert raises(ollama.ResponseError, client.chat, "limited", messages=HI).status_code == 429
    e = raises(ollama.ResponseError, client.chat, "plain", messages=HI, options={"mirostat": 2})
    assert e.status_code == 400 and "options.mirostat" in e.error
    e = raises(ollama.ResponseError, lambda: list(client.chat("breaks", messages=HI, stream=True)))
    assert "internal error" in e.error and "secret" not in e.error
    e = raises(ollama.ResponseError, client._request_raw, "POST", "/api/unheard_of")
    assert e.status_code == 404 and e.error == "404 page not found"


def test_keys():
    assert raises(ollama.ResponseError, ollama.Client(host=KEYED_URL, trust_env=False).list).status_code == 401
    assert ollama.Client(host=KEYED_URL, trust_env=False, headers={"Authorization": "Bearer right"}).list().models
    os.environ["OLLAMA_API_KEY"] = "right"
    try:
        assert ollama.Client(host=KEYED_URL, trust_env=False).list().models
    finally:
        del os.environ["OLLAMA_API_KEY"]


def test_who_asks_whether_ollama_runs():
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    assert opener.open(URL + "/", timeout=10).read() == b"Ollama is running"
    for path in ("/", "/api/tags", "/api/version"):
        assert opener.open(urllib.request.Request(URL + path, method="HEAD"), timeout=10).status == 200
    assert get("/api/version")["version"].count(".") == 2


def test_who_leaves_frees_the_slot():
    s = client.chat("hangs", messages=HI, stream=True)
    assert next(s).message.content == "Hel" and get("/test/live") == 1
    s.close()
    until_idle()
    for model in ("hangs_early", "hangs"):
        raises(httpx.ReadTimeout, ollama.Client(host=URL, trust_env=False, timeout=0.3).chat, model, messages=HI)
        until_idle()


def test_keep_alives_are_parts_without_text():
    parts = list(client.chat("slow_start", messages=HI, stream=True))
    assert "".join(p.message.content for p in parts) == "At last" and not parts[0].done and parts[0].message.content == ""


def test_the_prefix():
    assert ollama.Client(host=URL + "/ollama", trust_env=False).chat("plain", messages=HI).message.content == TEXT


async def test_async_clients():
    c = ollama.AsyncClient(host=URL, trust_env=False)
    answers = await asyncio.gather(*(c.chat("plain", messages=HI) for _ in range(8)))
    assert {a.message.content for a in answers} == {TEXT}


def trap(name):
    return ollama.Client(host=URL + "/test/raw/" + name, trust_env=False)


def test_traps_are_still_there():
    good = b'{"model":"m","message":{"role":"assistant","content":"a"},"done":false}\n{"model":"m","message":{"role":"assistant","content":""},"done":true}\n'
    assert len(list(ollama.Client(host=stub("application/x-ndjson", good), trust_env=False).chat("m", messages=HI, stream=True))) == 2
    raises(json.JSONDecodeError, lambda: list(trap("ollama_blank_line").chat("m", messages=HI, stream=True)))
    raises(pydantic.ValidationError, trap("ollama_text_arguments").chat, "m", messages=HI)
    raises(pydantic.ValidationError, trap("ollama_no_message").chat, "m", messages=HI)
    raises(pydantic.ValidationError, trap("ollama_no_model_info").show, "m")
