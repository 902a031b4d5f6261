"""What llama.cpp computes from the small real models, for our tests to compare with: llama_cpp.json.

  llama_cpp.py BIN     BIN holds llama-perplexity and llama-server of the llama.cpp in llama-cpp-python==0.3.36

perplexity   of test/testdata/declaration.txt, and (constitution) of constitution.txt, by llama-perplexity: chunks of `context` tokens, the first of each
             replaced by the beginning-of-sequence token where the model has one, the second half of each scored.
greedy       for each prompt its tokens, and up to `LENGTH` tokens of the most likely continuation with, for each,
             how far in logits the second most likely one is behind it (llama-server, n_probs).

"exact" is the same of the first model with its weights dequantized to float32 (by the package gguf), and the mean
KL divergence of llama.cpp's own quantized run from it: what its 8-bit activations cost. Two programs that round
activations differ from each other by that much, and by next to nothing where neither rounds.

Only run, with .deps/venv/bin/python, to make the file again: the tests read the committed one.
"""
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


def measure(tools, model):
    return {"context": CONTEXT, "perplexity": perplexity(tools / "llama-perplexity", model), "greedy": greedy(tools / "llama-server", model)}


def exact(tools, model):
    """The measures of a model's dequantized weights, and the divergence of the model from them."""
    with tempfile.TemporaryDirectory() as tmp:
        whole, base = Path(tmp) / "exact.gguf", Path(tmp) / "logits"
        subprocess.run([sys.executable, ROOT / "internal/zoo/testdata/dequantize.py", model, whole], check=True)
        out = measure(tools, whole)
        tool = tools / "llama-perplexity"
        perplexity(tool, whole, "--kl-divergence-base", base)
        out["divergence"] = perplexity(tool, model, "--kl-divergence-base", base, "--kl-divergence", pattern=r"Mean    KLD: +([0-9.]+)")
        return out


def ask(port, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def greedy(tool, model):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = subprocess.Popen([tool, "-m", model, "--host", "127.0.0.1", "--port", str(port), "-t", "2", "-c", "1024", "-np", "1", "--no-webui"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(120):
            try:
                if ask(port, "/health")["status"] == "ok":
                    break
            except OSError:
                time.sleep(0.5)
        return [answer(port, prompt) for prompt in PROMPTS]
    finally:
        server.terminate()
        server.wait()


def answer(port, prompt):
    ids = ask(port, "/tokenize", {"content": prompt, "add_special": True, "parse_special": True})["tokens"]
    got = ask(port, "/completion", {"prompt": ids, "n_predict": LENGTH, "temperature": 0, "n_probs": 2, "cache_prompt": False,
                                    "return_tokens": True, "ignore_eos": False, "samplers": ["top_k"], "top_k": 1})
    tokens, gaps = [], []
    for step in got["completion_probabilities"]:
        first, second = step["top_logprobs"][:2]
        tokens.append(first["id"])
        gaps.append(round(first["logprob"] - second["logprob"], 4))
    if tokens[:len(got["tokens"])] != got["tokens"][:len(tokens)]:
        raise SystemExit(f"{prompt!r}: the answer is not greedy: {tokens} {got['tokens']}")
    return {"prompt": prompt, "ids": ids, "tokens": tokens, "gaps": gaps}


def main():
    tools = Path(sys.argv[1])
    out = {name: measure(tools, ROOT / ".deps/models" / name) for name in MODELS}
    for name in MODELS:
        out[name]["constitution"] = perplexity(tools / "llama-perplexity", ROOT / ".deps/models" / name, text="constitution.txt")
    out["exact"] = exact(tools, ROOT / ".deps/models" / MODELS[0])
    text = json.dumps(out, indent=1)
    text = re.sub(r"\[\s+([-0-9.,\s]+?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)
    (Path(__file__).parent / "llama_cpp.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
