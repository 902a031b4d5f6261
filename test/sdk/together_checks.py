"""What both generations of Together's Python client make of the Together surface."""
import asyncio
import warnings

warnings.filterwarnings("ignore")  # the older one's, of what it imports
import together

from common import KEYED_URL, URL, asked, get, raises, until_idle

OLD = int(getattr(together, "__version__", together.version if hasattr(together, "version") else "1").split(".")[0]) == 1
ROOT = "/v1" if OLD else ""  # the newer one adds the version itself
client = together.Together(base_url=URL + ROOT, api_key="any", max_retries=0)
HI = [{"role": "user", "content": "hi"}]
TOOLS = [{"type": "function", "function": {"name": n, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}} for n in ("weather", "clock")]


def say(model, **more):
    return client.chat.completions.create(model=model, messages=HI, **more)


def test_a_plain_answer():
    a = say("plain", temperature=0.5, top_k=3, min_p=0.1, repetition_penalty=1.1, seed=7, stop=["END"], max_tokens=9)
    c = a.choices[0]
    assert c.message.content == "Hello, wörld 🌊." and str(getattr(c.finish_reason, "value", c.finish_reason)) == "eos" and a.prompt == [] and c.seed == 7
    assert a.usage.total_tokens == 8 and a.model == "plain" and a.id
    r = asked()
    assert r["Sampling"]["TopK"] == 3 and r["Sampling"]["MinP"] == 0.1 and r["Sampling"]["Seed"] == 7 and r["Stop"] == ["END"]


def test_streamed_and_whole_answers_are_one():
    for model in ("plain", "short", "refuses", "thinks"):
        whole, chunks = say(model), list(say(model, stream=True))
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == whole.choices[0].message.content, model
        assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason and chunks[-1].usage.total_tokens == whole.usage.total_tokens


def test_tools_are_called():
    a = say("tools", tools=TOOLS, tool_choice="required")
    calls = a.choices[0].message.tool_calls
    assert [(c.id, c.function.name, c.function.arguments) for c in calls] == [("call_1", "weather", '{"city": "Brest"}'), ("call_2", "clock", "{}")]
    assert asked()["ToolChoice"]["Mode"] == 2


def test_probabilities():
    l = say("tokens", logprobs=2).choices[0].logprobs
    assert l.tokens[0] == "H" and l.token_logprobs == [-0.25, -0.5, -0.125, -1, -1] and asked()["Logprobs"] == 2
    if not OLD:
        assert l.token_ids == [11, 13, 14, 15, 17]
        assert [c.choices[0].delta.token_id for c in say("tokens", logprobs=1, stream=True)] == [11, 13, 14, 15, 17, None]


def test_a_text_is_continued():
    a = client.completions.create(model="tokens", prompt="hi", max_tokens=9, echo=True, logprobs=1)
    assert a.choices[0].text == "Hé you." and a.prompt[0].text == "hi" and a.prompt[0].logprobs.token_logprobs == [None, -1.5]
    chunks = list(client.completions.create(model="tokens", prompt="hi", stream=True))
    assert "".join(c.choices[0].text or "" for c in chunks) == "Hé you."


def test_structured_answers():
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    say("person", response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}} if not OLD else {"type": "json_object", "schema": schema})
    assert asked()["Format"]["Schema"] == schema


def test_vectors():
    e = client.embeddings.create(model="m", input=["one", "two"])
    assert [d.index for d in e.data] == [0, 1] and len(e.data[0].embedding) == 8


def test_documents_are_ranked():
    r = client.rerank.create(model="m", query="tall penguins", documents=["small things", "tall penguins", "tall trees"], top_n=2)
    assert [x.index for x in r.results] == [1, 2] and r.object == "rerank" and r.usage.total_tokens > 0
    r = client.rerank.create(model="m", query="tall", documents=[{"t": "x", "b": "tall"}, {"t": "tall"}], rank_fields=["t"], return_documents=True)
    assert r.results[0].index == 1 and r.results[0].relevance_score == 1


def test_models():
    if OLD:
        assert [m.id for m in client.models.list()] == ["m", "org/m:q4"]
    else:
        assert [m["id"] for m in client.get("/v1/models", cast_to=object)] == ["m", "org/m:q4"]
        assert "GET /v1/models" in str(raises(together.NotFoundError, client.get, "/v2/projects/p/models", cast_to=object))


def test_errors_are_the_right_exceptions():
    if OLD:
        kinds = dict.fromkeys(("too_long", "nope", "limited", "busy", "quota", "denied", "down", "late", "large"), together.error.TogetherException)
        denied = together.error.AuthenticationError
    else:
        kinds = {"too_long": together.BadRequestError, "nope": together.NotFoundError, "limited": together.RateLimitError, "busy": together.InternalServerError,
                 "quota": together.RateLimitError, "denied": together.PermissionDeniedError, "down": together.InternalServerError, "late": together.InternalServerError, "large": together.APIStatusError}
        denied = together.AuthenticationError
    for model, kind in kinds.items():
        for ask in (say, lambda model: list(say(model, stream=True))):
            assert "secret" not in str(raises(kind, ask, model))
    assert "9000 tokens" in str(raises(kinds["too_long"], say, "too_long"))
    assert together.Together(base_url=KEYED_URL + ROOT, api_key="right").embeddings.create(model="m", input="a").data
    assert "secret" not in str(raises(denied, together.Together(base_url=KEYED_URL + ROOT, api_key="a secret", max_retries=0).chat.completions.create, model="m", messages=HI))


def test_an_error_in_the_middle_of_a_stream():
    # The older client passes error events over: so the stream is cut, which it notices.
    e = raises(Exception if OLD else together.APIError, lambda: list(say("breaks", stream=True)))
    assert "secret" not in str(e) and (type(e).__name__ == "ChunkedEncodingError" if OLD else "internal error" in str(e)), e


def test_pings_are_passed_over():
    assert "".join(c.choices[0].delta.content or "" for c in say("slow_start", stream=True)) == "At last"


def test_who_leaves_frees_the_slot():
    if OLD:
        return
    s = say("hangs", stream=True)
    assert next(iter(s)).choices[0].delta.content == "Hel" and get("/test/live") == 1
    s.close()
    until_idle()


def test_the_prefix():
    c = together.Together(base_url=URL + "/together" + ROOT, api_key="any")
    assert c.chat.completions.create(model="plain", messages=HI).choices[0].message.content == "Hello, wörld 🌊."


async def test_async_clients():
    c = together.AsyncTogether(base_url=URL + ROOT, api_key="any")
    answers = await asyncio.gather(*(c.chat.completions.create(model="plain", messages=HI) for _ in range(8)))
    assert {a.choices[0].message.content for a in answers} == {"Hello, wörld 🌊."}


def test_trap_an_error_event_that_ends_well():
    """What the clients do with an error in a stream that is not cut after it. Where this fails, a rule has gone."""
    c = together.Together(base_url=f"{URL}/test/raw/together_error_event{ROOT}", api_key="any", max_retries=0)
    if OLD:
        assert len(list(c.chat.completions.create(model="m", messages=HI, stream=True))) == 2
    else:
        raises(together.APIError, lambda: list(c.chat.completions.create(model="m", messages=HI, stream=True)))
