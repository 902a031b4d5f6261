"""What Hugging Face's own Python client makes of the surface of TGI and TEI."""
import asyncio
import functools
import json

import numpy as np
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import GenerationError, HfHubHTTPError, InferenceTimeoutError, OverloadedError, UnknownError, ValidationError

from common import KEYED_URL, URL, asked, get, raises, stub, until_idle

client = InferenceClient(base_url=URL)
HI = [{"role": "user", "content": "hi"}]


@functools.cache
def at(model):
    """The client of one model, kept: a client that nobody holds closes its streams."""
    return InferenceClient(base_url=f"{URL}/hf/models/{model}")


def test_a_text_is_continued():
    assert client.text_generation("hi") == "Hello, wörld 🌊."
    r = asked()
    assert r["Raw"]["Text"] == "hi" and r["MaxTokens"] == 100 and r["Sampling"]["Temperature"] == 0 and r["KeepStop"]
    client.text_generation("hi", do_sample=True, temperature=0.5, top_k=3, top_p=0.9, seed=7, stop=["END"], max_new_tokens=9, repetition_penalty=1.1)
    r = asked()
    assert r["Sampling"]["Temperature"] == 0.5 and r["Sampling"]["Seed"] == 7 and r["Stop"] == ["END"] and r["MaxTokens"] == 9
    assert client.text_generation("hi", return_full_text=True) == "hiHello, wörld 🌊."


def test_details():
    a = at("tokens").text_generation("hi", details=True, decoder_input_details=True, top_n_tokens=2, seed=3)
    assert a.generated_text == "Hé you." and a.details.finish_reason == "length" and a.details.generated_tokens == 5 and a.details.seed == 3
    assert [t.id for t in a.details.tokens] == [11, 13, 14, 15, 17] and a.details.tokens[0].logprob == -0.25
    assert [t.id for t in a.details.prefill] == [1, 2] and [t["id"] for t in a.details.top_tokens[3]] == [15, 16]


def test_streamed_and_whole_texts_are_one():
    for model in ("plain", "tokens", "logprobs"):
        c = at(model)
        assert "".join(c.text_generation("hi", stream=True)) == c.text_generation("hi"), model
    events = list(at("tokens").text_generation("hi", stream=True, details=True, seed=3))
    assert [e.token.id for e in events] == [11, 13, 14, 15, 17] and [e.index for e in events] == [1, 2, 3, 4, 5]
    last = events[-1]
    assert last.generated_text == "Hé you." and last.details.finish_reason == "length" and last.details.generated_tokens == 5
    assert last.details.input_length == 2 and last.details.seed == 3 and all(e.details is None for e in events[:-1])


def test_grammars():
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    client.text_generation("hi", grammar={"type": "json", "value": schema})
    assert asked()["Format"]["Schema"] == schema
    client.text_generation("hi", grammar={"type": "regex", "value": "[a-z]+"})
    assert asked()["Format"]["Pattern"] == "[a-z]+"


def test_chat():
    a = client.chat_completion(HI, max_tokens=9)
    assert a.choices[0].message.content == "Hello, wörld 🌊." and a.usage.total_tokens == 8 and a.choices[0].finish_reason == "stop"
    text = "".join(c.choices[0].delta.content or "" for c in client.chat_completion(HI, stream=True))
    assert text == "Hello, wörld 🌊."
    assert at("thinks").chat.completions.create(messages=HI).choices[0].message.content == "42"
    schema = {"type": "object"}
    client.chat_completion(HI, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}})
    assert asked()["Format"]["Schema"] == schema
    calls = at("tools").chat_completion(HI, tools=[{"type": "function", "function": {"name": "weather", "description": "", "parameters": schema}}]).choices[0].message.tool_calls
    assert [c.function.name for c in calls] == ["weather", "clock"]


def test_vectors():
    v = client.feature_extraction("one")
    assert v.shape == (1, 8) and abs(np.linalg.norm(v) - 1) < 1e-6
    assert np.array_equal(client.feature_extraction("one", normalize=True, truncate=True, truncation_direction="right"), v)
    assert np.array_equal(client.feature_extraction(["two", "one"])[1:], v)
    assert np.array_equal(InferenceClient(base_url=URL + "/embed").feature_extraction("one"), v)
    assert np.array_equal(at("m/pipeline/feature-extraction").feature_extraction("one"), v)


def test_similarity():
    got = client.sentence_similarity("one", ["one", "two"])
    v = client.feature_extraction(["one", "two"])
    assert abs(got[0] - 1) < 1e-6 and abs(got[1] - float(v[0] @ v[1])) < 1e-6


def test_what_a_server_says_of_itself():
    there = InferenceClient(model=URL, provider="hf-inference")
    assert there.get_endpoint_info()["model_id"] == "m" and there.health_check() and there.health_check(model=URL + "/hf/models/m")
    assert there.get_endpoint_info(model=URL + "/hf/models/m")["max_total_tokens"] == 4096


def test_errors_are_the_right_exceptions():
    assert "max_new_tokens is 0" in str(raises(ValidationError, client.text_generation, "hi", max_new_tokens=0))
    assert "best_of" in str(raises(ValidationError, client.text_generation, "hi", best_of=3))
    for model, kind, status in (("too_long", ValidationError, 422), ("busy", OverloadedError, 429), ("limited", OverloadedError, 429), ("breaks", GenerationError, 424),
                                ("denied", UnknownError, 403), ("down", UnknownError, 503), ("late", UnknownError, 504), ("large", ValidationError, 413)):
        for more in ({}, {"stream": True}):
            e = raises(kind, lambda: list(at(model).text_generation("hi", **more)))
            assert "secret" not in str(e) and (model == "breaks" and more or e.__cause__.response.status_code == status), (model, e.__cause__)
    e = raises(HfHubHTTPError, at("nope").chat_completion, HI)
    assert e.response.status_code == 404 and e.response.json()["error_type"] == "not_found"
    e = raises(HfHubHTTPError, at("too_long").feature_extraction, [])
    assert e.response.status_code == 422


def test_an_error_in_the_middle_of_a_text():
    e = raises(GenerationError, lambda: list(at("breaks").text_generation("hi", stream=True)))
    assert "secret" not in str(e)
    assert "secret" not in str(raises(GenerationError, at("breaks").text_generation, "hi"))


def test_keys():
    assert InferenceClient(base_url=KEYED_URL, api_key="right").text_generation("hi") == "Hello, wörld 🌊."
    e = raises(HfHubHTTPError, InferenceClient(base_url=KEYED_URL, api_key="wrong").feature_extraction, "hi")
    assert e.response.status_code == 401 and "wrong" not in e.response.text


def test_pings_are_passed_over():
    assert "".join(at("slow_start").text_generation("hi", stream=True)) == "At last"


def test_who_leaves_frees_the_slot():
    with InferenceClient(base_url=URL + "/hf/models/hangs_later") as c:
        s = c.text_generation("hi", stream=True)
        assert next(s) == "Hel" and get("/test/live") == 1
        del s
    until_idle()
    raises(InferenceTimeoutError, InferenceClient(base_url=URL + "/hf/models/hangs_early", timeout=0.3).text_generation, "hi")
    until_idle()


def test_the_prefix():
    for base in ("", "/hf", "/generate", "/hf/generate"):
        c = InferenceClient(base_url=URL + base)
        assert c.text_generation("hi") == "Hello, wörld 🌊.", base
        assert c.text_generation("hi", details=True).details.generated_tokens == 3, base
        assert "".join(c.text_generation("hi", stream=True)) == "Hello, wörld 🌊.", base
        assert list(c.text_generation("hi", stream=True, details=True))[-1].details.finish_reason == "eos_token", base


async def test_async_clients():
    c = AsyncInferenceClient(base_url=URL)
    assert set(await asyncio.gather(*(c.text_generation("hi") for _ in range(8)))) == {"Hello, wörld 🌊."}


def test_trap_an_end_without_its_space():
    """What the client does with an answer that we must not give. Where this fails, a rule has gone."""
    def read(url):
        c = InferenceClient(base_url=url)  # a client that nobody holds closes its streams
        return list(c.text_generation("hi", stream=True))

    raises(json.JSONDecodeError, read, URL + "/test/raw/hf_done_without_a_space/")
    token = b'data:{"index":1,"token":{"id":1,"text":"a","logprob":-1,"special":false}}\n\n'
    for end in (b"data: [DONE]\n\n", b""):  # TGI itself says none
        assert read(stub("text/event-stream", token + end)) == ["a"]
