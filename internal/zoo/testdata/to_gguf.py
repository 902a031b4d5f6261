"""GGUF files from the tiny checkpoints, in F32, as llama.cpp's converter lays them out.

  to_gguf.py OUT NAME...  ->  OUT/NAME.gguf; for mixtral also OUT/mixtral-old.gguf, one tensor an expert,
                              OUT/mixtral-quantized.gguf in Q8_0 and Q5_0, and OUT/mixtral-exact.gguf, the same numbers in F32

Tensors are called what the package gguf calls them, keys are written by its own writer.
"""
import json
import math
import sys
from pathlib import Path

import gguf
import numpy as np

HERE = Path(__file__).resolve().parent / "tiny"
ARCH = {"llama": "llama", "mistral": "llama", "mixtral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "qwen3_moe": "qwen3moe",
        "gemma3_text": "gemma3", "bert": "bert", "roberta": "bert", "xlm-roberta": "bert"}


def read(path):
    """All tensors as float32."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    out = {}
    for name, t in json.loads(raw[8:8 + size]).items():
        if name == "__metadata__":
            continue
        part = raw[8 + size:][slice(*t["data_offsets"])]
        if t["dtype"] == "BF16":
            x = (np.frombuffer(part, "<u2").astype("<u4") << 16).view("<f4")
        else:
            x = np.frombuffer(part, {"F32": "<f4", "F16": "<f2", "I64": "<i8"}[t["dtype"]])
        out[name] = x.astype(np.float32).reshape(t["shape"])
    return out


def permute(w, heads):
    """Pairs of the rotation become neighbours."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def llama3_divisors(r, dims):
    out = []
    for i in range(0, dims, 2):
        wave = 2 * math.pi * r["rope_theta"] ** (i / dims)
        old, low, high = r["original_max_position_embeddings"], r["low_freq_factor"], r["high_freq_factor"]
        smooth = min(max((old / wave - low) / (high - low), 0), 1)
        out.append(1 / ((1 - smooth) / r["factor"] + smooth))
    return np.array(out, np.float32)


def skipped(c):
    """Positions before a text's first: the converter leaves RoBERTa's away."""
    return c["pad_token_id"] + 1 if "roberta" in c["model_type"] else 0


def keys(w, c, arch):
    heads = c["num_attention_heads"]
    dim = c.get("head_dim") or c["hidden_size"] // heads
    w.add_context_length(c["max_position_embeddings"] - skipped(c))
    w.add_embedding_length(c["hidden_size"])
    w.add_block_count(c["num_hidden_layers"])
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(heads)
    w.add_vocab_size(c["vocab_size"])
    if arch == "bert":
        w.add_layer_norm_eps(c["layer_norm_eps"])
        w.add_causal_attention(False)
        if "ForSequenceClassification" in c["architectures"][0]:
            w.add_pooling_type(gguf.PoolingType.RANK)
            if labels := c.get("id2label"):
                w.add_classifier_output_labels(list(labels.values()))
        else:
            w.add_pooling_type(gguf.PoolingType.MEAN)
        return
    w.add_head_count_kv(c["num_key_value_heads"])
    w.add_key_length(dim)
    w.add_value_length(dim)
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    if arch == "llama":
        w.add_rope_dimension_count(dim)
    if n := c.get("num_local_experts", c.get("num_experts")):
        w.add_expert_count(n)
        w.add_expert_used_count(c["num_experts_per_tok"])
    if n := c.get("moe_intermediate_size"):
        w.add_expert_feed_forward_length(n)
    r = c["rope_parameters"]
    if arch == "gemma3":
        w.add_sliding_window(c["sliding_window"])
        pattern = c["layer_types"].index("full_attention") + 1
        w.add_uint32("gemma3.attention.sliding_window_pattern", pattern)
        w.add_float32("gemma3.rope.freq_base_swa", r["sliding_attention"]["rope_theta"])
        r = r["full_attention"]
    elif c.get("sliding_window") and c.get("use_sliding_window", True):
        w.add_sliding_window(c["sliding_window"])
    w.add_rope_freq_base(r["rope_theta"])
    if r["rope_type"] in ("linear", "yarn"):
        w.add_rope_scaling_type(gguf.RopeScalingType(r["rope_type"]))
        w.add_rope_scaling_factor(r["factor"])
    if r["rope_type"] == "yarn":
        w.add_rope_scaling_orig_ctx_len(r["original_max_position_embeddings"])
    if r["rope_type"] == "llama3":
        w.add_tensor("rope_freqs.weight", llama3_divisors(r, dim))


def put(w, name, x, form):
    """Adds a tensor, in blocks if form says so and it is a matrix."""
    kind = gguf.GGMLQuantizationType.Q5_0 if "_exps" in name or "ffn" in name else gguf.GGMLQuantizationType.Q8_0
    if form and x.ndim > 1 and "gate_inp" not in name:
        q = gguf.quants.quantize(np.ascontiguousarray(x), kind)
        if form == "quantized":
            w.add_tensor(name, q, raw_dtype=kind)
            return
        x = gguf.quants.dequantize(q, kind)
    w.add_tensor(name, np.ascontiguousarray(x))


def tensors(w, c, arch, source, form):
    names = gguf.get_tensor_name_map(next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == arch), c["num_hidden_layers"])
    stacks = {}
    for name, x in source.items():
        if arch == "llama" and ".q_proj." in name:
            x = permute(x, c["num_attention_heads"])
        if arch == "llama" and ".k_proj." in name:
            x = permute(x, c["num_key_value_heads"])
        if arch == "gemma3" and name.endswith("norm.weight"):
            x = x + 1
        if arch == "bert":
            name = name.removeprefix(c["model_type"].replace("xlm-", "") + ".")
        if name.startswith("pooler."):  # the converter leaves it away
            continue
        if name == "embeddings.position_embeddings.weight":
            x = x[skipped(c):]
        if ".experts." in name:
            before, after = name.split(".experts.")
            number, kind = after.removesuffix(".weight").split(".")
            stacks.setdefault(f"{before}.experts.{kind}.weight", {})[int(number)] = x
            continue
        mapped = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if mapped is None:
            raise SystemExit(f"gguf has no name for {name}")
        put(w, mapped, x, form if form != "old" else "")
    for name, experts in stacks.items():
        # The converter calls Mixtral's layers.N.feed_forward.experts.wK before it asks for a name.
        asked = name.replace("model.layers", "layers").replace("block_sparse_moe", "feed_forward") if "block_sparse" in name else name
        mapped = names.get_name(asked, try_suffixes=(".weight",))
        stack = [experts[i] for i in range(len(experts))]
        if form != "old":
            put(w, mapped, np.stack(stack), form)
            continue
        for i, x in enumerate(stack):
            w.add_tensor(mapped.replace("_exps.", f".{i}."), np.ascontiguousarray(x))


def write(name, path, form=""):
    c = json.loads((HERE / name / "config.json").read_text())
    arch = ARCH[c["model_type"]]
    w = gguf.GGUFWriter(path, arch)
    keys(w, c, arch)
    tensors(w, c, arch, read(HERE / name / "model.safetensors"), form)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


out = Path(sys.argv[1])
for name in sys.argv[2:]:
    write(name, out / f"{name}.gguf")
    if name == "mixtral":
        for form in ("old", "quantized", "exact"):
            write(name, out / f"mixtral-{form}.gguf", form)
