"""What llama.cpp computes from the small real models, for our tests to compare with: llama_cpp.json.

  llama_cpp.py BIN [MODEL ...] [MEASURE ...]     BIN holds llama-perplexity and llama-server of the llama.cpp in llama-cpp-python==0.3.36
                                                 (bench/build_llama_cpp.sh)

perplexity   of test/testdata/declaration.txt, and (constitution) of constitution.txt, by llama-perplexity: chunks of `context` tokens, the first of each
             replaced by the beginning-of-sequence token where the model has one, the second half of each scored.
greedy       for each prompt its tokens, and `LENGTH` tokens of the most likely continuation with, for each, which the second most likely one
             is (seconds) and how far it is behind in logits (gaps; llama-server, n_probs). `again` is that lead once more where nothing is
             different but attention, computed without -fa: what llama.cpp's own answers move by.
exact        perplexity and greedy, without `again`, of the model's weights dequantized to float32 (by the package gguf), and (divergence) the mean KL
             divergence of llama.cpp's own quantized run from it: what its 8-bit activations cost. Two runs that round activations differ by
             as much, even two of llama.cpp's; two that do not, by next to nothing.

Only run, with .deps/venv/bin/python, to make the file, or some measures of it, again: the tests read the committed one.
"""
import contextlib
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MODELS = ["smollm2-135m.gguf", "qwen2.5-coder-0.5b.gguf"]
MEASURES = ["perplexity", "constitution", "greedy", "exact"]
CONTEXT = 512
LENGTH = 32
PROMPTS = [
    "The capital of France is",
    "Once upon a time, in a village by the sea, there lived",
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "Water boils at 100 degrees Celsius because",
    "SELECT name, COUNT(*) FROM orders",
    "Les trois mousquetaires sont",
    "1, 2, 4, 8, 16,",
    "<|im_start|>user\nWhat is the largest planet of the solar system?<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|>system\nYou are terse.<|im_end|>\n<|im_start|>user\nName three primary colours.<|im_end|>\n<|im_start|>assistant\n",
    "package main\n\nimport \"fmt\"\n\nfunc main() {\n",
]


def perplexity(tool, model, *more, text="declaration.txt", pattern=r"Final estimate: PPL = ([0-9.]+)"):
    run = [tool, "-m", model, "-f", ROOT / "test/testdata" / text, "-c", str(CONTEXT), "-t", "2", *more]
    for _ in range(3):  # its last line is sometimes lost
        out = subprocess.run(run, check=True, capture_output=True, text=True)
        if found := re.search(pattern, out.stdout + out.stderr):
            return float(found[1])
    raise SystemExit(f"{model} gave no result:\n{out.stdout[-2000:]}\n{out.stderr[-2000:]}")


def exact(tools, model):
    with tempfile.TemporaryDirectory() as tmp:
        whole, base = Path(tmp) / "exact.gguf", Path(tmp) / "logits"
        subprocess.run([sys.executable, ROOT / "internal/zoo/testdata/dequantize.py", model, whole], check=True)
        tool = tools / "llama-perplexity"
        return {
            "perplexity": perplexity(tool, whole, "--kl-divergence-base", base),
            "divergence": perplexity(tool, model, "--kl-divergence-base", base, "--kl-divergence", pattern=r"Mean    KLD: +([0-9.]+)"),
            "greedy": greedy(tools, whole),
        }


def ask(port, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


@contextlib.contextmanager
def serving(tools, model, *more):
    """The port of a llama-server."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    run = [tools / "llama-server", "-m", model, "--host", "127.0.0.1", "--port", str(port), "-t", "2", "-c", "1024", "-np", "1", "--no-webui", *more]
    server = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(240):
            try:
                if ask(port, "/health")["status"] == "ok":
                    break
            except OSError:
                time.sleep(0.5)
        yield port
    finally:
        server.terminate()
        server.wait()


def greedy(tools, model, *again):
    """The answers; their leads once more with the options again, if there are such."""
    with serving(tools, model) as port:
        answers = [answer(port, prompt) for prompt in PROMPTS]
    if again:
        with serving(tools, model, *again) as port:
            for a in answers:
                a["again"] = leads(port, a)
    return answers


def answer(port, prompt):
    ids = ask(port, "/tokenize", {"content": prompt, "add_special": True, "parse_special": True})["tokens"]
    got = ask(port, "/completion", {"prompt": ids, "n_predict": LENGTH, "temperature": 0, "n_probs": 2, "cache_prompt": False,
                                    "return_tokens": True, "ignore_eos": False, "samplers": ["top_k"], "top_k": 1})
    tokens, seconds, gaps = [], [], []
    for step in got["completion_probabilities"]:
        first, second = step["top_logprobs"][:2]
        tokens.append(first["id"])
        seconds.append(second["id"])
        gaps.append(round(first["logprob"] - second["logprob"], 4))
    if tokens[:len(got["tokens"])] != got["tokens"][:len(tokens)]:
        raise SystemExit(f"{prompt!r}: the answer is not greedy: {tokens} {got['tokens']}")
    return {"prompt": prompt, "ids": ids, "tokens": tokens, "seconds": seconds, "gaps": gaps}


def leads(port, a):
    """How far each token of an answer is ahead of the one that was second."""
    out = []
    for i, (first, second) in enumerate(zip(a["tokens"], a["seconds"], strict=True)):
        got = ask(port, "/completion", {"prompt": a["ids"] + a["tokens"][:i], "n_predict": 1, "temperature": 0, "n_probs": 20, "cache_prompt": True})
        of = {t["id"]: t["logprob"] for t in got["completion_probabilities"][0]["top_logprobs"]}
        out.append(round(of[first] - of[second], 4))
    return out


def main():
    tools, named = Path(sys.argv[1]), sys.argv[2:]
    wanted = [m for m in MEASURES if m in named] or MEASURES
    file = Path(__file__).parent / "llama_cpp.json"
    out = json.loads(file.read_text())
    for name in [m for m in MODELS if m in named] or MODELS:
        model, of = ROOT / ".deps/models" / name, out.setdefault(name, {"context": CONTEXT})
        if "perplexity" in wanted:
            of["perplexity"] = perplexity(tools / "llama-perplexity", model)
        if "constitution" in wanted:
            of["constitution"] = perplexity(tools / "llama-perplexity", model, text="constitution.txt")
        if "greedy" in wanted:
            of["greedy"] = greedy(tools, model, "-fa", "off")
        if "exact" in wanted:
            of["exact"] = exact(tools, model)
        file.write_text(written(out))


def written(out):
    text = json.dumps(out, indent=1)
    return re.sub(r"\[\s+([-0-9.,\s]+?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text) + "\n"


if __name__ == "__main__":
    main()
