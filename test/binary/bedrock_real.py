"""Amazon's own client against real models: bedrock_real.py URL"""
import json
import sys

import boto3
from botocore.config import Config

client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=sys.argv[1], aws_access_key_id="any", aws_secret_access_key="any",
                      config=Config(retries={"total_max_attempts": 1}, read_timeout=120))
SMALL, CODER = "smollm2-135m", "qwen2.5-coder-0.5b"
WEATHER = {"toolSpec": {"name": "get_weather", "description": "The weather of a city.", "inputSchema": {"json": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}}


def user(text):
    return [{"role": "user", "content": [{"text": text}]}]


CAPITAL = user("What is the capital of France? Answer in one word.")
STORY = user("Tell me a story about a wind, with é, 日本 and 🎉.")


def ask(model=SMALL, messages=CAPITAL, tokens=60, **more):
    return client.converse(modelId=model, messages=messages, inferenceConfig={"temperature": 0, "maxTokens": tokens}, **more)


def streamed(model=SMALL, messages=CAPITAL, tokens=60, **more):
    return list(client.converse_stream(modelId=model, messages=messages, inferenceConfig={"temperature": 0, "maxTokens": tokens}, **more)["stream"])


def test_both_models_know_the_capital():
    for model in (SMALL, CODER, "arn:aws:bedrock:us-east-1:1:inference-profile/" + SMALL):
        a = ask(model)
        assert "Paris" in a["output"]["message"]["content"][0]["text"] and a["stopReason"] == "end_turn", a


def test_streamed_is_the_same_as_whole():
    whole, events = ask(messages=STORY), streamed(messages=STORY)
    text = "".join(e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e)
    assert text == whole["output"]["message"]["content"][0]["text"]
    kinds = [k for e in events for k in e]  # their client takes a stream that was cut for a whole one
    assert kinds[0] == "messageStart" and kinds[-3:] == ["contentBlockStop", "messageStop", "metadata"], kinds
    assert events[-2]["messageStop"]["stopReason"] == whole["stopReason"] == "max_tokens"
    assert events[-1]["metadata"]["usage"]["outputTokens"] == whole["usage"]["outputTokens"] == 60


def test_a_tool_is_called():
    question, more = user("What is the weather in Brest? Use the tool."), {"toolConfig": {"tools": [WEATHER], "toolChoice": {"any": {}}}}
    a = ask(CODER, question, **more)
    call = [b["toolUse"] for b in a["output"]["message"]["content"] if "toolUse" in b][0]
    assert a["stopReason"] == "tool_use" and call["name"] == "get_weather" and isinstance(call["input"]["city"], str), a
    fragments = "".join(e["contentBlockDelta"]["delta"]["toolUse"]["input"] for e in streamed(CODER, question, **more) if "toolUse" in e.get("contentBlockDelta", {}).get("delta", {}))
    assert json.loads(fragments) == call["input"]


def test_invoke_speaks_anthropics_and_openais_bodies():
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 60, "temperature": 0, "messages": [{"role": "user", "content": CAPITAL[0]["content"][0]["text"]}]}
    a = json.loads(client.invoke_model(modelId=SMALL, body=json.dumps(body))["body"].read())
    assert "Paris" in a["content"][0]["text"] and a["stop_reason"] == "end_turn", a
    events = [json.loads(e["chunk"]["bytes"]) for e in client.invoke_model_with_response_stream(modelId=SMALL, body=json.dumps(body))["body"]]
    assert "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta") == a["content"][0]["text"] and events[-1]["type"] == "message_stop"
    del body["anthropic_version"]
    a = json.loads(client.invoke_model(modelId=SMALL, body=json.dumps(body))["body"].read())
    assert "Paris" in a["choices"][0]["message"]["content"], a


def test_tokens_are_counted_as_they_are_read():
    n = client.count_tokens(modelId=CODER, input={"converse": {"messages": CAPITAL}})["inputTokens"]
    u = ask(CODER, tokens=1)["usage"]
    assert n == u["inputTokens"] + u["cacheReadInputTokens"], (n, u)


def test_what_cannot_be_is_refused():
    for call, kind in ((lambda: ask("nobody"), client.exceptions.ResourceNotFoundException), (lambda: ask(messages=user("word " * 6000)), client.exceptions.ValidationException)):
        try:
            call()
        except kind:
            continue
        raise AssertionError(kind)


if __name__ == "__main__":
    from checks import run
    run(globals())
