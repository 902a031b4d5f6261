"""The official cohere client against real models: cohere_real.py URL"""
import sys

import cohere

client = cohere.ClientV2(base_url=sys.argv[1], api_key="unused")
SMALL, CODER, VECTORS = "smollm2-135m", "qwen2.5-coder-0.5b", "all-minilm-l6-v2"
DOCUMENTS = ["The Phare du Créac'h stands on Ouessant and is 54 metres high.", {"id": "other", "data": {"title": "Bread", "snippet": "Flour, water, salt."}}]
HIGH = [{"role": "user", "content": "How high is the Phare du Créac'h?"}]


def ask(**more):
    return client.chat(**{"model": CODER, "messages": HIGH, "max_tokens": 60, "temperature": 0, **more})


def test_documents_are_read_and_cited():
    a = ask(documents=DOCUMENTS)
    text = a.message.content[0].text
    assert "54" in text, text
    assert a.message.citations, text
    for c in a.message.citations:
        assert text[c.start:c.end] == c.text
    assert any("54" in c.text and [s.id for s in c.sources] == ["doc:0"] for c in a.message.citations), a.message.citations


def test_streamed_is_the_same_as_whole():
    whole = ask(documents=DOCUMENTS)
    events = list(client.chat_stream(model=CODER, messages=HIGH, max_tokens=60, temperature=0, documents=DOCUMENTS))
    assert "".join(e.delta.message.content.text for e in events if e.type == "content-delta") == whole.message.content[0].text
    assert [e.delta.message.citations for e in events if e.type == "citation-start"] == (whole.message.citations or [])


def test_a_tool_is_called():
    tools = [{"type": "function", "function": {"name": "get_weather", "description": "The weather of a city.", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
    a = ask(messages=[{"role": "user", "content": "What is the weather in Brest?"}], tools=tools, tool_choice="REQUIRED", strict_tools=True)
    assert a.finish_reason == "TOOL_CALL" and "Brest" in a.message.tool_calls[0].function.arguments


def test_tokens_make_the_round_trip():
    for text in ("Hello, wörld 🌊.", " two  spaces", "日本"):
        t = client.tokenize(model=SMALL, text=text, offline=False)
        assert client.detokenize(model=SMALL, tokens=t.tokens, offline=False).text == text, t


def test_documents_are_ranked():
    r = client.rerank(model=VECTORS, query="a storm at sea", documents=["the price of bread", "gale over the ocean", "cats"], max_tokens_per_doc=64)
    assert r.results[0].index == 1 and all(0 <= x.relevance_score <= 1 for x in r.results)


def test_vectors_in_small_numbers_keep_their_order():
    e = client.embed(model=VECTORS, texts=["a storm at sea", "gale over the ocean", "the price of bread"], input_type="clustering", embedding_types=["float", "int8", "ubinary"]).embeddings

    def dot(v):
        return [sum(x * y for x, y in zip(v[0], v[i])) for i in (1, 2)]
    assert dot(e.float_)[0] > dot(e.float_)[1] and dot(e.int8)[0] > dot(e.int8)[1]
    apart = [sum(bin(x ^ y).count("1") for x, y in zip(e.ubinary[0], e.ubinary[i])) for i in (1, 2)]
    assert apart[0] < apart[1]


if __name__ == "__main__":
    from checks import run
    run(globals())
