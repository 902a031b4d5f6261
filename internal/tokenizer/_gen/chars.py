"""Ask Hugging Face's tokenizers which kind each character is, for main.go, which writes ../tables.go.

  .deps/venv/bin/python internal/tokenizer/_gen/chars.py | go run internal/tokenizer/_gen/main.go > internal/tokenizer/tables.go

Its parts follow different editions of Unicode (patterns a new one, BERT's normalizer an old one), and
none of them is Go's.
"""
import json
import sys

from tokenizers import Regex, normalizers, pre_tokenizers

ALL = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def cut(pre_tokenizer, before=""):
    return [ord(c) for c in ALL if not pre_tokenizer.pre_tokenize_str(before + c)]


def category(name):
    return cut(pre_tokenizers.Split(Regex(rf"\p{{{name}}}"), "removed"))


def changed(normalizer):
    out = {}
    for c in ALL:
        n = normalizer.normalize_str(c)
        if n != c:
            out[ord(c)] = n
    return out


word, digits = pre_tokenizers.Whitespace(), pre_tokenizers.Digits(True)
json.dump({
    "category": {name: category(name) for name in ["L", "N", "M", "Lu", "Ll", "Lm", "Lo"]},
    "punctuation": cut(pre_tokenizers.Punctuation("removed")),
    "word": [ord(c) for c in ALL if len(word.pre_tokenize_str("a" + c)) == 1 and not c.isspace() and c not in "\x1c\x1d\x1e\x1f"
             and word.pre_tokenize_str("a" + c)[0][0] != "a"],
    "numeric": [ord(c) for c in ALL if len(digits.pre_tokenize_str("a" + c)) == 2],
    "clean": changed(normalizers.BertNormalizer(True, False, False, False)),
    "strip": changed(normalizers.BertNormalizer(False, False, True, False)),
    "accents": changed(normalizers.StripAccents()),
    "lower": changed(normalizers.Lowercase()),
    # a mark whose class is known goes before U+0345, which has the last class
    "unordered": [ord(c) for c in ALL if normalizers.NFD().normalize_str("\u0345" + c)[0] == "\u0345"],
    "nfd": changed(normalizers.NFD()),
    "nfkd": changed(normalizers.NFKD()),
}, sys.stdout)
