"""The official huggingface_hub client against real models: hf_real.py URL"""
import sys

from huggingface_hub import InferenceClient
from huggingface_hub.errors import ValidationError

URL = sys.argv[1]
client = InferenceClient(base_url=URL)
coder = InferenceClient(base_url=URL + "/hf/models/qwen2.5-coder-0.5b")
CAPITAL = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]


def test_texts_go_on():
    assert "Paris" in client.text_generation("The capital of France is", max_new_tokens=5)
    assert client.text_generation("The capital of France is", max_new_tokens=5, return_full_text=True).startswith("The capital of France is")


def test_streamed_is_the_same_as_whole():
    more = {"max_new_tokens": 60, "do_sample": True, "temperature": 1.2, "seed": 7}
    a = client.text_generation("A story of é, 日本 and 🎉:", details=True, decoder_input_details=True, top_n_tokens=3, **more)
    events = list(client.text_generation("A story of é, 日本 and 🎉:", details=True, stream=True, top_n_tokens=3, **more))
    assert "".join(e.token.text for e in events) == a.generated_text == events[-1].generated_text
    assert [e.token.id for e in events] == [t.id for t in a.details.tokens] and len(a.details.tokens) == a.details.generated_tokens == 60
    assert len(a.details.prefill) == events[-1].details.input_length and a.details.finish_reason == "length"


def test_stops_stay():
    a = client.text_generation("Count: one, two, three,", max_new_tokens=40, stop=[","], details=True)
    assert a.generated_text.endswith(",") and a.details.finish_reason == "stop_sequence", a


def test_grammars_bind():
    assert coder.text_generation("A year:", grammar={"type": "regex", "value": "[12][0-9]{3}"}, max_new_tokens=20)[0] in "12"


def test_chats():
    assert "Paris" in client.chat_completion(CAPITAL, max_tokens=20, temperature=0).choices[0].message.content
    assert "Paris" in coder.chat_completion(CAPITAL, max_tokens=20, temperature=0).choices[0].message.content


def test_vectors_are_of_the_model_made_for_them():
    v = client.feature_extraction(["a storm at sea", "gale over the ocean", "the price of bread"])
    assert v.shape == (3, 384)
    near = client.sentence_similarity("a storm at sea", ["gale over the ocean", "the price of bread"])
    assert near[0] > near[1] + 0.2 and abs(near[0] - float(v[0] @ v[1])) < 1e-5


def test_what_is_too_long_is_refused():
    try:
        client.text_generation("word " * 6000)
    except ValidationError as e:
        assert "4096" in str(e)
    else:
        raise AssertionError("it was answered")


if __name__ == "__main__":
    from checks import run
    run(globals())
