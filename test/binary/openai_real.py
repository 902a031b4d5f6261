"""The official openai client against real models: openai_real.py URL"""
import json
import re
import sys
import time
import urllib.request

import openai
import pydantic

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
    parts = list(ask(messages=[{"role": "user", "content": "Count from 1 to 20, with commas."}], stop=[", 7", "7"], stream=True))
    assert "".join(p.choices[0].delta.content or "" for p in parts) == r.choices[0].message.content and parts[-1].choices[0].finish_reason == "stop"


def test_a_prompt_that_is_too_long_is_refused():
    try:
        ask(messages=[{"role": "user", "content": "word " * 6000}])
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


class City(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=20)
    inhabitants: int


def test_answers_are_parsed():
    about = [{"role": "user", "content": "A large city of France, as JSON."}]
    parsed = client.chat.completions.parse(model=SMALL, messages=about, response_format=City, temperature=0, max_tokens=100).choices[0].message.parsed
    assert isinstance(parsed, City)
    other = client.responses.parse(model=SMALL, input=about, text_format=City, temperature=0, max_output_tokens=100)
    assert other.output_parsed == parsed, other
    try:
        client.chat.completions.parse(model=SMALL, messages=about, response_format=City, max_tokens=1)
    except openai.LengthFinishReasonError as e:
        assert e.completion.usage.completion_tokens == 1
    else:
        raise AssertionError("one token was enough")


def tokens_of(text):
    body = json.dumps({"model": SMALL, "inputs": text, "add_special_tokens": False}).encode()
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(urllib.request.Request(sys.argv[1] + "/hf/tokenize", body, {"Content-Type": "application/json"}), timeout=30) as r:
        return [t["id"] for t in json.load(r)[0]]


def test_completions_continue_and_echo():
    r = client.completions.create(model=SMALL, prompt="The capital of France is", max_tokens=5, temperature=0)
    assert "Paris" in r.choices[0].text, r
    r = client.completions.create(model=SMALL, prompt="The capital of France is", max_tokens=1, temperature=0, echo=True, logprobs=2)
    assert r.choices[0].text.startswith("The capital of France is") and r.choices[0].logprobs.token_logprobs[0] is None, r
    # The same prompt as tokens, as evaluations send it.
    ids = tokens_of("The capital of France is")
    same = client.completions.create(model=SMALL, prompt=ids, max_tokens=1, temperature=0, echo=True, logprobs=2).choices[0]
    assert (same.text, same.logprobs.token_logprobs) == (r.choices[0].text, r.choices[0].logprobs.token_logprobs), same
    assert same.logprobs.text_offset == sorted(same.logprobs.text_offset) and len(same.logprobs.tokens) == len(ids) + 1


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
    floats = client.embeddings.create(model=EMBED, input=["a cat", "a kitten", "a theorem"], encoding_format="float")
    assert all(abs(x - y) < 1e-6 for d, f in zip(r.data, floats.data) for x, y in zip(d.embedding, f.embedding))


def test_models_are_listed():
    assert {SMALL, CODER, EMBED} <= {m.id for m in client.models.list()}
    assert client.models.retrieve("default").id and client.models.retrieve(SMALL).id == SMALL
    for call in (lambda: client.models.retrieve("nobody"), lambda: ask("nobody")):
        try:
            call()
        except openai.NotFoundError as e:
            assert e.code == "model_not_found"
        else:
            raise AssertionError("it was found")


def test_azures_client_is_answered_the_same():
    azure = openai.AzureOpenAI(azure_endpoint=sys.argv[1], api_version="2024-10-21", api_key="unused", max_retries=0)
    assert azure.chat.completions.create(model=SMALL, messages=CAPITAL, temperature=0, max_tokens=40).choices[0].message.content == ask().choices[0].message.content
    assert azure.responses.create(model=SMALL, input=CAPITAL, temperature=0, max_output_tokens=40).output_text == ask().choices[0].message.content
    assert azure.embeddings.create(model=EMBED, input="a cat").data[0].embedding == client.embeddings.create(model=EMBED, input="a cat").data[0].embedding


def settled(r):
    for _ in range(600):
        if r.status not in ("queued", "in_progress"):
            return r
        time.sleep(0.05)
        r = client.responses.retrieve(r.id)
    raise AssertionError(r)


def test_responses_are_kept_gone_on_from_and_cancelled():
    first = client.responses.create(model=CODER, input="My name is Anatole.", temperature=0, max_output_tokens=40)
    assert client.responses.retrieve(first.id).output_text == first.output_text
    assert "Anatole" in client.responses.create(model=CODER, input="What is my name?", previous_response_id=first.id, temperature=0, max_output_tokens=40).output_text
    r = client.responses.create(model=SMALL, input=CAPITAL, temperature=0, max_output_tokens=40, background=True)
    assert settled(r).output_text == ask().choices[0].message.content
    r = client.responses.create(model=SMALL, input="Write a very long story.", max_output_tokens=1900, background=True)
    assert client.responses.cancel(r.id).status == "cancelled" and settled(r).status == "cancelled"


def test_a_batch_comes_to_its_results():
    lines = [{"custom_id": f"c{i}", "method": "POST", "url": "/v1/chat/completions", "body": {"model": m, "messages": CAPITAL, "temperature": 0, "max_tokens": 40}}
             for i, m in enumerate((SMALL, CODER, "nobody"))]
    file = client.files.create(file=("in.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch")
    b = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    for _ in range(600):
        if b.status in ("completed", "failed"):
            break
        time.sleep(0.05)
        b = client.batches.retrieve(b.id)
    results = [json.loads(line) for id in (b.output_file_id, b.error_file_id) for line in client.files.content(id).text.splitlines()]
    answers = {r["custom_id"]: r["response"]["body"] for r in results}
    assert set(answers) == {"c0", "c1", "c2"} and answers["c2"]["error"]["code"] == "model_not_found"
    assert all("Paris" in answers[id]["choices"][0]["message"]["content"] for id in ("c0", "c1")), answers


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
    from checks import run
    run(globals())
