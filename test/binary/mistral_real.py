"""The official mistralai client against real models: mistral_real.py URL"""
import sys

try:
    from mistralai.client import Mistral, errors
except ImportError:  # the older generation
    from mistralai import Mistral, models as errors

client = Mistral(server_url=sys.argv[1], api_key="unused")
SMALL, CODER, VECTORS = "smollm2-135m", "qwen2.5-coder-0.5b", "all-minilm-l6-v2"
CAPITAL = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "The weather of a city.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


def ask(model=SMALL, messages=CAPITAL, **more):
    return client.chat.complete(**{"model": model, "messages": messages, "max_tokens": 60, "temperature": 0, **more})


def test_both_models_know_the_capital():
    for model in (SMALL, CODER):
        a = ask(model)
        assert "Paris" in a.choices[0].message.content and a.choices[0].finish_reason == "stop", a


def test_streamed_is_the_same_as_whole():
    story = {"messages": [{"role": "user", "content": "Tell me a story about a wind, with é, 日本 and 🎉."}], "max_tokens": 80, "temperature": 1, "random_seed": 7}
    whole = ask(**story)
    chunks = [e.data for e in client.chat.stream(model=SMALL, **story)]
    assert "".join(c.choices[0].delta.content for c in chunks) == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens == 80


def test_an_answer_goes_on_where_it_was_begun():
    text = ask(messages=[*CAPITAL, {"role": "assistant", "content": "The capital of France is", "prefix": True}], max_tokens=5).choices[0].message.content
    assert text.startswith(" Paris"), text


def test_a_tool_is_called_and_its_result_is_read():
    question = [{"role": "user", "content": "What is the weather in Brest?"}]
    a = ask(CODER, question, tools=[WEATHER], tool_choice="any").choices[0]
    call = a.message.tool_calls[0]
    assert a.finish_reason == "tool_calls" and call.function.name == "get_weather" and "Brest" in call.function.arguments and len(call.id) == 9
    b = ask(CODER, [*question, a.message, {"role": "tool", "tool_call_id": call.id, "content": "storm, 9 degrees"}], tools=[WEATHER])
    assert "storm" in b.choices[0].message.content.lower(), b


def test_the_middle_is_filled():
    a = client.fim.complete(model=CODER, prompt="def add(a, b):\n    return", suffix="\n", max_tokens=8, temperature=0)
    assert a.choices[0].message.content.startswith(" a + b"), a
    try:
        client.fim.complete(model=SMALL, prompt="a", suffix="b")
    except errors.SDKError as e:
        assert e.status_code == 400 and CODER in e.body
    else:
        raise AssertionError("a model without the tokens has filled in")


def test_schemas_bind():
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Brest"]}}, "required": ["city"], "additionalProperties": False}
    a = ask(CODER, response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema, "strict": True}})
    assert a.choices[0].message.content.replace(" ", "") in ('{"city":"Paris"}', '{"city":"Brest"}'), a


def test_vectors_tell_what_is_near():
    d = client.embeddings.create(model=VECTORS, inputs=["a storm at sea", "gale over the ocean", "the price of bread"]).data
    near, far = (sum(x * y for x, y in zip(d[0].embedding, d[i].embedding)) for i in (1, 2))
    assert near > far + 0.2, (near, far)


if __name__ == "__main__":
    from checks import run
    run(globals())
