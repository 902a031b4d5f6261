"""What others say about what `galerne inspect` shows: a JSON list on standard output.

  tokens FOLDER        [text, add_special], ... on standard input -> ids of Hugging Face's tokenizers
  prompt FOLDER        {"template", "conversation"}, ... on standard input -> {"text"} or {"error"} of the
                       apply_chat_template of a transformers tokenizer (that of FOLDER, with the template)
  folder FOLDER        conversations on standard input -> {"text"} or {"error"} of FOLDER's own tokenizer and template
  weights FILE.gguf    [name, type, shape, bytes] of each tensor, then the scalar metadata, read by the package gguf
  reference FILE       tokens and logits of three sequences, from a reference.safetensors
"""
import json
import sys

what, path = sys.argv[1:]


def tokens():
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(path + "/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return [tokenizer.encode(text, add_special_tokens=special).ids for text, special in json.load(sys.stdin)]


def prompt():
    from transformers import PreTrainedTokenizerFast

    out = []
    for case in json.load(sys.stdin):
        conversation = dict(case["conversation"])
        special = {"bos_token": "<s>", "eos_token": "</s>"} | conversation.pop("vars", {})
        more = {k: v for k, v in special.items() if not k.endswith("_token")}
        names = {k: v for k, v in special.items() if k.endswith("_token")}
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=path + "/tokenizer.json", chat_template=case["template"], **names)
        try:
            text = tokenizer.apply_chat_template(conversation.pop("messages"), tokenize=False, **conversation, **more)
            out.append({"text": text})
        except Exception as e:
            out.append({"error": f"{type(e).__name__}: {e}"})
    return out


def folder():
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(path)
    out = []
    for conversation in json.load(sys.stdin):
        try:
            out.append({"text": tokenizer.apply_chat_template(conversation.pop("messages"), tokenize=False, **conversation)})
        except Exception as e:
            out.append({"error": f"{type(e).__name__}: {e}"})
    return out


def weights():
    from gguf import GGUFReader, GGUFValueType

    reader = GGUFReader(path)
    tensors = [[t.name, t.tensor_type.name, [int(n) for n in reversed(t.shape)], int(t.n_bytes)] for t in reader.tensors]
    scalars = {
        name: field.contents()
        for name, field in reader.fields.items()
        if not name.startswith("GGUF.") and field.types[0] != GGUFValueType.ARRAY
    }
    return [tensors, scalars]


def reference():
    from safetensors.numpy import load_file

    file = load_file(path)
    return [{"tokens": [int(t) for t in file[f"tokens.{i}"]], "logits": file[f"logits.{i}"].tolist()} for i in range(3)]


json.dump(globals()[what](), sys.stdout)
