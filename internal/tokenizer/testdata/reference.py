"""What the reference implementations make of many strings: Hugging Face's tokenizers, sentencepiece, tiktoken.

  reference.py DEPS OUT

reads vocabularies below DEPS (the checkout's .deps) and writes to OUT:
  strings.json             the texts, made from a fixed seed
  manifest.json            [{name, kind, path, gguf, json, decodes}], one for each tokenizer
  NAME.json                its tokenizer.json, where there is one
  NAME.plain, NAME.parsed  for each text the number of ids and the ids, 32 bits each: without special
                           tokens; with those in the text found, and the tokenizer's own around it
  NAME.texts.json          what some of these ids decode to, and random ids with what they decode to
"""
import array
import base64
import json
import random
import struct
import sys
import unicodedata
from pathlib import Path

import numpy
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

DEPS, OUT = Path(sys.argv[1]), Path(sys.argv[2])
COUNT, PART_COUNT = 10_000, 3_000  # texts for a vocabulary, for a single part of a tokenizer.json
rng = random.Random(4747)


# ---- the texts ----

def assigned(ranges):
    return [chr(c) for lo, hi in ranges for c in range(lo, hi + 1) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]


ALPHABETS = [
    assigned([(0x20, 0x7E)]), assigned([(0, 0x1F), (0x7F, 0x9F)]), assigned([(0xA0, 0x24F)]), assigned([(0x300, 0x36F), (0x20D0, 0x20F0)]),
    assigned([(0x370, 0x52F)]), assigned([(0x590, 0x6FF)]), assigned([(0x900, 0xDFF)]), assigned([(0xE00, 0x10FF)]), assigned([(0x1100, 0x11FF), (0xAC00, 0xD7A3)]),
    assigned([(0x1E00, 0x206F)]), assigned([(0x2070, 0x2BFF)]), assigned([(0x3000, 0x30FF), (0x4E00, 0x9FFF)]), assigned([(0xF900, 0xFFFD)]),
    assigned([(0x1F300, 0x1FAFF), (0x200D, 0x200D), (0xFE0F, 0xFE0F), (0x1F1E6, 0x1F1FF)]), assigned([(0x10000, 0x1D7FF)]), assigned([(0x20000, 0x323AF)]),
    assigned([(0x1D400, 0x1D7FF), (0x2100, 0x218F), (0x2460, 0x24FF)]), assigned([(0xE000, 0xE0FF), (0xE0001, 0xE01EF), (0xF0000, 0xF00FF), (0x10FF00, 0x10FFFD)]),
]
EVERYTHING = assigned([(0, 0x10FFFF)])
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "\t\t", "\u00a0", "\u3000", "\u2003", "\u0085", "\u2028", "\u200b", "\u1680", "\x0b", "\x0c", "\x1c", " \n", "\n "]
WORDS = """the of and to in a is that it was for on are as with his they at be this have from or had by not word but what some we can out other were
all there when up use your how said an each she which do their time if will way about many then them write would like so these her long make thing see
him two has look more day could go come did number sound no most people my over know water than call first who may down side been now find
l'été où façon Straße İstanbul ΣΑΣ ὀδυσσεύς привет мир здравствуйте naïve coöperate résumé über Ångström don't I'll we've he'd you're it's I'm
DON'T I'LL WE'VE o'clock rock'n'roll 'tis HTTPServer camelCase snake_case kebab-case CONSTANT_VALUE x86_64 3.14159 1,000,000 0xDEADBEEF 2026-11-24 10:30 user@example.com
https://example.com/a/b?c=d&e=f#g ... -- --- === != <= >= -> => :: // /* */ /** ## ### ``` <div> </div> {"key": [1, 2, 3]} $100 50% C++ C# ¿qué? ¡hola! “quoted” ‘single’ 你好 世界 こんにちは カタカナ 안녕하세요 
مرحبا שלום สวัสดี हिन्दी தமிழ் 👍 👨‍👩‍👧‍👦 🏳️‍🌈 🇫🇷 ❤️ é ö ﬁ ﬀ ① ² ½ Ⅷ ™ № Å K ſ 's 'S 'ſ 'LL ▁ ▁▁ Ġ Ċ <0x0A> ## ##ing""".split()
CODE = ["def f(x):\n    return x + 1\n", "for (int i = 0; i < n; ++i) {\n\t\tsum += a[i];\n\t}\n", "if err != nil {\n\treturn fmt.Errorf(\"%w\", err)\n}\n\n\n", "SELECT * FROM t WHERE id=42;",
        "\\begin{equation}\n  e^{i\\pi} + 1 = 0\n\\end{equation}", "<a href=\"#\">x</a>\r\n\r\n", "        deep\n            deeper\n", "a  b   c    d     e", "1234567890 123 12 1", "9" * 40]
specials = []  # names of special tokens, filled before texts are made


def piece():
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(["", " ", " ", " ", "  "]) + rng.choice(WORDS)
    if kind < 0.45:
        return rng.choice(SPACES) * rng.choice([1, 1, 1, 2, 5])
    if kind < 0.50:
        return rng.choice(CODE)
    if kind < 0.55:
        return str(rng.randrange(10 ** rng.randrange(1, 12)))
    if kind < 0.60:
        return rng.choice(specials)
    if kind < 0.65:
        return rng.choice("aZ .-=\n_0é世▁") * rng.randrange(1, 70)
    if kind < 0.70:
        return "".join(rng.choice(EVERYTHING) for _ in range(rng.randrange(1, 6)))
    alphabet = rng.choice(ALPHABETS)
    if kind < 0.75:  # letters with marks
        return "".join(rng.choice(alphabet) + "".join(rng.choice(ALPHABETS[3]) for _ in range(rng.randrange(3))) for _ in range(rng.randrange(1, 6)))
    return "".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 10)))


def make_texts():
    texts = ["", " ", "  ", "\n", "a", " a", "Hello world", "▁", "▁▁a", "\x00", "\ufeff", "\ufffd", "a\u0300"]
    while len(texts) < COUNT:
        texts.append("".join(piece() for _ in range(rng.randrange(1, 8))))
    return texts


# ---- vocabularies ----

class GGUF(dict):
    """The key-values of a GGUF file."""

    FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}

    def __init__(self, path):
        with open(path, "rb") as f:
            self.bytes, self.at = f.read(64 << 20), 0
        magic, version, _, count = self.take("<4sIQQ")
        assert magic == b"GGUF" and version >= 2
        for _ in range(count):
            key = self.text()
            self[key.removeprefix("tokenizer.ggml.")] = self.value(self.take("<I")[0])

    def take(self, fmt):
        out = struct.unpack_from(fmt, self.bytes, self.at)
        self.at += struct.calcsize(fmt)
        return out

    def text(self):
        n, = self.take("<Q")
        self.at += n
        return self.bytes[self.at - n:self.at].decode("utf-8", "replace")

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            kind, n = self.take("<IQ")
            if kind in self.FORMATS:
                dtype = numpy.dtype(self.FORMATS[kind].replace("<B", "<u1").replace("<b", "<i1"))
                self.at += n * dtype.itemsize
                return numpy.frombuffer(self.bytes, dtype, n, self.at - n * dtype.itemsize).tolist()
            return [self.value(kind) for _ in range(n)]
        return self.take(self.FORMATS[kind])[0]

    def added(self):
        return [AddedToken(text, special=kind != 4, normalized=False) for text, kind in zip(self["tokens"], self["token_type"]) if kind in (3, 4) and text]


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace("{1,3}", "")
QWEN35 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
          r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CJK = "[一-龥ࠀ-一가-퟿]+"


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def bytelevel(regex=False, prefix=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)


def digits(individual=True):
    return pre_tokenizers.Digits(individual_digits=individual)


def sequence(*parts):
    return pre_tokenizers.Sequence(list(parts))


BPE = {  # file: pre-tokenizer
    "ggml-vocab-llama-bpe": sequence(split(LLAMA3), bytelevel()),
    "ggml-vocab-qwen2": sequence(split(QWEN2), bytelevel()),
    "ggml-vocab-qwen35": sequence(split(QWEN35), bytelevel()),
    "ggml-vocab-gpt-2": bytelevel(True),
    "ggml-vocab-mpt": bytelevel(True),
    "ggml-vocab-starcoder": sequence(digits(), bytelevel(True)),
    "ggml-vocab-refact": sequence(digits(), bytelevel(True)),
    "ggml-vocab-command-r": sequence(digits(), bytelevel(True)),
    "ggml-vocab-deepseek-coder": sequence(split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(CJK), digits(), bytelevel()),
    "ggml-vocab-falcon": sequence(split("[\\p{P}\\$\\+<=>\\^~\\|`]+"), split(GPT2), split("[0-9][0-9][0-9]"), bytelevel()),
    "smollm2-135m": sequence(digits(), bytelevel(True)),
    "qwen2.5-coder-0.5b": sequence(split(QWEN2), bytelevel()),
}


def gguf_path(name):
    for folder in (DEPS / "llama.cpp/models", DEPS / "models"):
        if (folder / (name + ".gguf")).exists():
            return folder / (name + ".gguf")
    raise SystemExit(f"no {name}.gguf below {DEPS}")


def merges_of(g):
    out = []
    for line in g["merges"]:
        cut = line.index(" ", 1)
        out.append((line[:cut], line[cut + 1:]))
    return out


def vocab_of(g):
    vocab = {}
    for i, text in enumerate(g["tokens"]):
        if text not in vocab:
            vocab[text] = i
    return vocab


def byte_bpe(g, pre_tokenizer, ignore_merges=False):
    t = Tokenizer(models.BPE(vocab_of(g), merges_of(g), ignore_merges=ignore_merges))
    t.pre_tokenizer, t.decoder = pre_tokenizer, decoders.ByteLevel()
    t.add_tokens(g.added())
    if g.get("add_bos_token", ignore_merges):
        begin = g["bos_token_id"]
        name = g["tokens"][begin]
        t.post_processor = processors.TemplateProcessing(single=f"{name} $A", special_tokens=[(name, begin)])
    return t


def scored_merges(tokens, scores):
    """As transformers makes merges from a SentencePiece model."""
    vocab = {t: i for i, t in enumerate(tokens)}
    merges = []
    for piece, score in zip(tokens, scores):
        local = [(piece[:i], piece[i:]) for i in range(1, len(piece)) if piece[:i] in vocab and piece[i:] in vocab]
        merges += [(score, m) for m in sorted(local, key=lambda m: (vocab[m[0]], vocab[m[1]]))]
    return [m for _, m in sorted(merges, key=lambda m: m[0], reverse=True)]


def spm_bpe(g):
    t = Tokenizer(models.BPE(vocab_of(g), scored_merges(g["tokens"], g["scores"]), unk_token=g["tokens"][0], fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.add_tokens(g.added())
    return t


def gemma(g):
    t = Tokenizer(models.BPE(vocab_of(g), merges_of(g), unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer, t.pre_tokenizer = normalizers.Replace(" ", "▁"), split(r"[^\n]+|[\n]+")
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    t.add_tokens(g.added())
    t.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", g["bos_token_id"])])
    return t


def bert(g):
    vocab = {}
    for i, (text, kind) in enumerate(zip(g["tokens"], g["token_type"])):
        vocab[text if kind == 3 else text[1:] if text.startswith("▁") else "##" + text] = i
    t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece(cleanup=False)
    t.add_special_tokens([AddedToken(n, normalized=False) for n in ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]])
    t.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    return t


def unigram(g, charsmap):
    t = Tokenizer(models.Unigram(list(zip(g["tokens"], g["scores"])), unk_id=g.get("unknown_token_id", 3), byte_fallback=False))
    t.normalizer = normalizers.Sequence([normalizers.Precompiled(charsmap), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = t.decoder = None
    t.pre_tokenizer, t.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    t.add_tokens(g.added())
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return t


def characters(texts):
    """A model that shows where the words are: each character is a token, in two forms."""
    chars = set("".join(texts))
    for n in NORMALIZERS.values():
        if n is not None:
            chars.update("".join(n.normalize_str(t) for t in texts))
    chars.update(chr(c) for c in range(0x21, 0x180))
    vocab = {"[UNK]": 0}
    for c in sorted(chars):
        vocab[c] = len(vocab)
        vocab["##" + c] = len(vocab)
    return vocab


NORMALIZERS = {
    "none": None, "nfc": normalizers.NFC(), "nfd": normalizers.NFD(), "nfkc": normalizers.NFKC(), "nfkd": normalizers.NFKD(), "lower": normalizers.Lowercase(),
    "accents": normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]), "strip": normalizers.Strip(True, True), "nmt": normalizers.Nmt(),
    "bert": normalizers.BertNormalizer(), "cased": normalizers.BertNormalizer(lowercase=False), "unclean": normalizers.BertNormalizer(False, False, None, True),
    "replace": normalizers.Sequence([normalizers.Replace("``", '"'), normalizers.Replace(Regex(r"\s{2,}"), " "), normalizers.Prepend("x")]),
    "bytelevel": normalizers.ByteLevel(),
}
PRE_TOKENIZERS = {
    "whitespace": pre_tokenizers.Whitespace(), "whitespacesplit": pre_tokenizers.WhitespaceSplit(), "bert": pre_tokenizers.BertPreTokenizer(),
    "bytelevel": bytelevel(True, True), "punctuation": pre_tokenizers.Punctuation(), "digits": digits(False), "digit": digits(True),
    "metaspace": pre_tokenizers.Metaspace(), "metafirst": pre_tokenizers.Metaspace(prepend_scheme="first"), "metanever": pre_tokenizers.Metaspace(prepend_scheme="never"),
    "metawhole": pre_tokenizers.Metaspace(split=False), "delimiter": pre_tokenizers.CharDelimiterSplit("a"),
    "firstwords": sequence(pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="first")),
    "falcon": sequence(pre_tokenizers.Punctuation("contiguous"), bytelevel(True), digits(False), split("[0-9][0-9][0-9]")),
    "tekken": sequence(split(TEKKEN)), "gpt4o": split(GPT4O, "removed", True), "llama3": split(LLAMA3), "qwen35": split(QWEN35), "gpt2": split(GPT2),
    "string": pre_tokenizers.Split("e", "merged_with_previous"), "nested": split(r" ?[^(\s|[.,!?…。，、।۔،])]+"),
    **{f"{b}{'inverted' if i else ''}": split(r"[0-9]+|\s|e", b, i) for b in ["isolated", "removed", "merged_with_previous", "merged_with_next", "contiguous"] for i in (False, True)},
}


# ---- answers ----

manifest = []


def write_ids(path, lists):
    flat = array.array("i")
    for ids in lists:
        flat.append(len(ids))
        flat.extend(ids)
    path.write_bytes(flat.tobytes())


def record(name, kind, encode, decode, texts, size=0, **more):
    plain, parsed = encode(texts, False), encode(texts, True)
    write_ids(OUT / f"{name}.plain", plain)
    write_ids(OUT / f"{name}.parsed", parsed)
    draw = random.Random(name)
    ids = [[draw.randrange(size) for _ in range(draw.randrange(1, 9))] for _ in range(2000)] if size else []
    (OUT / f"{name}.texts.json").write_text(json.dumps({
        "plain": [decode(i, True) for i in plain[:3000]], "parsed": [decode(i, False) for i in parsed[:3000]],
        "ids": ids, "random": [decode(i, True) for i in ids]}) if decode else "null")
    manifest.append({"name": name, "kind": kind, "decodes": bool(decode), **more})


def hugging_face(name, t, texts, decodes=True, **more):
    path = OUT / f"{name}.json"
    t.save(str(path), pretty=False)
    t = Tokenizer.from_file(str(path))
    t.no_padding()
    t.no_truncation()

    def encode(texts, parse):
        t.encode_special_tokens = not parse
        return [e.ids for e in t.encode_batch_fast(texts, add_special_tokens=parse)]

    record(name, "json", encode, (lambda ids, skip: t.decode(ids, skip_special_tokens=skip)) if decodes else None, texts,
           t.get_vocab_size(), path=str(path), **more)
    write_pairs(name, t, texts)


def write_pairs(name, t, texts):
    """Two texts at a time, whole and cut to a few lengths; nothing for what puts no token around them."""
    if t.num_special_tokens_to_add(True) == 0:
        return
    draw, out = random.Random(name), []
    t.encode_special_tokens = True  # names in the texts are text
    for most in (0, 11, 12, 64):
        t.no_truncation() if most == 0 else t.enable_truncation(most, strategy="longest_first")
        pairs = [(draw.choice(texts), draw.choice(texts)) for _ in range(400)]
        for (a, b), e in zip(pairs, t.encode_batch(pairs)):
            out.append({"a": a, "b": b, "most": most, "ids": e.ids, "kinds": e.type_ids})
    t.no_truncation()
    (OUT / f"{name}.pairs.json").write_text(json.dumps(out))


def sentence_piece(name, model, texts, **more):
    sp = sentencepiece.SentencePieceProcessor(model_proto=model)
    (OUT / f"{name}.model").write_bytes(model)
    record(name, "sentencepiece", lambda texts, parse: sp.encode(texts, add_bos=parse and "llama" in more["like"]), None, texts, path=str(OUT / f"{name}.model"), **more)


def model_proto(g, charsmap=None):
    """The SentencePiece model that a GGUF vocabulary was made of."""
    m = sentencepiece_model_pb2.ModelProto()
    for text, score, kind in zip(g["tokens"], g["scores"], g["token_type"]):
        m.pieces.add(piece=text, score=score, type=3 if kind == 2 and text != "<unk>" else kind)
    m.trainer_spec.model_type = 1 if charsmap else 2
    m.trainer_spec.byte_fallback = 6 in g["token_type"]
    m.trainer_spec.unk_id = g.get("unknown_token_id", 0)
    m.trainer_spec.bos_id, m.trainer_spec.eos_id = g.get("bos_token_id", 1), g.get("eos_token_id", 2)
    m.normalizer_spec.name = "identity"
    m.normalizer_spec.precompiled_charsmap = charsmap or b""
    m.normalizer_spec.add_dummy_prefix, m.normalizer_spec.remove_extra_whitespaces = True, bool(charsmap)
    return m.SerializeToString()


def main():
    gs = {name: GGUF(gguf_path(name)) for name in [*BPE, "ggml-vocab-gemma-4", "ggml-vocab-bert-bge", "ggml-vocab-llama-spm", "ggml-vocab-phi-3", "ggml-vocab-nomic-bert-moe"]}
    for g in gs.values():
        specials.extend([text for text, kind in zip(g["tokens"], g["token_type"]) if kind in (3, 4)][:12])
    texts = make_texts()
    (OUT / "strings.json").write_text(json.dumps(texts))

    for name, pre_tokenizer in BPE.items():
        g = gs.pop(name)
        t = byte_bpe(g, pre_tokenizer, name.endswith("llama-bpe"))
        hugging_face(name, t, texts, gguf=str(gguf_path(name)))
        if name == "ggml-vocab-qwen2":  # as the model's own does; GGUF does not tell
            t.normalizer = normalizers.NFC()
            hugging_face("qwen2-nfc", t, texts)
    for name, make in [("ggml-vocab-gemma-4", gemma), ("ggml-vocab-bert-bge", bert)]:
        hugging_face(name, make(gs[name]), texts, gguf=str(gguf_path(name)))
    hugging_face("ggml-vocab-llama-spm", spm_bpe(gs["ggml-vocab-llama-spm"]), texts)
    for name in ["ggml-vocab-llama-spm", "ggml-vocab-phi-3"]:
        sentence_piece(name + "-piece", model_proto(gs[name]), texts, like="llama", gguf=str(gguf_path(name)))
    g = gs["ggml-vocab-nomic-bert-moe"]
    charsmap = bytes(x & 255 for x in g["precompiled_charsmap"])
    xlm = unigram(g, charsmap)
    hugging_face("ggml-vocab-nomic-bert-moe", xlm, texts)
    xlm.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B:1 </s>:1", [("<s>", 0), ("</s>", 2)])
    hugging_face("xlm-roberta-template", xlm, texts[:PART_COUNT])
    sentence_piece("ggml-vocab-nomic-bert-moe-piece", model_proto(g, charsmap), texts, like="t5", gguf=str(gguf_path("ggml-vocab-nomic-bert-moe")))

    minilm = Tokenizer.from_file(str(DEPS / "models/all-minilm-l6-v2/tokenizer.json"))
    hugging_face("all-minilm-l6-v2", minilm, texts)

    vocab = characters(texts)
    for name, normalizer, pre_tokenizer in [*((f"normalizer-{k}", n, None) for k, n in NORMALIZERS.items()), *((f"pre-tokenizer-{k}", None, p) for k, p in PRE_TOKENIZERS.items())]:
        t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=1 << 20))
        if normalizer is not None:
            t.normalizer = normalizer
        if pre_tokenizer is not None:
            t.pre_tokenizer = pre_tokenizer
        hugging_face(name, t, texts[:PART_COUNT], decodes=False)
    t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=1 << 20))
    t.normalizer, t.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Metaspace(prepend_scheme="first")
    t.add_tokens([AddedToken("word", single_word=True), AddedToken("The", normalized=True), AddedToken("C++", normalized=False, rstrip=True), AddedToken("a b", lstrip=True)])
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False), AddedToken("thing", lstrip=True, rstrip=True, single_word=True, normalized=False)])
    hugging_face("added-tokens", t, texts, decodes=False)

    import mistral_common
    data = Path(mistral_common.__file__).parent / "data"
    for model in ["tokenizer.model.v1", "mistral_instruct_tokenizer_240216.model.v2", "mistral_instruct_tokenizer_240323.model.v3", "mistral_instruct_tokenizer_241114.model.v7"]:
        sentence_piece(model, (data / model).read_bytes(), texts, like="llama")
    for name in ["tekken_240718.json", "tekken_240911.json"]:
        tiktoken_tekken(name, data / name, texts)
    (OUT / "manifest.json").write_text(json.dumps(manifest))


def tiktoken_tekken(name, path, texts):
    import tiktoken
    f = json.loads(path.read_text())
    specials_count, size = f["config"]["default_num_special_tokens"], f["config"]["default_vocab_size"]
    ranks = {base64.b64decode(v["token_bytes"]): v["rank"] for v in f["vocab"][:size - specials_count]}
    enc = tiktoken.Encoding(name, pat_str=f["config"]["pattern"], mergeable_ranks=ranks, special_tokens={})
    record(name, "tekken", lambda texts, parse: [[1] * parse + [i + specials_count for i in enc.encode_ordinary(t)] for t in texts], None, texts, path=str(path))


main()
