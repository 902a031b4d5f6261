"""The official openai client against real models: openai_real.py URL"""
import json
import re
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="unused", max_retries=0)
SMALL, CODER, EMBED = "smollm2-135m", "qwen2.5-coder-0.5b", "all-minilm-l6-v2"
CAPITAL = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]


def ask(model=SMALL, messages=CAPITAL, **more):
    return client.chat.completions.create(model=model, messages=messages, **{"temperature": 0, "max_tokens": 40, **more})


def test_both_models_know_the_capital():
    for model in (SMALL, CODER):
        r = ask(model)
        assert "Paris" in r.choices[0].message.content, r
        assert r.usage.total_tokens == r.usage.prompt_tokens + r.usage.completion_tokens, r
        assert r.choices[0].finish_reason == "stop", r


def test_streamed_is_the_same_as_whole():
    story = [{"role": "user", "content": "Tell me a story about a wind, with é, 日本 and 🎉."}]
    whole = ask(messages=story, max_tokens=80)
    parts = list(ask(messages=story, max_tokens=80, stream=True, stream_options={"include_usage": True}))
    assert "".join(p.choices[0].delta.content or "" for p in parts if p.choices) == whole.choices[0].message.content
    assert parts[-1].usage.completion_tokens == whole.usage.completion_tokens == 80
    assert [p.choices[0].finish_reason for p in parts if p.choices][-1] == whole.choices[0].finish_reason == "length"


def test_seeds_repeat_and_choices_differ():
    a, b = (ask(temperature=1.2, seed=7, n=3, max_tokens=20) for _ in range(2))
    assert [c.message.content for c in a.choices] == [c.message.content for c in b.choices]
    assert len({c.message.content for c in a.choices}) > 1


def test_stop_strings_and_logprobs():
    r = ask(messages=[{"role": "user", "content": "Count from 1 to 20, with commas."}], stop=[", 7", "7"], logprobs=True, top_logprobs=3)
    assert "7" not in r.choices[0].message.content and r.choices[0].finish_reason == "stop", r
    tokens = r.choices[0].logprobs.content
    assert all(len(t.top_logprobs) == 3 and t.logprob <= 0 for t in tokens)
    assert bytes(b for t in tokens for b in t.bytes).decode().startswith(r.choices[0].message.content)


def test_a_prompt_that_is_too_long_is_refused():
    try:
        ask(messages=[{"role": "user", "content": "word " * 4000}])
    except openai.BadRequestError as e:
        assert e.code == "context_length_exceeded", e.body
    else:
        raise AssertionError("it was answered")


def test_a_conversation_is_remembered():
    r = ask(CODER, [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "My name is Anatole."},
                    {"role": "assistant", "content": "Hello Anatole."}, {"role": "user", "content": "What is my name?"}])
    assert "Anatole" in r.choices[0].message.content, r
    again = ask(CODER, [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "My name is Anatole."},
                        {"role": "assistant", "content": "Hello Anatole."}, {"role": "user", "content": "What is my name?"}])
    assert again.usage.prompt_tokens_details.cached_tokens > 20, again.usage


def test_the_small_coder_calls_a_tool():
    tools = [{"type": "function", "function": {"name": "get_weather", "description": "Get the weather of a city",
              "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
    r = ask(CODER, [{"role": "user", "content": "What is the weather in Nantes? Use the tool."}], tools=tools, tool_choice="required", max_tokens=100)
    call = r.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather" and "Nantes" in json.loads(call.function.arguments)["city"], r


def test_the_small_coder_calls_custom_tools():
    program = 'for i in range(3):\n    print("é", i)'
    tools = [{"type": "custom", "custom": {"name": "python", "description": "Executes Python code. The input is the source code."}},
             {"type": "custom", "custom": {"name": "dial", "description": "Dials a number.", "format": {
                 "type": "grammar", "grammar": {"syntax": "regex", "definition": "\\+[0-9]{2,3} [0-9]{6}"}}}}]
    demand = {"messages": [{"role": "user", "content": "Run this: " + program}], "tools": tools[:1],
              "tool_choice": {"type": "custom", "custom": {"name": "python"}}, "parallel_tool_calls": False, "max_tokens": 100}
    call = ask(CODER, **demand).choices[0].message.tool_calls[0]
    assert (call.type, call.custom.name, call.custom.input) == ("custom", "python", program), call
    pieces = [p for c in ask(CODER, stream=True, **demand) for p in c.choices[0].delta.tool_calls or []]
    assert "".join(p.custom["input"] for p in pieces) == program and len(pieces) > 4, pieces
    call = ask(CODER, **demand | {"tools": tools, "tool_choice": {"type": "custom", "custom": {"name": "dial"}}}).choices[0].message.tool_calls[0]
    assert call.custom.name == "dial" and re.fullmatch(r"\+[0-9]{2,3} [0-9]{6}", call.custom.input), call
    first = client.responses.create(model=CODER, input="Run this: " + program, tools=[{"type": "custom", **tools[0]["custom"]}],
                                    tool_choice={"type": "custom", "name": "python"}, parallel_tool_calls=False, temperature=0, max_output_tokens=100)
    assert (first.output[0].type, first.output[0].input) == ("custom_tool_call", program), first
    after = client.responses.create(model=CODER, previous_response_id=first.id, temperature=0, max_output_tokens=60, input=[
        {"type": "custom_tool_call_output", "call_id": first.output[0].call_id, "output": "é 0\né 1\né 2"},
        {"role": "user", "content": "Repeat what the program printed."}])
    assert "é 2" in after.output_text, after


def test_a_schema_is_obeyed():
    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}, "inhabitants": {"type": "integer"}},
              "required": ["city", "inhabitants"], "additionalProperties": False}
    r = ask(SMALL, [{"role": "user", "content": "A large city of France, as JSON."}], max_tokens=100,
            response_format={"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": schema}})
    assert set(json.loads(r.choices[0].message.content)) == {"city", "inhabitants"}, r


def test_completions_continue_and_echo():
    r = client.completions.create(model=SMALL, prompt="The capital of France is", max_tokens=5, temperature=0)
    assert "Paris" in r.choices[0].text, r
    r = client.completions.create(model=SMALL, prompt="The capital of France is", max_tokens=1, temperature=0, echo=True, logprobs=2)
    assert r.choices[0].text.startswith("The capital of France is") and r.choices[0].logprobs.token_logprobs[0] is None, r


def test_the_coder_fills_in_the_middle():
    r = client.completions.create(model=CODER, prompt="def add(a, b):\n    return ", suffix="\n\nprint(add(1, 2))\n", max_tokens=16, temperature=0)
    assert "a + b" in r.choices[0].text, r
    try:
        client.completions.create(model=SMALL, prompt="a", suffix="b", max_tokens=4)
    except openai.BadRequestError as e:
        assert e.param == "suffix", e.body
    else:
        raise AssertionError("it was answered")


def test_embeddings_have_a_meaning():
    r = client.embeddings.create(model=EMBED, input=["a cat", "a kitten", "a theorem"])
    a, b, c = (d.embedding for d in r.data)
    assert sum(x * y for x, y in zip(a, b)) > sum(x * y for x, y in zip(a, c)) + 0.2


def test_models_are_listed():
    assert {SMALL, CODER, EMBED} <= {m.id for m in client.models.list()}
    assert client.models.retrieve("default").id


def test_responses_are_what_chats_are():
    chat = ask(max_tokens=20).choices[0].message.content
    whole = client.responses.create(model=SMALL, input=CAPITAL, temperature=0, max_output_tokens=20)
    assert whole.output_text == chat and whole.status == "completed", whole
    with client.responses.stream(model=SMALL, input=CAPITAL, temperature=0, max_output_tokens=20) as s:
        numbers = [e.sequence_number for e in s]
        assert s.get_final_response().output_text == chat
    assert numbers == list(range(len(numbers)))


def test_many_prompts_are_answered_in_their_places():
    prompts = ["The capital of France is", "One, two, three,", "Once upon a"] * 5
    alone = [client.completions.create(model=SMALL, prompt=p, temperature=0, max_tokens=4).choices[0].text for p in prompts[:3]]
    together = client.completions.create(model=SMALL, prompt=prompts, temperature=0, max_tokens=4)
    assert [c.text for c in together.choices] == alone * 5, together
    streamed = [""] * 15
    for part in client.completions.create(model=SMALL, prompt=prompts, temperature=0, max_tokens=4, stream=True):
        streamed[part.choices[0].index] += part.choices[0].text
    assert streamed == alone * 5


def test_a_model_that_cannot_moderate_says_so():
    try:
        client.moderations.create(model=SMALL, input="I will kill you.")
    except openai.BadRequestError as e:
        assert "cannot moderate" in str(e) and e.param == "model", e.body
    else:
        raise AssertionError("a small model passed for a moderator")


if __name__ == "__main__":
    names = [n for n in sorted(globals()) if n.startswith("test_") and (len(sys.argv) < 3 or sys.argv[2] in n)]
    failed = 0
    for name in names:
        try:
            globals()[name]()
            print("ok", name, flush=True)
        except Exception as e:
            failed += 1
            print("FAILED", name, type(e).__name__, str(e)[:1500], flush=True)
    if failed:
        raise SystemExit(f"{failed} of {len(names)} checks failed")
    print(f"{len(names)} checks passed")
