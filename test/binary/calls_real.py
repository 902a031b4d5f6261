"""Tool calls of a real model that are strict, or cut short, through the official clients: calls_real.py URL"""
import functools
import json
import sys

import anthropic
import boto3
import cohere
import jsonschema
import openai
from botocore.config import Config
from google import genai
from google.genai import types
from mistralai.client import Mistral

import checks

URL, CODER = sys.argv[1], "qwen2.5-coder-0.5b"
client = openai.OpenAI(base_url=URL + "/v1", api_key="unused", max_retries=0)
SCHEMA = {"type": "object", "properties": {"number": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"}, "priority": {"enum": ["low", "high"]}},
          "required": ["number", "priority"], "additionalProperties": False}
ORDER = {"name": "find_order", "description": "Looks an order up.", "parameters": SCHEMA}
TOOLS = [{"type": "function", "function": {**ORDER, "strict": True}},
         {"type": "function", "function": {"name": "open_hours", "description": "Tells the opening hours of a day.", "strict": True, "parameters": {
             "type": "object", "properties": {"day": {"enum": ["Mon", "Tue", "Wed", "Thu", "Fri"]}}, "required": ["day"], "additionalProperties": False}}}]
FIND = [{"role": "user", "content": "Find order 12 please."}]


def ask(question="Find order 12 please.", **more):
    demand = {"model": CODER, "messages": [{"role": "user", "content": question}], "tools": TOOLS, "temperature": 0, "max_tokens": 80, **more}
    whole, chunks = checks.together(lambda: client.chat.completions.create(**demand).choices[0],
                                    lambda: list(client.chat.completions.create(stream=True, **demand)))
    calls, text, finish = {}, "", None
    for chunk in chunks:
        delta, finish = chunk.choices[0].delta, chunk.choices[0].finish_reason or finish
        text += delta.content or ""
        for c in delta.tool_calls or []:
            call = calls.setdefault(c.index, ["", ""])
            call[0] += c.function.name or ""
            call[1] += c.function.arguments or ""
    assert finish == whole.finish_reason and text == (whole.message.content or ""), (finish, text, whole)
    assert list(calls.values()) == [[c.function.name, c.function.arguments] for c in whole.message.tool_calls or []], (calls, whole)
    return whole


def ask_all(*demands):
    return checks.together(*(functools.partial(ask, **d) for d in demands))


def test_strict_calls_fit_their_schema_under_auto():
    questions = ["Find order 12 please.", "Where is my order fr 77 45?", "Look up the order number 9, it is urgent.", "Are you open on Tuesday?", "When do you open on Sunday?", "Find the orders 1 and 2."]
    schemas, called = {t["function"]["name"]: t["function"]["parameters"] for t in TOOLS}, []
    for whole in ask_all(*({"question": q, "temperature": t, "seed": seed} for t in (0, 1) for seed, q in enumerate(questions))):
        for c in whole.message.tool_calls or []:
            jsonschema.validate(json.loads(c.function.arguments), schemas[c.function.name])
            called.append(c.function.name)
    assert called.count("find_order") > 3 and "open_hours" in called, called


def test_json_that_is_no_call_is_still_answered():
    whole = ask("Do not call a tool. Answer with nothing but this JSON: {\"name\": \"Ann\", \"age\": 7}")
    assert "Ann" in whole.message.content and not whole.message.tool_calls and whole.finish_reason == "stop", whole


def test_a_response_format_leaves_calls_possible():
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "properties": {"answer": {"type": "string", "maxLength": 40}}, "required": ["answer"]}}}
    for whole in ask_all({"response_format": form}, {"question": "What is the capital of France?", "response_format": form}):
        if whole.message.tool_calls:
            jsonschema.validate(json.loads(whole.message.tool_calls[0].function.arguments), SCHEMA)
        else:
            assert list(json.loads(whole.message.content)) == ["answer"], whole


def test_forced_calls_are_calls_of_any_number_of_tokens():
    arguments, complete = "", 0
    counts = (1, 2, 5, 9, 12, 15, 17, 18, 20, 22, 24, 25, 28, 32, 36, 40)
    forced = {"tool_choice": {"type": "function", "function": {"name": "find_order"}}, "parallel_tool_calls": False}
    for tokens, whole in zip(counts, ask_all(*({"max_tokens": n, **forced} for n in counts))):
        (call,), text = whole.message.tool_calls, whole.message.tool_calls[0].function.arguments
        assert call.function.name == "find_order" and not whole.message.content, whole
        try:
            jsonschema.validate(json.loads(text), SCHEMA)
            complete += 1
        except json.JSONDecodeError:
            assert whole.finish_reason == "length" and not complete and text.startswith(arguments), (tokens, whole)
            arguments = text
    assert complete > 2 and len(arguments) > 5, (complete, arguments)


def test_required_calls_that_are_cut_are_named_when_they_can_be():
    counts = (2, 9, 12)
    for tokens, whole in zip(counts, ask_all(*({"tool_choice": "required", "max_tokens": n} for n in counts))):
        assert whole.finish_reason == "length" and not whole.message.content and bool(whole.message.tool_calls) == (tokens > 8), (tokens, whole)


def test_responses_are_incomplete():
    tools = [{"type": "function", **ORDER, "strict": True}]
    for tokens in (4, 20):
        demand = {"model": CODER, "input": FIND, "tools": tools, "tool_choice": {"type": "function", "name": "find_order"}, "temperature": 0, "max_output_tokens": tokens}
        whole = client.responses.create(**demand)
        (item,) = whole.output
        assert (whole.status, whole.incomplete_details.reason, item.type, item.status, item.name) == ("incomplete", "max_output_tokens", "function_call", "incomplete", "find_order"), whole
        events = list(client.responses.create(stream=True, **demand))
        assert events[-1].type == "response.incomplete" and events[-1].response.output[0].arguments == item.arguments, events[-1]
        assert "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta") == item.arguments


def test_anthropic_stops_at_max_tokens():
    claude = anthropic.Anthropic(base_url=URL, api_key="unused", max_retries=0)
    for tokens in (3, 20):
        demand = {"model": CODER, "messages": FIND, "max_tokens": tokens, "extra_body": {"temperature": 0}, "tool_choice": {"type": "tool", "name": "find_order"},
                  "tools": [{"name": "find_order", "description": "Looks an order up.", "input_schema": SCHEMA}]}
        whole = claude.messages.create(**demand)
        with claude.messages.stream(**demand) as s:
            streamed = s.get_final_message()
        (block,) = whole.content
        assert (block.type, block.name, whole.stop_reason) == ("tool_use", "find_order", "max_tokens"), whole
        assert (streamed.content[0].input, streamed.content[0].name, streamed.stop_reason) == (block.input, "find_order", "max_tokens"), streamed


def test_others_say_it_in_their_words():
    m = Mistral(server_url=URL, api_key="unused")
    demand = {"model": CODER, "messages": FIND, "tools": [{"type": "function", "function": ORDER}], "tool_choice": "any", "max_tokens": 6, "temperature": 0}
    whole, chunks = m.chat.complete(**demand).choices[0], [e.data for e in m.chat.stream(**demand)]
    assert (whole.message.tool_calls[0].function.name, whole.finish_reason) == ("find_order", "length"), whole
    assert [c.function.name for k in chunks for c in k.choices[0].delta.tool_calls or []] == ["find_order"] and chunks[-1].choices[0].finish_reason == "length", chunks
    c = cohere.ClientV2(base_url=URL, api_key="unused")
    demand = {"model": CODER, "messages": FIND, "tools": [{"type": "function", "function": ORDER}], "tool_choice": "REQUIRED", "max_tokens": 6, "temperature": 0}
    whole, events = c.chat(**demand), list(c.chat_stream(**demand))
    assert (whole.message.tool_calls[0].function.name, whole.finish_reason) == ("find_order", "MAX_TOKENS"), whole
    assert [e.delta.message.tool_calls.function.name for e in events if e.type == "tool-call-start"] == ["find_order"] and events[-1].delta.finish_reason == "MAX_TOKENS", events
    b = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=URL, aws_access_key_id="any", aws_secret_access_key="any", config=Config(retries={"total_max_attempts": 1}))
    demand = {"modelId": CODER, "messages": [{"role": "user", "content": [{"text": "Find order 12 please."}]}], "inferenceConfig": {"temperature": 0, "maxTokens": 6},
              "toolConfig": {"tools": [{"toolSpec": {"name": "find_order", "description": "Looks an order up.", "inputSchema": {"json": SCHEMA}}}], "toolChoice": {"any": {}}}}
    whole, events = b.converse(**demand), list(b.converse_stream(**demand)["stream"])
    assert (whole["output"]["message"]["content"][0]["toolUse"]["name"], whole["stopReason"]) == ("find_order", "max_tokens"), whole
    assert [e["contentBlockStart"]["start"]["toolUse"]["name"] for e in events if "contentBlockStart" in e] == ["find_order"], events
    g = genai.Client(api_key="unused", http_options=types.HttpOptions(base_url=URL))
    tool = types.Tool(function_declarations=[types.FunctionDeclaration(name="find_order", parameters_json_schema=SCHEMA)])
    config = types.GenerateContentConfig(temperature=0, max_output_tokens=6, tools=[tool], automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
                                         tool_config=types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode="ANY")))
    whole = g.models.generate_content(model=CODER, contents="Find order 12 please.", config=config)
    assert whole.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS and not whole.function_calls and not whole.text, whole


checks.run(globals())
