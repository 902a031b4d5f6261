"""The official anthropic client against real models: anthropic_real.py URL"""
import sys
import time

import anthropic

client = anthropic.Anthropic(base_url=sys.argv[1], api_key="unused", max_retries=0)
SMALL, CODER = "smollm2-135m", "qwen2.5-coder-0.5b"
CAPITAL = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
WEATHER = {"name": "get_weather", "description": "The weather of a city.",
           "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}


def ask(model=SMALL, messages=CAPITAL, **more):
    return client.messages.create(**{"model": model, "messages": messages, "max_tokens": 60, "extra_body": {"temperature": 0}, **more})


def streamed(model=SMALL, messages=CAPITAL, **more):
    with client.messages.stream(**{"model": model, "messages": messages, "max_tokens": 60, "extra_body": {"temperature": 0}, **more}) as s:
        return s.get_final_message()


def test_both_models_know_the_capital():
    for model in (SMALL, CODER):
        m = ask(model)
        assert "Paris" in m.content[0].text and m.stop_reason == "end_turn", m


def test_streamed_is_the_same_as_whole():
    story = [{"role": "user", "content": "Tell me a story about a wind, with é, 日本 and 🎉."}]
    whole, other = ask(messages=story, max_tokens=80), streamed(messages=story, max_tokens=80)
    assert whole.content[0].text == other.content[0].text and whole.stop_reason == other.stop_reason == "max_tokens"
    assert whole.usage.output_tokens == other.usage.output_tokens == 80


def test_tokens_are_counted_as_they_are_read():
    for more in ({}, {"tools": [WEATHER]}, {"system": "Answer briefly."}):
        n = client.messages.count_tokens(model=CODER, messages=CAPITAL, **more).input_tokens
        u = ask(CODER, max_tokens=1, **more).usage
        assert n == u.input_tokens + u.cache_read_input_tokens, (n, u)


def test_stop_sequences_and_prefill():
    m = ask(messages=[{"role": "user", "content": "Count from 1 to 20, with commas."}], stop_sequences=["7"])
    assert "7" not in m.content[0].text and m.stop_reason == "stop_sequence" and m.stop_sequence == "7", m
    m = ask(CODER, [*CAPITAL, {"role": "assistant", "content": "The capital of France is"}])
    assert m.content[0].text.strip().startswith("Paris"), m


def test_a_tool_is_called_and_its_result_read():
    question = [{"role": "user", "content": "What is the weather in Brest? Use the tool."}]
    for call in (ask, streamed):
        m = call(CODER, question, tools=[WEATHER], tool_choice={"type": "any"})
        use = [b for b in m.content if b.type == "tool_use"][0]
        assert m.stop_reason == "tool_use" and use.name == "get_weather" and isinstance(use.input["city"], str), m
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "Storm, 12 degrees."}
    m = ask(CODER, [*question, {"role": "assistant", "content": m.content}, {"role": "user", "content": [result]},
                    {"role": "user", "content": "How many degrees does the tool tell? Answer in words, without the tool."}])
    assert "12" in m.content[0].text or "twelve" in m.content[0].text.lower(), m


def test_structured_answers_fit_their_schema():
    import json
    schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 120}},
              "required": ["name", "age"], "additionalProperties": False}
    m = ask(SMALL, [{"role": "user", "content": "Invent a person."}], extra_body={"output_config": {"format": {"type": "json_schema", "schema": schema}}})
    person = json.loads(m.content[0].text)
    assert set(person) == {"name", "age"} and 0 <= person["age"] <= 120


def test_a_batch_comes_to_its_results():
    params = {"max_tokens": 40, "temperature": 0, "messages": CAPITAL}
    batch = client.messages.batches.create(requests=[{"custom_id": n, "params": {"model": m, **params}} for n, m in (("small", SMALL), ("coder", CODER), ("nobody", "nobody"))])
    for _ in range(600):
        if batch.processing_status == "ended":
            break
        time.sleep(0.1)
        batch = client.messages.batches.retrieve(batch.id)
    results = {r.custom_id: r.result for r in client.messages.batches.results(batch.id)}
    assert all("Paris" in results[m].message.content[0].text for m in ("small", "coder")) and results["nobody"].type == "errored", results


def test_what_cannot_be_is_refused():
    for more, word in (({"messages": [{"role": "user", "content": "word " * 6000}]}, "prompt is too long"),
                       ({"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}, "does not reason")):
        try:
            ask(**more)
        except anthropic.BadRequestError as e:
            assert word in str(e), e
        else:
            raise AssertionError(f"it was answered: {more}")


if __name__ == "__main__":
    from checks import run
    run(globals())
