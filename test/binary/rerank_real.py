"""The official clients on cross-encoders and a classifier, held against what transformers computed from them.

  rerank_real.py URL FOLDER    FOLDER has the tiny checkpoints with their texts.json
"""
import json
import math
import sys
import urllib.request
from pathlib import Path

import cohere
import together
from huggingface_hub import InferenceClient

url, folder = sys.argv[1], Path(sys.argv[2])
checks = 0


def judged(name):
    """The pairs of one query, with the logits of each: (query, documents, logits)."""
    list_ = [t for t in json.loads((folder / name / "texts.json").read_text()) if t["pair"] is not None]
    same = [t for t in list_ if t["text"] == list_[0]["text"]]
    return same[0]["text"], [t["pair"] for t in same], [t["logits"][0] for t in same]


def ordered(results, logits, score=lambda r: r.relevance_score):
    """Results are all documents, by transformers' score brought into 0 to 1, the best first."""
    global checks
    want = sorted(range(len(logits)), key=lambda i: -logits[i])
    assert [r.index for r in results] == want, (results, logits)
    for r in results:
        assert abs(score(r) - 1 / (1 + math.exp(-logits[r.index]))) < 1e-4, (r, logits)
    checks += 1


def post(path, body):
    r = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(r, timeout=60) as w:
        return json.load(w), w.headers


for name in ("bert-ranker", "xlm-roberta-ranker"):
    query, documents, logits = judged(name)
    a = cohere.ClientV2("k", base_url=url).rerank(model=name, query=query, documents=documents)
    ordered(a.results, logits)
    assert not a.meta.warnings, a.meta
    ordered(cohere.Client("k", base_url=url).rerank(model=name, query=query, documents=documents).results, logits)
    ordered(together.Together(api_key="k", base_url=url + "/together").rerank.create(model=name, query=query, documents=documents).results, logits)
    a, head = post("/hf/rerank", {"model": name, "query": query, "texts": documents, "raw_scores": True, "return_text": True})
    assert head["X-Ranked-By"] == "cross-encoder"
    for r in a:
        assert abs(r["score"] - logits[r["index"]]) < 1e-4 and r["text"] == documents[r["index"]], (r, logits)
    info = json.load(urllib.request.urlopen(f"{url}/hf/models/{name}/info"))
    assert "reranker" in info["model_type"], info
    checks += 2
# A request that names no model gets the first cross-encoder.
_, head = post("/hf/rerank", {"query": "what is galerne", "texts": ["a dog runs"]})
assert head["X-Ranked-By"] == "cross-encoder", dict(head)

name = "bert-classifier"
texts = json.loads((folder / name / "texts.json").read_text())
a, _ = post("/hf/predict", {"model": name, "inputs": [[t["text"]] if t["pair"] is None else [t["text"], t["pair"]] for t in texts], "truncate": True})
labels = ["contradiction", "entailment", "neutral"]
for got, t in zip(a, texts, strict=True):
    sums = sum(math.exp(v) for v in t["logits"])
    want = sorted(((math.exp(v) / sums, label) for v, label in zip(t["logits"], labels)), reverse=True)
    assert [p["label"] for p in got] == [label for _, label in want], (got, want)
    assert all(abs(p["score"] - w) < 1e-4 for p, (w, _) in zip(got, want)), (got, want)
    checks += 1
a = InferenceClient(base_url=f"{url}/hf/models/{name}").text_classification(texts[3]["text"])
assert sorted(e.label for e in a) == labels and abs(sum(e.score for e in a) - 1) < 1e-6, a
print(checks + 1, "checks passed")
