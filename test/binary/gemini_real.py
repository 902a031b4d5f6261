"""The official google-genai client against real models: gemini_real.py URL"""
import json
import sys

import pydantic
from google import genai
from google.genai import errors, types

client = genai.Client(api_key="unused", http_options=types.HttpOptions(base_url=sys.argv[1]))
SMALL, CODER, VECTORS = "smollm2-135m", "qwen2.5-coder-0.5b", "all-minilm-l6-v2"
CAPITAL = "What is the capital of France? Answer in one word."
STORY = "Tell me a story about a wind, with é, 日本 and 🎉."
WEATHER = types.Tool(function_declarations=[types.FunctionDeclaration(name="get_weather", description="The weather of a city.", parameters=types.Schema(
    type="OBJECT", properties={"city": types.Schema(type="STRING")}, required=["city"]))])


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=20)
    age: int = pydantic.Field(ge=0, le=120)


def ask(model=SMALL, contents=CAPITAL, **more):
    return client.models.generate_content(model=model, contents=contents, config=types.GenerateContentConfig(**{"temperature": 0, "max_output_tokens": 60, **more}))


def streamed(model=SMALL, contents=CAPITAL, **more):
    return list(client.models.generate_content_stream(model=model, contents=contents, config=types.GenerateContentConfig(**{"temperature": 0, "max_output_tokens": 60, **more})))


def test_both_models_know_the_capital():
    for model in (SMALL, CODER):
        a = ask(model)
        assert "Paris" in a.text and a.candidates[0].finish_reason == types.FinishReason.STOP, a


def test_streamed_is_the_same_as_whole():
    whole, pieces = ask(contents=STORY), streamed(contents=STORY)
    assert "".join(p.text or "" for p in pieces) == whole.text
    assert pieces[-1].candidates[0].finish_reason == whole.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert pieces[-1].usage_metadata.candidates_token_count == whole.usage_metadata.candidates_token_count == 60


def test_tokens_are_counted_as_they_are_read():
    assert client.models.count_tokens(model=CODER, contents=CAPITAL).total_tokens == ask(CODER, max_output_tokens=1).usage_metadata.prompt_token_count


def test_a_tool_is_called():
    must = types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode="ANY"))
    more = {"tools": [WEATHER], "tool_config": must, "automatic_function_calling": types.AutomaticFunctionCallingConfig(disable=True)}
    question = "What is the weather in Brest? Use the tool."
    for calls in (ask(CODER, question, **more).function_calls, [c for p in streamed(CODER, question, **more) for c in p.function_calls or []]):
        assert calls[0].name == "get_weather" and isinstance(calls[0].args["city"], str), calls


def test_a_schema_is_obeyed():
    a = ask(SMALL, "Invent a person.", response_mime_type="application/json", response_schema=Person)
    assert isinstance(a.parsed, Person) and set(json.loads(a.text)) == {"name", "age"}


def test_vectors_have_a_meaning():
    wind, gale, bread = (e.values for e in client.models.embed_content(model=VECTORS, contents=["a strong wind", "a gale", "the price of bread"]).embeddings)
    near = lambda a, b: sum(x * y for x, y in zip(a, b))
    assert len(wind) == 384 and near(wind, gale) > near(wind, bread) + 0.2


def test_models_are_listed():
    assert {m.name for m in client.models.list()} >= {"models/" + m for m in (SMALL, CODER, VECTORS)}


def test_what_cannot_be_is_refused():
    for call, code, status in ((lambda: ask("nobody"), 404, "NOT_FOUND"), (lambda: ask(contents="word " * 6000), 400, "INVALID_ARGUMENT")):
        try:
            call()
        except errors.ClientError as e:
            assert (e.code, e.status) == (code, status), e
        else:
            raise AssertionError(status)


if __name__ == "__main__":
    from checks import run
    run(globals())
