"""What Cohere's own Python client makes of the Cohere surface."""
import asyncio
import base64
import logging
import struct

import cohere
import httpx
import numpy as np
from cohere.core.api_error import ApiError

from common import KEYED_URL, URL, asked, get, raises, stub, until_idle

old = cohere.Client(base_url=URL, api_key="any", log_warning_experimental_features=False)
client = cohere.ClientV2(base_url=URL, api_key="any", log_warning_experimental_features=False)
HI = [{"role": "user", "content": "hi"}]
ONCE = {"max_retries": 0}
TOOLS = [{"type": "function", "function": {"name": n, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}} for n in ("weather", "clock")]
DOCUMENTS = ["Emperor penguins are the tallest of all.", {"id": "sizes", "data": {"title": "Sizes", "snippet": "up to 122 cm"}}, {"data": {"text": "Nothing."}}]


class Skipped(logging.Handler):
    """Notes what the client's log says of events that it does not understand."""
    records = []

    def emit(self, record):
        if "Skipping" in record.getMessage():
            self.records.append(record.getMessage())


logging.getLogger().addHandler(Skipped())


def say(model, messages=HI, **more):
    return client.chat(model=model, messages=messages, request_options=ONCE, **more)


def stream(model, messages=HI, **more):
    events = list(client.chat_stream(model=model, messages=messages, request_options=ONCE, **more))
    assert not Skipped.records, Skipped.records
    return events


def folded(events):
    """Content, calls, citations, reason and usage of a stream."""
    content, calls, citations, last = [], [], [], None
    for e in events:
        if e.type == "content-start":
            content.append([e.delta.message.content.type, ""])
        elif e.type == "content-delta":
            content[e.index][1] += e.delta.message.content.text or e.delta.message.content.thinking or ""
        elif e.type == "tool-call-start":
            c = e.delta.message.tool_calls
            calls.append([c.id, c.function.name, c.function.arguments])
        elif e.type == "tool-call-delta":
            calls[e.index][2] += e.delta.message.tool_calls.function.arguments
        elif e.type == "citation-start":
            citations.append(e.delta.message.citations)
        elif e.type == "message-end":
            last = e.delta
    return content, calls, citations, last


def test_a_plain_answer():
    a = say("plain", seed=7, temperature=0.5, k=3, p=0.9, max_tokens=9, stop_sequences=["END"])
    assert a.message.content[0].text == "Hello, wörld 🌊." and a.finish_reason == "COMPLETE" and a.id
    assert (a.usage.tokens.input_tokens, a.usage.tokens.output_tokens, a.usage.cached_tokens) == (5, 3, 2)
    r = asked()
    assert r["Sampling"]["Seed"] == 7 and r["Sampling"]["TopK"] == 3 and r["Sampling"]["TopP"] == 0.9 and r["Stop"] == ["END"]


def test_the_order_of_events():
    assert [e.type for e in stream("thinks")] == ["message-start", "content-start", "content-delta", "content-delta", "content-end",
                                                  "content-start", "content-delta", "content-end", "message-end"]
    assert [e.type for e in stream("tools")] == ["message-start", "tool-call-start", "tool-call-delta", "tool-call-delta", "tool-call-end",
                                                 "tool-call-start", "tool-call-delta", "tool-call-end", "message-end"]


def test_streamed_and_whole_answers_are_one():
    for model in ("plain", "thinks", "short", "refuses", "tools", "penguins"):
        a = say(model, documents=DOCUMENTS)
        content, calls, citations, last = folded(stream(model, documents=DOCUMENTS))
        assert content == [[c.type, getattr(c, c.type)] for c in a.message.content or []]
        assert calls == [[c.id, c.function.name, c.function.arguments] for c in a.message.tool_calls or []]
        assert citations == (a.message.citations or [])
        assert last.finish_reason == a.finish_reason and last.usage == a.usage


def test_citations_hold():
    a = say("penguins", documents=DOCUMENTS)
    text = a.message.content[0].text
    assert {s.id for c in a.message.citations for s in c.sources} == {"doc:0", "sizes"}
    for c in a.message.citations:
        assert text[c.start:c.end] == c.text and c.content_index == 0
        for s in c.sources:
            assert s.type == "document" and c.text.split()[0].lower() in str(s.document).lower()
    assert [c.text for c in a.message.citations] == ["Emperor penguins", "122"], a.message.citations
    assert not say("penguins", documents=DOCUMENTS, citation_options={"mode": "OFF"}).message.citations
    assert len(asked()["Documents"]) == 3


def test_tools_are_called():
    a = say("tools", tools=TOOLS, tool_choice="REQUIRED", strict_tools=True)
    assert a.finish_reason == "TOOL_CALL" and [(c.function.name, c.function.arguments) for c in a.message.tool_calls] == [
        ("weather", '{"city": "Brest"}'), ("clock", "{}")]
    assert asked()["ToolChoice"]["Mode"] == 2 and asked()["Tools"][0]["Strict"]
    results = [{"role": "tool", "tool_call_id": c.id, "content": [{"type": "document", "document": {"data": {"found": "up to 122 cm"}}}]} for c in a.message.tool_calls]
    b = say("penguins", [*HI, a.message, *results], tools=TOOLS)
    parts = [p for m in asked()["Messages"] for p in m["Parts"] if p["CallID"]]
    assert [(p["CallID"], p["Name"]) for p in parts] == [("call_1", "weather"), ("call_2", "clock")]
    sources = b.message.citations[0].sources
    assert [(s.type, s.id) for s in sources] == [("tool", "call_1:0"), ("tool", "call_2:0")] and sources[0].tool_output == {"found": "up to 122 cm"}


def test_reasoning():
    a = say("thinks", thinking={"type": "enabled", "token_budget": 64})
    assert [c.type for c in a.message.content] == ["thinking", "text"] and asked()["Reasoning"] == {"Enabled": True, "Effort": "", "Budget": 64}
    say("plain", [*HI, a.message, *HI])
    assert [p["Text"] for p in asked()["Messages"][1]["Parts"]] == ["Let me see.", "42"]


def test_structured_answers():
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    say("person", response_format={"type": "json_object", "json_schema": schema})
    assert asked()["Format"]["Schema"] == schema


def test_probabilities():
    a = say("logprobs", logprobs=True)
    assert [i for p in a.logprobs for i in p.token_ids] == [1, 3, 4] and all(p.logprobs[0] < 0 for p in a.logprobs)
    assert [e.logprobs for e in stream("logprobs", logprobs=True) if e.type == "content-delta"] == a.logprobs


def test_vectors_of_every_type():
    kinds = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
    e = client.embed(model="m", texts=["one", "two"], input_type="search_document", embedding_types=kinds).embeddings
    for i in range(2):
        v = np.array(e.float_[i], dtype=np.float32)
        bits = np.packbits(v > 0)
        assert list(bits) == e.ubinary[i] and list(bits.astype(int) - 128) == e.binary[i]
        assert np.allclose(struct.unpack(f"<{len(v)}f", base64.b64decode(e.base64[i])), v)
        assert list(np.array(e.uint8[i]) - 128) == e.int8[i] and np.dot(v, e.int8[i]) / np.linalg.norm(e.int8[i]) > 0.999
    assert len(client.embed(model="m", texts=["one"], input_type="search_query", output_dimension=4, embedding_types=["float"]).embeddings.float_[0]) == 4
    assert client.embed(model="m", inputs=[{"content": [{"type": "text", "text": "two"}]}], input_type="clustering").embeddings.float_ == [e.float_[1]]


def test_documents_are_ranked():
    r = client.rerank(model="m", query="tall penguins", documents=["small things", "tall penguins", "tall trees"], top_n=2)
    assert [x.index for x in r.results] == [1, 2] and r.results[0].relevance_score >= r.results[1].relevance_score
    assert "embeddings" in r.meta.warnings[0]


def test_tokens_make_the_round_trip():
    for text in ("Hello, wörld 🌊.", ""):
        t = client.tokenize(model="m", text=text, offline=False)
        assert client.detokenize(model="m", tokens=t.tokens, offline=False).text == text and len(t.tokens) == len(t.token_strings)
    assert client.tokenize(model="m", text="hi").tokens == [104, 105]  # the client looks for a tokenizer's file first


def test_models():
    assert [m.name for m in client.models.list().models] == ["m", "org/m:q4"]
    page = client.models.list(page_size=1, endpoint="chat")
    assert page.next_page_token == "m" and [m.name for m in client.models.list(page_token="m").models] == ["org/m:q4"]
    assert client.models.get("org/m:q4").name == "org/m:q4"


OLD_TOOLS = [{"name": n, "description": n, "parameter_definitions": {"city": {"type": "str", "required": True}}} for n in ("weather", "clock")]


def test_version_1_chats():
    history = [{"role": "USER", "message": "a"}, {"role": "CHATBOT", "message": "b"}]
    a = old.chat(message="hi", model="plain", preamble="Be brief.", chat_history=history, temperature=0.5, max_tokens=9, k=3, p=0.9, seed=7)
    assert a.text == "Hello, wörld 🌊." and a.finish_reason == "COMPLETE" and a.meta.tokens.input_tokens == 5
    assert [(m.role, m.message) for m in a.chat_history] == [("USER", "a"), ("CHATBOT", "b"), ("USER", "hi"), ("CHATBOT", a.text)]
    r = asked()
    assert [m["Role"] for m in r["Messages"]] == ["system", "user", "assistant", "user"] and r["Sampling"]["TopK"] == 3 and r["MaxTokens"] == 9
    # What is answered can be sent back.
    old.chat(message="more", model="plain", chat_history=a.chat_history)
    assert [m["Role"] for m in asked()["Messages"]] == ["user", "assistant", "user", "assistant", "user"]


def test_version_1_streams_what_it_says_as_a_whole():
    for model in ("plain", "tools"):
        events = list(old.chat_stream(message="hi", model=model, tools=OLD_TOOLS))
        whole = old.chat(message="hi", model=model, tools=OLD_TOOLS)
        assert events[0].event_type == "stream-start" and events[-1].event_type == "stream-end"
        assert "".join(e.text for e in events if e.event_type == "text-generation") == whole.text == events[-1].response.text
        assert events[-1].response.tool_calls == whole.tool_calls
        assert [e.tool_calls for e in events if e.event_type == "tool-calls-generation"] == ([whole.tool_calls] if whole.tool_calls else [])


def test_version_1_calls_tools():
    a = old.chat(message="hi", model="tools", tools=OLD_TOOLS)
    assert [c.name for c in a.tool_calls] and all(isinstance(c.parameters, dict) for c in a.tool_calls), a.tool_calls
    schema = asked()["Tools"][0]["Schema"]
    assert schema["required"] == ["city"] and schema["properties"]["city"] == {"type": "string"}
    results = [{"call": c, "outputs": [{"sky": "rain"}]} for c in a.tool_calls]
    old.chat(message="", model="plain", tools=OLD_TOOLS, chat_history=a.chat_history, tool_results=results)
    roles = [m["Role"] for m in asked()["Messages"]]
    assert roles == ["user", "assistant"] + ["tool"] * len(results), roles


def test_version_1_cites_documents():
    a = old.chat(message="hi", model="penguins", documents=[{"id": "d", "text": "Emperor penguins are the tallest of all."}])
    assert a.citations and all(a.text[c.start:c.end] == c.text and c.document_ids == ["d"] for c in a.citations), a


def test_version_1_embeds_and_ranks():
    a = old.embed(texts=["a", "b"], model="m", input_type="search_query")
    assert len(a.embeddings) == 2 and len(a.embeddings[0]) == 8 and a.response_type == "embeddings_floats"
    assert old.embed(texts=["a"], model="m", embedding_types=["int8"], input_type="search_query").embeddings.int8
    a = old.rerank(query="tall tree", documents=["small", {"text": "tall tree"}], model="m", return_documents=True)
    assert [r.index for r in a.results] == [1, 0] and a.results[0].document.text == "tall tree"
    raises(cohere.BadRequestError, old.chat, message="a", connectors=[{"id": "web-search"}])
    raises(cohere.BadRequestError, old.classify, inputs=["a"], model="m")


def test_errors_are_the_right_exceptions():
    for model, kind, status in (("too_long", cohere.BadRequestError, 400), ("nope", cohere.NotFoundError, 404), ("limited", cohere.TooManyRequestsError, 429),
                                ("quota", cohere.TooManyRequestsError, 429), ("busy", cohere.ServiceUnavailableError, 503), ("denied", cohere.ForbiddenError, 403),
                                ("down", cohere.ServiceUnavailableError, 503), ("late", cohere.GatewayTimeoutError, 504), ("large", ApiError, 413)):
        for ask in (say, stream):
            e = raises(kind, ask, model)
            assert e.status_code == status and e.body["message"] and e.body["id"], e
    assert "temperature is 9" in raises(cohere.BadRequestError, say, "plain", temperature=9).body["message"]
    assert "withdrawn" in raises(ApiError, cohere.Client(base_url=URL, api_key="any").generate, prompt="a").body["message"]


def test_an_error_in_the_middle_of_a_stream():
    last = folded(stream("breaks"))[3]
    assert last.finish_reason == "ERROR" and last.error and "secret" not in last.error


def test_keys():
    good = cohere.ClientV2(base_url=KEYED_URL, api_key="right")
    assert good.models.list().models
    e = raises(cohere.UnauthorizedError, cohere.ClientV2(base_url=KEYED_URL, api_key="wrong").models.list)
    assert "wrong" not in str(e.body)


def test_busy_servers_are_tried_again():
    c = cohere.ClientV2(base_url=URL + "/test/try/cohere/busy/2", api_key="any")
    assert c.chat(model="plain", messages=HI).finish_reason == "COMPLETE" and len(get("/test/tries/cohere")) == 3
    c = cohere.ClientV2(base_url=URL + "/test/try/cohere_limited/limited/2", api_key="any")
    assert c.chat(model="plain", messages=HI).finish_reason == "COMPLETE" and len(get("/test/tries/cohere_limited")) == 3


def test_pings_are_passed_over():
    assert folded(stream("slow_start"))[0] == [["text", "At last"]]


def test_who_leaves_frees_the_slot():
    s = client.chat_stream(model="hangs", messages=HI)
    assert next(s).type == "message-start" and get("/test/live") == 1
    s.close()
    until_idle()


def test_the_prefix():
    c = cohere.ClientV2(base_url=URL + "/cohere", api_key="any")
    assert c.chat(model="plain", messages=HI).message.content[0].text == "Hello, wörld 🌊."


async def test_async_clients():
    c = cohere.AsyncClientV2(base_url=URL, api_key="any")
    answers = await asyncio.gather(*(c.chat(model="plain", messages=HI) for _ in range(8)))
    assert {a.message.content[0].text for a in answers} == {"Hello, wörld 🌊."}


# What the client does with answers that we must not give. Where one of these fails, a rule has gone.

def trapped(name):
    return cohere.ClientV2(base_url=f"{URL}/test/raw/{name}", api_key="any").chat_stream(model="m", messages=HI)


def test_trap_citations_as_a_list():
    assert [e.type for e in trapped("cohere_citations_list")] == ["message-start", "message-end"] and Skipped.records
    Skipped.records.clear()


def test_trap_an_end_that_is_said_or_not():
    events = b'data: {"type": "message-start", "id": "1"}\n\ndata: {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}\n\n'
    for end in (b"", b"data: [DONE]\n\n"):
        c = cohere.ClientV2(base_url=stub("text/event-stream", events + end), api_key="any")
        assert [e.type for e in c.chat_stream(model="m", messages=HI)] == ["message-start", "message-end"] and not Skipped.records


def test_trap_a_stream_of_another_type():
    assert "text/event-stream" in str(raises(httpx.TransportError, lambda: list(trapped("cohere_no_stream_type"))))
