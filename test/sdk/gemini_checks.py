"""What Google's own Python client makes of the Gemini surface, in both generations."""
import asyncio
import enum
import json
import urllib.request

import pydantic
from google import genai
from google.genai import errors, types

from common import KEYED_URL, URL, asked, raises, stub, until_idle

OLD = int(genai.__version__.split(".")[0]) == 1


def connect(base=URL, key="any", **more):
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=base, **more))


client = connect()


class City(pydantic.BaseModel):
    name: str
    age: int


def say(model, contents="hi", c=client, **config):
    return c.models.generate_content(model=model, contents=contents, config=types.GenerateContentConfig(**config))


def stream(model, contents="hi", c=client, **config):
    return list(c.models.generate_content_stream(model=model, contents=contents, config=types.GenerateContentConfig(**config)))


DECLARED = types.Tool(function_declarations=[
    types.FunctionDeclaration(name="weather", description="the weather", parameters=types.Schema(type="OBJECT", properties={"city": types.Schema(type="STRING")})),
    types.FunctionDeclaration(name="clock", parameters_json_schema={"type": "object", "properties": {"time_zone": {"type": "string"}}})])


def test_a_plain_answer():
    a = say("plain", system_instruction="Be brief.", temperature=0.5, top_k=3, top_p=0.9, max_output_tokens=64, stop_sequences=["END"], seed=7,
            presence_penalty=0.25, frequency_penalty=0.5, candidate_count=1, response_modalities=["TEXT"])
    assert a.text == "Hello, wörld 🌊." and a.candidates[0].finish_reason == types.FinishReason.STOP
    assert a.candidates[0].content.role == "model" and a.model_version == "plain" and a.response_id
    u = a.usage_metadata
    assert (u.prompt_token_count, u.cached_content_token_count, u.candidates_token_count, u.total_token_count) == (5, 2, 3, 8)
    r = asked()
    assert r["Messages"][0]["Role"] == "system" and r["MaxTokens"] == 64 and r["Stop"] == ["END"] and r["N"] == 1
    s = r["Sampling"]
    assert (s["Temperature"], s["TopK"], s["TopP"], s["Seed"], s["Presence"], s["Frequency"]) == (0.5, 3, 0.9, 7, 0.25, 0.5)


def test_streams_say_what_whole_answers_say():
    pieces = stream("plain")
    assert "".join(p.text for p in pieces) == say("plain").text and len(pieces) == 4
    assert [p.candidates[0].finish_reason for p in pieces] == [None, None, None, types.FinishReason.STOP]
    assert pieces[-1].usage_metadata.total_token_count == 8


def test_tools_whole_and_streamed():
    for calls in (say("tools", tools=[DECLARED]).function_calls, [c for p in stream("tools", tools=[DECLARED]) for c in p.function_calls or []]):
        assert [(c.name, c.args) for c in calls] == [("weather", {"city": "Brest"}), ("clock", {})]
    t = asked()["Tools"]
    assert t[0]["Schema"] == {"type": "object", "properties": {"city": {"type": "string"}}}
    assert "time_zone" in t[1]["Schema"]["properties"]


def test_which_tools_may_be_called():
    config = lambda mode, *names: types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode=mode, allowed_function_names=list(names) or None))
    say("tools", tools=[DECLARED], tool_config=config("ANY"))
    assert asked()["ToolChoice"]["Mode"] == 2 and asked()["Tools"][0]["Strict"]
    say("tools", tools=[DECLARED], tool_config=config("ANY", "clock"))
    assert asked()["ToolChoice"] == {"Mode": 3, "Names": ["clock"]}
    say("tools", tools=[DECLARED], tool_config=config("NONE"))
    assert asked()["ToolChoice"]["Mode"] == 1


def test_a_python_function_is_called_and_its_result_sent_back():
    calls = []

    def weather(city: str) -> str:
        """The weather of a city."""
        calls.append(city)
        return "rain"

    say("weather_once", tools=[weather], automatic_function_calling=types.AutomaticFunctionCallingConfig(maximum_remote_calls=2))
    assert set(calls) == {"Brest"}
    parts = asked()["Messages"][-1]["Parts"]
    assert parts[0]["Kind"] == 3 and parts[0]["Text"] == "rain" and parts[0]["Name"] == "weather"
    assert asked()["Messages"][-2]["Parts"][0]["ID"] == parts[0]["CallID"]


def test_conversations_keep_streamed_turns():
    chat = client.chats.create(model="plain")
    for p in chat.send_message_stream("hi"):
        pass
    chat.send_message("again")
    m = asked()["Messages"]
    assert [x["Role"] for x in m] == ["user", "assistant", "user"]
    assert "".join(p["Text"] for p in m[1]["Parts"]) == "Hello, wörld 🌊."
    assert len(chat.get_history(curated=True)) == len(chat.get_history()) > 3  # no turn was taken for a broken one


def test_schemas_are_enforced_and_parsed():
    a = say("person", response_mime_type="application/json", response_schema=City)
    assert a.parsed == City(name="Ann", age=7)
    f = asked()["Format"]
    assert f["Schema"]["properties"]["name"]["type"] == "string" and list(f["Schema"]["properties"]) == ["name", "age"]
    say("person", response_mime_type="application/json", response_json_schema=City.model_json_schema())
    assert asked()["Format"]["Schema"]["required"] == ["name", "age"]
    say("person", response_mime_type="application/json")
    assert asked()["Format"]["Kind"] == 1
    kind = enum.Enum("kind", {"YES": "yes", "NO": "no"})
    say("plain", response_mime_type="text/x.enum", response_schema=kind)
    assert asked()["Format"]["Choices"] == ["yes", "no"]


def test_thoughts():
    a = say("thinks", thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=100))
    assert [(p.thought, p.text) for p in a.candidates[0].content.parts] == [(True, "Let me see."), (None, "42")]
    assert a.text == "42" and a.usage_metadata.thoughts_token_count == 3 and asked()["Reasoning"]["Budget"] == 100
    assert say("thinks").candidates[0].content.parts[0].text == "42"
    pieces = stream("thinks", thinking_config=types.ThinkingConfig(include_thoughts=True))
    assert "".join(q.text for p in pieces for q in p.candidates[0].content.parts if q.thought) == "Let me see."


def test_log_probabilities():
    a = say("logprobs", response_logprobs=True, logprobs=3)
    r = a.candidates[0].logprobs_result
    assert r.chosen_candidates[0].token == "H" and r.chosen_candidates[0].log_probability == -0.25
    assert [c.token for c in r.top_candidates[0].candidates] == ["H", "Y", "Z"]
    assert abs(a.candidates[0].avg_logprobs + 0.875 / 3) < 1e-9


def test_several_candidates():
    assert [c.content.parts[0].text for c in say("two", candidate_count=2).candidates] == ["Aa", "Bb"]
    text = ["", ""]
    for p in stream("two", candidate_count=2):
        for c in p.candidates:
            text[c.index] += "".join(q.text for q in c.content.parts)
    assert text == ["Aa", "Bb"]


def test_counts():
    assert client.models.count_tokens(model="m", contents="hello").total_tokens == 5


def test_vectors():
    one = client.models.embed_content(model="m", contents="a", config=types.EmbedContentConfig(task_type="RETRIEVAL_QUERY"))
    three = client.models.embed_content(model="m", contents=["a", "b", "c"], config=types.EmbedContentConfig(output_dimensionality=4))
    assert len(one.embeddings) == 1 and len(one.embeddings[0].values) == 8
    assert [len(e.values) for e in three.embeddings] == [4, 4, 4]


def test_models():
    names = [m.name for m in client.models.list(config={"page_size": 1})]
    assert names == ["models/m", "models/org/m:q4"]
    m = client.models.get(model="org/m:q4")
    assert m.name == "models/org/m:q4" and m.input_token_limit == 4096
    assert say("org/m:q4").text


def test_errors_are_of_the_right_kind():
    for model, code, status in (("nobody/x", 404, "NOT_FOUND"), ("limited", 429, "RESOURCE_EXHAUSTED"), ("quota", 429, "RESOURCE_EXHAUSTED"),
                                ("busy", 503, "UNAVAILABLE"), ("too_long", 400, "INVALID_ARGUMENT"), ("breaks", 500, "INTERNAL"), ("denied", 403, "PERMISSION_DENIED"),
                                ("down", 503, "UNAVAILABLE"), ("late", 504, "DEADLINE_EXCEEDED"), ("large", 413, "INVALID_ARGUMENT")):
        for call in (say, stream) if model != "breaks" else (say,):
            e = raises(errors.ServerError if code >= 500 else errors.ClientError, call, model)
            assert (e.code, e.status) == (code, status) and e.message and "secret" not in e.message, (model, e)
    e = raises(errors.ClientError, say, "plain", cached_content="cachedContents/x")
    assert e.code == 400 and "cachedContent" in e.message
    e = raises(errors.ClientError, say, "plain", tools=[types.Tool(google_search=types.GoogleSearch())])
    assert e.code == 400 and "googleSearch" in e.message
    e = raises(errors.ClientError, client.caches.create, model="m", config={"contents": ["hi"]})
    assert e.code == 404


def test_errors_in_the_middle_of_a_stream():
    e = raises(errors.ServerError, stream, "breaks")
    assert e.status == "INTERNAL"


def test_keys():
    assert say("plain", c=connect(KEYED_URL, "right")).text
    e = raises(errors.ClientError, say, "plain", c=connect(KEYED_URL, "wrong"))
    assert (e.code, e.status) == (401, "UNAUTHENTICATED")
    r = urllib.request.Request(KEYED_URL + "/v1beta/models/plain:generateContent?key=right", data=b'{"contents":[{"parts":[{"text":"hi"}]}]}')
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(r, timeout=10) as a:
        assert json.load(a)["candidates"]


def test_retries_where_they_are_asked_for():
    c = connect(URL + f"/test/try/gemini{OLD}/busy/2", retry_options=types.HttpRetryOptions(attempts=3, initial_delay=0.01))
    assert say("plain", c=c).text


def test_keep_alives_do_not_break_the_stream():
    assert "".join(p.text for p in stream("slow_start")) == "At last"


def test_versions_prefix_and_vertex():
    for version in ("v1", "v1beta", "v1alpha"):
        for base in (URL, URL + "/gemini"):
            assert say("plain", c=connect(base, api_version=version)).text


def test_an_array_is_one_json_value():
    r = urllib.request.Request(URL + "/v1beta/models/plain:streamGenerateContent", data=b'{"contents":[{"parts":[{"text":"hi"}]}]}')
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(r, timeout=10) as a:
        pieces = json.load(a)
    assert "".join(p["candidates"][0]["content"]["parts"][0]["text"] for p in pieces) == "Hello, wörld 🌊."


def test_who_leaves_frees_the_slot():
    for p in client.models.generate_content_stream(model="hangs", contents="hi"):
        break
    del p
    c = connect(timeout=300)
    assert type(raises(Exception, say, "hangs_early", c=c)).__name__ == "ReadTimeout"  # of httpx or httpx2
    until_idle()


async def test_async_clients():
    answers = await asyncio.gather(*(client.aio.models.generate_content(model="plain", contents="hi") for _ in range(8)))
    assert {a.text for a in answers} == {"Hello, wörld 🌊."}
    text = ""
    async for p in await client.aio.models.generate_content_stream(model="plain", contents="hi"):
        text += p.text
    assert text == "Hello, wörld 🌊."


def test_what_the_client_must_not_be_sent():
    # If one of these passes after an upgrade, the client has changed its rules.
    piece = b'data: {"candidates":[{"content":{"parts":[{"text":"a"}],"role":"model"},"index":0}]}\n\n'
    def read(body):
        c = connect(stub("text/event-stream", body))  # one without a name is closed too early
        return [p.text for p in c.models.generate_content_stream(model="m", contents="hi")]

    for what, bad in (("a comment", b": ping\n\n" + piece), ("[DONE]", piece + b"data: [DONE]\n\n"), ("no space", piece.replace(b"data: ", b"data:"))):
        try:
            read(bad)
        except Exception as e:
            assert "closed" not in str(e), e
            continue
        raise AssertionError(what + " is taken now")
    assert read(piece) == ["a"] and read(b"\n\n" + piece) == ["a"]
