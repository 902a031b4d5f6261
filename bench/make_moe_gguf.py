#!/usr/bin/env python3
"""Writes a GGUF file of Mixtral's shape, of any size, with random weights.

    .deps/venv/bin/python bench/make_moe_gguf.py --preset 6b mixtral-6b.gguf

It is a whole model of architecture "llama" with experts, quantized as Q4_K_M is (Q4_K, and Q6_K for the
output, for values and for every second layer's down projections), so that every program that loads Mixtral
loads it. The weights are noise of a trained model's size: time, routing and memory are real, text is not.

    tiny     6 M weights, for tests
    6b       6.4 B, of which a token uses 1.7 B      3.9 GB
    47b     46.7 B, Mixtral 8x7B's own shape        28.3 GB
"""
import argparse
from dataclasses import dataclass

import gguf
import numpy as np

Q4_K, Q6_K, F32 = gguf.GGMLQuantizationType.Q4_K, gguf.GGMLQuantizationType.Q6_K, gguf.GGMLQuantizationType.F32
BLOCK = 256                             # weights that share a super-block's scales
BLOCK_BYTES = {Q4_K: 144, Q6_K: 210}
SPREAD = 0.02                           # standard deviation of the weights


@dataclass(frozen=True)
class Shape:
    width: int
    layers: int
    heads: int
    key_heads: int
    feed_forward: int
    vocabulary: int = 32000
    context: int = 32768
    experts: int = 8
    used: int = 2


PRESETS = {
    "tiny": Shape(width=256, layers=2, heads=4, key_heads=2, feed_forward=512, vocabulary=4096, context=2048),
    "6b": Shape(width=2048, layers=22, heads=32, key_heads=4, feed_forward=5632),
    "47b": Shape(width=4096, layers=32, heads=32, key_heads=8, feed_forward=14336),
}


def tensors(s):
    """(name, type, shape with the outermost first) of every tensor, in the file's order."""
    head = s.width // s.heads
    yield "token_embd.weight", Q4_K, (s.vocabulary, s.width)
    yield "output_norm.weight", F32, (s.width,)
    yield "output.weight", Q6_K, (s.vocabulary, s.width)
    for i in range(s.layers):
        layer = f"blk.{i}."
        yield layer + "attn_norm.weight", F32, (s.width,)
        yield layer + "attn_q.weight", Q4_K, (s.width, s.width)
        yield layer + "attn_k.weight", Q4_K, (s.key_heads * head, s.width)
        yield layer + "attn_v.weight", Q6_K, (s.key_heads * head, s.width)
        yield layer + "attn_output.weight", Q4_K, (s.width, s.width)
        yield layer + "ffn_norm.weight", F32, (s.width,)
        yield layer + "ffn_gate_inp.weight", F32, (s.experts, s.width)
        yield layer + "ffn_gate_exps.weight", Q4_K, (s.experts, s.feed_forward, s.width)
        yield layer + "ffn_up_exps.weight", Q4_K, (s.experts, s.feed_forward, s.width)
        yield layer + "ffn_down_exps.weight", Q4_K if i % 2 else Q6_K, (s.experts, s.width, s.feed_forward)


def stored(kind, shape):
    """The shape of a tensor's bytes."""
    return (*shape[:-1], shape[-1] // BLOCK * BLOCK_BYTES[kind])


def half(value):
    """The bytes of a 16-bit float."""
    return np.frombuffer(np.float16(value).tobytes(), np.uint8)


def noise_q4(random, blocks):
    """u8 [blocks][144]: f16 scale, f16 scale of the offsets, 8 six-bit scales and offsets, 256 four-bit codes.

    A weight is d·scale·code - dmin·offset; with scale = offset and dmin = 7.5·d its mean is 0, and its
    deviation d·32·4.6 (scales are 32 on average, codes deviate by 4.6).
    """
    out = np.empty((blocks, 144), np.uint8)
    d = SPREAD / (32 * 4.6)
    out[:, 0:2], out[:, 2:4] = half(d), half(7.5 * float(np.float16(d)))
    scales = random.integers(16, 48, (blocks, 8), dtype=np.uint8)
    low, high = scales[:, :4], scales[:, 4:]
    out[:, 4:8] = out[:, 8:12] = low | (high >> 4) << 6      # the first four scales, and their offsets
    out[:, 12:16] = (high & 15) | (high & 15) << 4           # low halves of the last four of both
    out[:, 16:] = np.frombuffer(random.bytes(blocks * 128), np.uint8).reshape(blocks, 128)
    return out


def noise_q6(random, blocks):
    """u8 [blocks][210]: 256 six-bit codes, 16 eight-bit scales, f16 scale; a weight is d·scale·(code - 32)."""
    out = np.empty((blocks, 210), np.uint8)
    out[:, :192] = np.frombuffer(random.bytes(blocks * 192), np.uint8).reshape(blocks, 192)
    out[:, 192:208] = random.integers(16, 48, (blocks, 16), dtype=np.uint8)
    out[:, 208:] = half(SPREAD / (32 * 18.5))                # codes deviate by 18.5
    return out


def parts(random, name, kind, shape):
    """A tensor's bytes in parts that fit into memory: one expert's matrix at a time."""
    if kind == F32:
        yield np.ones(shape, np.float32) if "norm" in name else random.normal(0, 0.3, shape).astype(np.float32)
        return
    fill = noise_q4 if kind == Q4_K else noise_q6
    for _ in range(shape[0] if len(shape) == 3 else 1):
        yield fill(random, shape[-2] * shape[-1] // BLOCK)


def describe(w, s, preset):
    """The metadata, with a vocabulary of SentencePiece's kind: bytes, then words that nobody speaks."""
    w.add_name(f"random Mixtral, {preset}")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    w.add_vocab_size(s.vocabulary)
    w.add_context_length(s.context)
    w.add_embedding_length(s.width)
    w.add_block_count(s.layers)
    w.add_feed_forward_length(s.feed_forward)
    w.add_head_count(s.heads)
    w.add_head_count_kv(s.key_heads)
    w.add_rope_dimension_count(s.width // s.heads)
    w.add_rope_freq_base(1e6)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_expert_count(s.experts)
    w.add_expert_used_count(s.used)
    special, octets = ["<unk>", "<s>", "</s>"], [f"<0x{i:02X}>" for i in range(256)]
    words = [f"\u2581w{i}" for i in range(s.vocabulary - len(special) - len(octets))]
    w.add_tokenizer_model("llama")
    w.add_token_list(special + octets + words)
    w.add_token_scores([0.0] * (len(special) + len(octets)) + [-float(i) for i in range(len(words))])
    kind = gguf.TokenType
    w.add_token_types([kind.UNKNOWN, kind.CONTROL, kind.CONTROL] + [kind.BYTE] * len(octets) + [kind.NORMAL] * len(words))
    w.add_unk_token_id(0)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out")
    p.add_argument("--preset", choices=PRESETS, default="6b")
    p.add_argument("--seed", type=int, default=1)
    o = p.parse_args()
    s, random = PRESETS[o.preset], np.random.default_rng(o.seed)
    w = gguf.GGUFWriter(o.out, "llama")
    describe(w, s, o.preset)
    for name, kind, shape in tensors(s):
        if kind == F32:
            w.add_tensor_info(name, shape, np.dtype(np.float32), int(np.prod(shape)) * 4)
        else:
            size = stored(kind, shape)
            w.add_tensor_info(name, size, np.dtype(np.uint8), int(np.prod(size)), raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    w.close()
    # Behind them each tensor begins at a multiple of the alignment.
    with open(o.out, "ab") as f:
        pad(f, w.data_alignment)
        for name, kind, shape in tensors(s):
            for part in parts(random, name, kind, shape):
                part.tofile(f)
            pad(f, w.data_alignment)


def pad(f, alignment):
    f.write(bytes(-f.tell() % alignment))


if __name__ == "__main__":
    main()
