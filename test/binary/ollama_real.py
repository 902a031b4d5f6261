"""The official ollama client against real models: ollama_real.py URL"""
import json
import math
import sys

import ollama

client = ollama.Client(host=sys.argv[1], trust_env=False)
SMALL, CODER, EMBED = "smollm2-135m", "qwen2.5-coder-0.5b", "all-minilm-l6-v2"
CAPITAL = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
COLD = {"temperature": 0, "num_predict": 60}


def get_weather(city: str) -> str:
    """The weather of a city.

    Args:
      city: the city's name
    """
    return city


def test_both_models_know_the_capital():
    for model in (SMALL, CODER, SMALL + ":latest"):
        r = client.chat(model, messages=CAPITAL, options=COLD)
        assert "Paris" in r.message.content and r.done_reason == "stop" and r.prompt_eval_count > 5 and r.eval_duration > 0, r


def test_streamed_is_the_same_as_whole():
    whole = client.generate(SMALL, "Tell me a story about a wind, with é, 日本 and 🎉.", options=COLD)
    parts = list(client.generate(SMALL, "Tell me a story about a wind, with é, 日本 and 🎉.", options=COLD, stream=True))
    assert "".join(p.response for p in parts) == whole.response and parts[-1].eval_count == whole.eval_count == 60
    assert parts[-1].done_reason == whole.done_reason == "length" and parts[-1].context == whole.context


def test_a_context_is_remembered():
    first = client.generate(CODER, "My name is Anatole.", system="Answer briefly.", options=COLD)
    assert "Anatole" in client.generate(CODER, "What is my name?", context=first.context, options=COLD).response


def test_a_tool_is_called():
    question = [{"role": "user", "content": "What is the weather in Brest? Use the tool."}]
    for r in (client.chat(CODER, messages=question, tools=[get_weather], options=COLD),
              *[p for p in client.chat(CODER, messages=question, tools=[get_weather], options=COLD, stream=True) if p.message.tool_calls]):
        call = r.message.tool_calls[0].function
        assert call.name == "get_weather" and "Brest" in call.arguments["city"], r


def test_answers_fit_their_schema():
    schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 120}},
              "required": ["name", "age"], "additionalProperties": False}
    person = json.loads(client.chat(SMALL, messages=[{"role": "user", "content": "Invent a person."}], format=schema, options=COLD).message.content)
    assert set(person) == {"name", "age"} and 0 <= person["age"] <= 120


def test_raw_prompts_and_what_is_filled_in():
    r = client.generate(CODER, "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n", raw=True, options=COLD)
    assert "Paris" in r.response and r.context is None, r
    assert "a + b" in client.generate(CODER, "def add(a, b):\n    return ", suffix="\n", options={**COLD, "num_predict": 8}).response


def test_vectors():
    a, b, c = client.embed(EMBED, ["a storm at sea", "a gale on the ocean", "a tax form"]).embeddings
    dot = lambda x, y: sum(i * j for i, j in zip(x, y))
    assert math.isclose(dot(a, a), 1, abs_tol=1e-4) and dot(a, b) > dot(a, c)


def test_models_say_what_they_can():
    assert {SMALL + ":latest", CODER + ":latest", EMBED + ":latest"} <= {m.model for m in client.list().models}
    can = {m: set(client.show(m).capabilities) for m in (SMALL, CODER, EMBED)}
    assert "tools" in can[CODER] and "insert" in can[CODER] and "completion" in can[SMALL] and "completion" not in can[EMBED], can
    info = client.show(CODER).modelinfo
    assert info["general.architecture"] == "qwen2" and info["qwen2.context_length"] > 1000 and info["general.parameter_count"] > 400e6


def test_models_come_and_go():
    client.generate(SMALL, keep_alive="1h")
    assert SMALL + ":latest" in {m.model for m in client.ps().models}
    client.generate(SMALL, keep_alive=0)
    assert SMALL + ":latest" not in {m.model for m in client.ps().models}
    assert "Paris" in client.chat(SMALL, messages=CAPITAL, options=COLD).message.content


def test_what_cannot_be_is_refused():
    for status, call in ((404, lambda: client.chat("llama3", messages=CAPITAL)), (404, lambda: client.pull("llama3")), (400, lambda: client.pull("file:/etc/passwd")),
                         (400, lambda: client.chat(SMALL, messages=[{"role": "user", "content": "word " * 6000}])), (400, lambda: client.chat(SMALL, messages=CAPITAL, think=True)),
                         (400, lambda: client.generate(SMALL, "a", suffix="b")), (400, lambda: client.delete(SMALL))):
        try:
            call()
        except ollama.ResponseError as e:
            assert e.status_code == status and e.error, e
        else:
            raise AssertionError("it was answered")
    assert "Paris" in client.chat(SMALL, messages=CAPITAL, options=COLD).message.content


if __name__ == "__main__":
    from checks import run
    run(globals(), at_once=1)
