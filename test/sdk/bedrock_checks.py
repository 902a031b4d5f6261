"""What Amazon's own Python client makes of the Bedrock surface."""
import binascii
import json
import os

import boto3
import botocore
import botocore.eventstream
from botocore.config import Config

from common import KEYED_URL, URL, asked, raises, stub, until_idle

HI = [{"role": "user", "content": [{"text": "hi"}]}]
TOOLS = {"tools": [{"toolSpec": {"name": n, "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}}}}} for n in ("weather", "clock")]}
ClientError = botocore.exceptions.ClientError
EventStreamError = botocore.exceptions.EventStreamError


def connect(url=URL, key="any", secret="any", attempts=1, **more):
    return boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=url, aws_access_key_id=key, aws_secret_access_key=secret,
                        config=Config(retries={"total_max_attempts": attempts}, read_timeout=more.pop("timeout", 10)))


client = connect()


def say(model, c=client, **more):
    return c.converse(**{"modelId": model, "messages": HI, **more})


def stream(model, c=client, **more):
    return list(c.converse_stream(**{"modelId": model, "messages": HI, **more})["stream"])


def test_a_plain_answer():
    a = say("plain", system=[{"text": "Be brief."}], inferenceConfig={"maxTokens": 64, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
            additionalModelRequestFields={"top_k": 3}, requestMetadata={"a": "b"})
    assert a["output"]["message"] == {"role": "assistant", "content": [{"text": "Hello, wörld 🌊."}]} and a["stopReason"] == "end_turn"
    assert a["usage"] == {"inputTokens": 3, "outputTokens": 3, "totalTokens": 8, "cacheReadInputTokens": 2, "cacheWriteInputTokens": 0}
    assert a["metrics"]["latencyMs"] > 0 and a["ResponseMetadata"]["RequestId"].startswith("req_")
    r = asked()
    assert r["Messages"][0]["Role"] == "system" and r["MaxTokens"] == 64 and r["Stop"] == ["END"]
    assert (r["Sampling"]["Temperature"], r["Sampling"]["TopP"], r["Sampling"]["TopK"]) == (0.5, 0.9, 3)


def test_the_events_of_a_stream_all_of_them():
    # Their client takes a stream that was cut for a whole one: so the events are counted.
    assert stream("plain") == [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Hello"}}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": ", wörld"}}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": " 🌊."}}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 3, "totalTokens": 8, "cacheReadInputTokens": 2, "cacheWriteInputTokens": 0}, "metrics": {"latencyMs": 10}}}]


def test_tools_whole_and_streamed():
    a = say("tools", toolConfig=TOOLS)
    assert a["stopReason"] == "tool_use"
    calls = [b["toolUse"] for b in a["output"]["message"]["content"]]
    assert [(c["name"], c["input"]) for c in calls] == [("weather", {"city": "Brest"}), ("clock", {})] and len({c["toolUseId"] for c in calls}) == 2
    names, inputs = {}, {}
    for e in stream("tools", toolConfig=TOOLS):
        if s := e.get("contentBlockStart"):
            names[s["contentBlockIndex"]] = s["start"]["toolUse"]["name"]
        if d := e.get("contentBlockDelta"):
            inputs[d["contentBlockIndex"]] = inputs.get(d["contentBlockIndex"], "") + d["delta"]["toolUse"]["input"]
    assert [(names[i], json.loads(inputs[i])) for i in sorted(names)] == [("weather", {"city": "Brest"}), ("clock", {})]
    say("plain", toolConfig=TOOLS, messages=HI + [a["output"]["message"], {"role": "user", "content": [
        {"toolResult": {"toolUseId": c["toolUseId"], "content": [{"json": {"n": 1}}], "status": "success"}} for c in calls]}])
    assert [p["Text"] for p in asked()["Messages"][-1]["Parts"]] == ['{"n": 1}'] * 2
    say("tools", toolConfig={**TOOLS, "toolChoice": {"tool": {"name": "clock"}}})
    assert asked()["ToolChoice"] == {"Mode": 3, "Names": ["clock"]}


def test_reasoning_goes_round():
    a = say("thinks", additionalModelRequestFields={"thinking": {"type": "enabled", "budget_tokens": 100}})
    thought = a["output"]["message"]["content"][0]["reasoningContent"]["reasoningText"]
    assert thought["text"] == "Let me see." and thought["signature"] and a["output"]["message"]["content"][1] == {"text": "42"}
    assert asked()["Reasoning"]["Budget"] == 100
    deltas = [e["contentBlockDelta"]["delta"]["reasoningContent"] for e in stream("thinks") if "reasoningContent" in e.get("contentBlockDelta", {}).get("delta", {})]
    assert "".join(d.get("text", "") for d in deltas) == "Let me see." and deltas[-1]["signature"] == thought["signature"]
    say("plain", messages=HI + [a["output"]["message"], HI[0]])
    assert asked()["Messages"][1]["Parts"][0]["Kind"] == 1


def test_documents_are_read_and_cited():
    document = {"name": "notes", "format": "txt", "source": {"bytes": b"Hello, the answer is here: w\xc3\xb6rld and Hello."}}
    say("plain", messages=[{"role": "user", "content": [{"document": document}, {"text": "hi"}]}])
    assert "the answer is here" in asked()["Messages"][0]["Parts"][0]["Text"]
    say("plain", messages=[{"role": "user", "content": [{"document": {**document, "citations": {"enabled": True}}}, {"text": "hi"}]}])
    assert asked()["Documents"][0]["Title"] == "notes"


def test_a_schema():
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    a = say("person", outputConfig={"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(schema), "name": "person"}}}})
    assert json.loads(a["output"]["message"]["content"][0]["text"]) == {"name": "Ann", "age": 7}
    assert asked()["Format"]["Schema"] == schema


def test_names_of_models():
    assert say("org/m:q4")["stopReason"] == "end_turn" and asked()["Model"] == "org/m:q4"
    say("arn:aws:bedrock:us-east-1:123456789012:inference-profile/m")
    assert asked()["Model"] == "m"


def test_counts():
    assert client.count_tokens(modelId="m", input={"converse": {"messages": HI}})["inputTokens"] == 2


def test_errors_are_of_the_right_kind():
    x = client.exceptions
    for model, kind, status in (("nobody", x.ResourceNotFoundException, 404), ("limited", x.ThrottlingException, 429), ("busy", x.ServiceUnavailableException, 503),
                                ("too_long", x.ValidationException, 400), ("quota", x.ServiceQuotaExceededException, 400), ("denied", x.AccessDeniedException, 403),
                                ("down", x.ServiceUnavailableException, 503), ("late", x.ModelTimeoutException, 408), ("large", x.ValidationException, 413)):
        for call in (say, stream):
            e = raises(kind, call, model)
            assert e.response["ResponseMetadata"]["HTTPStatusCode"] == status and e.response["Error"]["Message"], model
    e = raises(x.InternalServerException, say, "breaks")
    assert "secret" not in str(e)
    e = raises(x.ValidationException, say, "plain", guardrailConfig={"guardrailIdentifier": "abc", "guardrailVersion": "1"})
    assert "guardrailConfig" in str(e)
    e = raises(ClientError, client.apply_guardrail, guardrailIdentifier="abc", guardrailVersion="1", source="INPUT", content=[{"text": {"text": "x"}}])
    assert e.response["Error"]["Code"] == "UnknownOperationException"


def test_an_exception_in_the_middle_of_a_stream():
    e = raises(EventStreamError, stream, "breaks")
    assert e.response["Error"]["Code"] == "internalServerException" and "secret" not in str(e)


def test_another_try_after_a_refusal():
    c = connect(URL + "/test/try/bedrock/busy/2", attempts=3)
    assert say("plain", c=c)["stopReason"] == "end_turn"
    c = connect(URL + "/test/try/bedrock_limited/limited/1", attempts=2)
    assert say("plain", c=c)["ResponseMetadata"]["RetryAttempts"] == 1


def test_keep_alives_are_passed_over():
    events = stream("slow_start")
    assert [next(iter(e)) for e in events] == ["messageStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"]


def test_the_prefix():
    assert say("plain", c=connect(URL + "/bedrock"))["stopReason"] == "end_turn"


def test_who_leaves_frees_the_slot():
    s = client.converse_stream(modelId="hangs", messages=HI)["stream"]
    next(iter(s))
    s.close()
    raises(botocore.exceptions.ReadTimeoutError, say, "hangs_early", c=connect(timeout=0.3))
    until_idle()


def test_signatures_are_checked():
    # The secret of the keyed server's signer is "right".
    assert say("plain", c=connect(KEYED_URL, "signer", "right"))["stopReason"] == "end_turn"
    assert say("org/m:q4", c=connect(KEYED_URL + "/bedrock", "signer", "right"))["stopReason"] == "end_turn"
    assert stream("plain", c=connect(KEYED_URL, "signer", "right"))[-1]["metadata"]
    e = raises(ClientError, say, "plain", c=connect(KEYED_URL, "signer", "wrong"))
    assert e.response["ResponseMetadata"]["HTTPStatusCode"] == 403 and e.response["Error"]["Code"] == "UnrecognizedClientException"
    assert "signature" in e.response["Error"]["Message"]


BODY = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}


def test_invoke_with_the_body_of_anthropics_models():
    a = client.invoke_model(modelId="plain", body=json.dumps(BODY))
    message = json.loads(a["body"].read())
    assert message["content"] == [{"type": "text", "text": "Hello, wörld 🌊."}] and message["stop_reason"] == "end_turn"
    events = [json.loads(e["chunk"]["bytes"]) for e in client.invoke_model_with_response_stream(modelId="plain", body=json.dumps(BODY))["body"]]
    assert [e["type"] for e in events] == ["message_start", "content_block_start"] + ["content_block_delta"] * 3 + ["content_block_stop", "message_delta", "message_stop"]
    assert "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta") == "Hello, wörld 🌊."
    assert client.count_tokens(modelId="m", input={"invokeModel": {"body": json.dumps(BODY)}})["inputTokens"] == 2
    e = raises(EventStreamError, list, client.invoke_model_with_response_stream(modelId="breaks", body=json.dumps(BODY))["body"])
    assert "secret" not in str(e)
    raises(client.exceptions.ValidationException, client.invoke_model, modelId="plain", body=json.dumps({"what": 1}))


def test_invoke_with_the_body_of_a_chat():
    a = client.invoke_model(modelId="plain", body=json.dumps({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}))
    assert json.loads(a["body"].read())["choices"][0]["message"]["content"] == "Hello, wörld 🌊." and asked()["Model"] == "plain"


def test_anthropics_own_client_for_bedrock():
    import anthropic
    c = anthropic.AnthropicBedrock(base_url=URL, aws_access_key="any", aws_secret_key="any", aws_region="us-east-1", max_retries=0)
    hi = [{"role": "user", "content": "hi"}]
    assert c.messages.create(model="plain", max_tokens=9, messages=hi).content[0].text == "Hello, wörld 🌊."
    with c.messages.stream(model="plain", max_tokens=9, messages=hi) as s:
        assert s.get_final_text() == "Hello, wörld 🌊."


def test_invoke_with_the_bodies_of_other_models():
    invoke = lambda model, body: json.loads(client.invoke_model(modelId=model, body=json.dumps(body))["body"].read())
    assert invoke("plain", {"prompt": "hi", "max_gen_len": 9})["generation"] == "Hello, wörld 🌊."
    assert invoke("plain", {"prompt": "hi", "max_tokens": 9})["outputs"][0]["text"] == "Hello, wörld 🌊."
    assert invoke("plain", {"inputText": "hi", "textGenerationConfig": {}})["results"][0]["outputText"] == "Hello, wörld 🌊."
    assert len(invoke("m", {"inputText": "hi", "dimensions": 4})["embedding"]) == 4
    assert len(invoke("m", {"texts": ["a", "b"], "input_type": "search_query"})["embeddings"]) == 2
    pieces = [json.loads(e["chunk"]["bytes"]) for e in client.invoke_model_with_response_stream(modelId="plain", body=json.dumps({"prompt": "hi", "max_gen_len": 9}))["body"]]
    assert "".join(p["generation"] for p in pieces) == "Hello, wörld 🌊." and pieces[-1]["stop_reason"] == "stop"


def frame(payload, **headers):
    head = b"".join(bytes([len(k) + 1]) + b":" + k.replace("_", "-").encode() + b"\x07" + len(v).to_bytes(2, "big") + v.encode() for k, v in headers.items())
    prelude = (16 + len(head) + len(payload)).to_bytes(4, "big") + len(head).to_bytes(4, "big")
    message = prelude + binascii.crc32(prelude).to_bytes(4, "big") + head + payload
    return message + binascii.crc32(message).to_bytes(4, "big")


def test_what_the_client_takes_without_a_word():
    # A mistake of ours that this client never tells: so the other tests count events.
    start = frame(b'{"role":"assistant"}', event_type="messageStart", content_type="application/json", message_type="event")
    c = connect(stub("application/vnd.amazon.eventstream", start + start[:-5]))
    assert stream("m", c=c) == [{"messageStart": {"role": "assistant"}}]
    wrong = connect(stub("application/vnd.amazon.eventstream", start[:-1] + b"\0"))
    raises(botocore.eventstream.ChecksumMismatch, stream, "m", c=wrong)  # sums are checked
    # Events of kinds that are unknown, which is what a keep-alive is, other content types, and events of another form.
    other = frame(b"{}", event_type="keepAlive", content_type="application/json", message_type="event")
    assert stream("m", c=connect(stub("text/plain", other + start + other))) == [{"messageStart": {"role": "assistant"}}]
    assert stream("m", c=connect(stub("text/event-stream", b"data: {}\n\n"))) == []  # too short for the sum of an event's head
    raises(botocore.eventstream.ChecksumMismatch, stream, "m", c=connect(stub("text/event-stream", b'data: {"messageStart": {"role": "assistant"}}\n\n')))


def test_a_bearer_token_is_not_sent_over_plain_http():
    os.environ["AWS_BEARER_TOKEN_BEDROCK"] = "right"
    try:
        raises(botocore.exceptions.InvalidEndpointConfigurationError, say, "plain", c=connect(KEYED_URL))
    finally:
        del os.environ["AWS_BEARER_TOKEN_BEDROCK"]


def test_invoke_with_the_bodies_of_novas_and_coheres_models_and_of_a_streamed_chat():
    nova = {"schemaVersion": "messages-v1", "messages": [{"role": "user", "content": [{"text": "hi"}]}], "inferenceConfig": {"maxTokens": 9}}
    invoke = lambda body: json.loads(client.invoke_model(modelId="plain", body=json.dumps(body))["body"].read())
    pieces = lambda body: [json.loads(e["chunk"]["bytes"]) for e in client.invoke_model_with_response_stream(modelId="plain", body=json.dumps(body))["body"]]
    a = invoke(nova)
    assert a["output"]["message"]["content"] == [{"text": "Hello, wörld 🌊."}] and a["stopReason"] == "end_turn" and a["usage"]["totalTokens"] == 8
    events = pieces(nova)
    assert [next(iter(e)) for e in events] == ["messageStart", *["contentBlockDelta"] * (len(events) - 4), "contentBlockStop", "messageStop", "metadata"]
    assert "".join(e["contentBlockDelta"]["delta"]["text"] for e in events[1:-3]) == "Hello, wörld 🌊."
    chat = pieces({"messages": [{"role": "user", "content": "hi"}]})
    assert "".join(e["choices"][0]["delta"].get("content") or "" for e in chat) == "Hello, wörld 🌊." and chat[-1]["choices"][0]["finish_reason"] == "stop"
    assert invoke({"message": "hi", "max_tokens": 9})["text"] == "Hello, wörld 🌊."
    command = pieces({"message": "hi"})
    assert "".join(e.get("text", "") for e in command) == command[-1]["response"]["text"] == "Hello, wörld 🌊."
