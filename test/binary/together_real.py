"""The official together client against real models: together_real.py URL"""
import sys

import together

OLD = int(getattr(together, "__version__", together.version if hasattr(together, "version") else "1").split(".")[0]) == 1
client = together.Together(base_url=sys.argv[1] + ("/v1" if OLD else ""), api_key="unused")  # the newer one adds the version itself
SMALL, VECTORS = "smollm2-135m", "all-minilm-l6-v2"
CAPITAL = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]


def test_streamed_is_the_same_as_whole():
    more = {"model": SMALL, "messages": CAPITAL, "max_tokens": 40, "temperature": 1, "seed": 7, "logprobs": 2}
    whole = client.chat.completions.create(**more)
    chunks = list(client.chat.completions.create(stream=True, **more))
    assert "".join(c.choices[0].delta.content for c in chunks) == whole.choices[0].message.content
    ids = [c.choices[0].delta.token_id for c in chunks if c.choices[0].delta.token_id is not None]
    assert ids == whole.choices[0].logprobs.token_ids and all(p <= 0 for p in whole.choices[0].logprobs.token_logprobs)
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_the_model_ends_with_eos():
    a = client.chat.completions.create(model=SMALL, messages=CAPITAL, temperature=0)
    assert "Paris" in a.choices[0].message.content and a.choices[0].finish_reason == "eos"


def test_prompts_are_told():
    a = client.completions.create(model=SMALL, prompt="The capital of France is", max_tokens=3, temperature=0, echo=True, logprobs=1)
    assert "Paris" in a.choices[0].text and a.prompt[0].text == "The capital of France is" and len(a.prompt[0].logprobs.tokens) == a.usage.prompt_tokens


def test_vectors_and_orders():
    assert len(client.embeddings.create(model=VECTORS, input="a").data[0].embedding) == 384
    r = client.rerank.create(model=VECTORS, query="a storm at sea", documents=["the price of bread", "gale over the ocean"], return_documents=True)
    document = r.results[0].document
    assert (document["text"] if OLD else document.text) == "gale over the ocean"


if __name__ == "__main__":
    from checks import run
    run(globals())
