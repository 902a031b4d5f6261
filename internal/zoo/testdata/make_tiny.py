"""Tiny random checkpoints of every architecture, with what Hugging Face transformers computes from them.

Not a test dependency: the results are committed below tiny/. To make them again:

  python3 -m venv v && v/bin/pip install torch==2.15.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.3.5
  v/bin/python internal/zoo/testdata/make_tiny.py [NAME...]

tiny/NAME/config.json, model.safetensors   as save_pretrained writes them
tiny/NAME/reference.safetensors            tokens.N [n] and logits.N float32 [n][vocab], computed in float32;
                                           for encoders embeddings.N [dim], the rows' mean, and first.N [dim] in their place
tiny/NAME/tokenizer.json                   of a classifier, made here: a few words and all letters
tiny/NAME/texts.json                       of a classifier: text or pair, ids and kinds by tokenizers, logits [labels]

Weights are rounded to the type that they are stored in before the reference is computed, so that no
rounding stands between the two. Matrices are scaled so that logits are far from uniform, norms are far
from one, and biases far from zero: a part that is left out is seen.
"""
import json
import shutil
import string
import sys
from pathlib import Path

import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

HERE = Path(__file__).resolve().parent / "tiny"
LENGTHS = [64, 41, 17]
VOCAB = 96
BASE = dict(vocab_size=VOCAB, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0,
            tie_word_embeddings=False)
T = transformers


def rope(theta, **more):
    return dict(rope_type="default", rope_theta=theta) | more


LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
YARN = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)
GEMMA = dict(head_dim=16, sliding_window=8, num_hidden_layers=4, tie_word_embeddings=True, hidden_activation="gelu_pytorch_tanh",
             layer_types=["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"])
ENCODER = dict(num_hidden_layers=2, type_vocab_size=2, max_position_embeddings=64, hidden_act="gelu")
# Positions begin behind the padding token's id, so 66 of them are for 64 tokens.
ROBERTA = ENCODER | dict(type_vocab_size=1, max_position_embeddings=66, bos_token_id=0, pad_token_id=1, eos_token_id=2)

# name: (stored type, model class, config class, what differs from BASE)
MODELS = {
    "llama": (torch.float32, T.LlamaForCausalLM, T.LlamaConfig, dict(num_key_value_heads=4, rope_parameters=rope(10000.0))),
    "llama3": (torch.bfloat16, T.LlamaForCausalLM, T.LlamaConfig,
               dict(tie_word_embeddings=True, head_dim=16, rope_parameters=rope(500.0) | LLAMA3)),
    "mistral": (torch.float16, T.MistralForCausalLM, T.MistralConfig, dict(sliding_window=8, rope_parameters=rope(10000.0))),
    "mixtral": (torch.bfloat16, T.MixtralForCausalLM, T.MixtralConfig,
                dict(num_hidden_layers=2, hidden_size=64, num_local_experts=4, num_experts_per_tok=2, intermediate_size=64, sliding_window=None,
                     rope_parameters=rope(1000000.0))),
    "qwen2": (torch.float32, T.Qwen2ForCausalLM, T.Qwen2Config,
              dict(tie_word_embeddings=True, rope_parameters=rope(1000000.0), use_sliding_window=False)),
    "qwen2-yarn": (torch.bfloat16, T.Qwen2ForCausalLM, T.Qwen2Config,
                   dict(rope_parameters=rope(10000.0) | YARN, use_sliding_window=False)),
    "qwen2-window": (torch.bfloat16, T.Qwen2ForCausalLM, T.Qwen2Config,
                     dict(rope_parameters=rope(10000.0), use_sliding_window=True, sliding_window=8, max_window_layers=2)),
    "qwen3": (torch.float16, T.Qwen3ForCausalLM, T.Qwen3Config, dict(head_dim=16, rope_parameters=rope(1000000.0))),
    "qwen3moe": (torch.bfloat16, T.Qwen3MoeForCausalLM, T.Qwen3MoeConfig,
                 dict(head_dim=16, num_hidden_layers=2, num_experts=8, num_experts_per_tok=3, moe_intermediate_size=32,
                      norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[], rope_parameters=rope(1000000.0))),
    "gemma3": (torch.bfloat16, T.Gemma3ForCausalLM, T.Gemma3TextConfig,
               GEMMA | dict(query_pre_attn_scalar=16, rope_parameters={
                   "full_attention": dict(rope_type="linear", factor=8.0, rope_theta=100000.0),
                   "sliding_attention": rope(1000.0)})),
    "gemma3-scalar": (torch.bfloat16, T.Gemma3ForCausalLM, T.Gemma3TextConfig,
                      GEMMA | dict(num_hidden_layers=3, layer_types=GEMMA["layer_types"][:3], query_pre_attn_scalar=40,
                                   rope_parameters={"full_attention": rope(1000000.0), "sliding_attention": rope(10000.0)})),
    "bert": (torch.float32, T.BertModel, T.BertConfig, ENCODER),
    "xlm-roberta": (torch.float16, T.XLMRobertaModel, T.XLMRobertaConfig, ROBERTA),
    "bert-classifier": (torch.float32, T.BertForSequenceClassification, T.BertConfig,
                        ENCODER | dict(id2label={0: "contradiction", 1: "entailment", 2: "neutral"})),
    "bert-ranker": (torch.bfloat16, T.BertForSequenceClassification, T.BertConfig, ENCODER | dict(num_labels=1)),
    "roberta-classifier": (torch.float32, T.RobertaForSequenceClassification, T.RobertaConfig, ROBERTA | dict(num_labels=2)),
    "xlm-roberta-ranker": (torch.float16, T.XLMRobertaForSequenceClassification, T.XLMRobertaConfig, ROBERTA | dict(num_labels=1)),
}

WORDS = "the wind of west france blows over a dog runs sea what is galerne".split()
TEXTS = [("what is galerne", "The galerne, a wind of west France, blows over the sea."), ("what is galerne", "A dog runs."), ("what is galerne", ""),
         ("A dog runs", None), ("zebra  QUIZ!", "the sea"), ("x" * 90, "a dog"), ("what is", "the sea " * 50), ("of a dog " * 30, "the west wind " * 30), ("the sea " * 40, None)]


def word_tokenizer(roberta):
    """BERT's kind (WordPiece) or XLM-RoBERTa's (Unigram), of VOCAB tokens, reading 64 of them at a time."""
    letters = list(string.ascii_lowercase)
    if roberta:
        pieces = ["<s>", "<pad>", "</s>", "<unk>", "\u2581", *letters, *("\u2581" + w for w in WORDS), "in", "er", "on", "s", "!", ".", ","]
        pieces = list(dict.fromkeys(pieces))
        pieces += [f"<extra_{i}>" for i in range(VOCAB - 1 - len(pieces))] + ["<mask>"]
        t = tokenizers.Tokenizer(models.Unigram([(p, 0.0 if p[0] == "<" else -3.0 - len(pieces[:i]) / 10) for i, p in enumerate(pieces)], unk_id=3))
        t.normalizer = normalizers.Lowercase()
        t.pre_tokenizer, t.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        t.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", [("<s>", 0), ("</s>", 2)])
        t.add_special_tokens([tokenizers.AddedToken(n, normalized=False) for n in pieces[:4] + ["<mask>"]])
    else:
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + c for c in letters), *WORDS, ".", ","]
        pieces = list(dict.fromkeys(pieces))
        pieces += [f"[unused{i}]" for i in range(VOCAB - len(pieces))]
        t = tokenizers.Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
        t.normalizer, t.pre_tokenizer, t.decoder = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
        t.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)])
        t.add_special_tokens([tokenizers.AddedToken(n, normalized=False) for n in pieces[:5]])
    assert t.get_vocab_size() == VOCAB == len(pieces)
    return t


def classify(model, out):
    """Texts and pairs through tokenizers and the model: texts.json."""
    roberta = model.config.model_type != "bert"
    t, list_ = word_tokenizer(roberta), []
    t.save(str(out / "tokenizer.json"))
    for text, pair in TEXTS:
        t.no_truncation()
        whole = len(t.encode(text, pair).ids)
        t.enable_truncation(64, strategy="longest_first")
        e = t.encode(text, pair)
        more = {} if roberta else {"token_type_ids": torch.tensor([e.type_ids])}
        with torch.no_grad():
            logits = model(torch.tensor([e.ids]), **more).logits[0].tolist()
        list_.append({"text": text, "pair": pair, "cut": whole > len(e.ids), "ids": e.ids, "kinds": e.type_ids, "logits": [float(f"{v:.8g}") for v in logits]})
    (out / "texts.json").write_text("[\n" + ",\n".join(map(json.dumps, list_)) + "\n]\n")
    print(f"{out.name:14} logits {[x['logits'] for x in list_]}")


def shake(model, gain):
    """Random weights that make every part matter."""
    g = torch.Generator().manual_seed(20261124)

    def normal(p, std):
        p.data = torch.randn(p.shape, generator=g) * std

    for name, p in model.named_parameters():
        if name.endswith("bias"):
            normal(p, 0.3)
        elif p.dim() == 1:  # norms; Gemma's are stored without their 1
            normal(p, 0.25)
            if "gemma" not in model.config.model_type:
                p.data += 1
            elif ".post_" in name:  # so that the branches outweigh the scaled embedding
                p.data += 2
        elif "embed" in name or name == "lm_head.weight":
            normal(p, 1.0 if "lm_head" not in name else gain / p.shape[-1] ** 0.5)
        elif "q_proj" in name or "k_proj" in name:  # sharper attention only magnifies the rounding of cached halves
            normal(p, 0.8 / p.shape[-1] ** 0.5)
        else:
            normal(p, 1.0 / p.shape[-1] ** 0.5)
    if model.config.tie_word_embeddings and hasattr(model, "lm_head"):
        p = model.get_input_embeddings().weight
        normal(p, gain / p.shape[-1] ** 0.5)
        model.tie_weights()


def encode(model, sequences):
    """Pooled as sentence-transformers do: the mean over the mask, or the first row."""
    ids = torch.nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=model.config.pad_token_id)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(s)) for s in sequences], batch_first=True)
    rows = model(ids, attention_mask=mask).last_hidden_state
    return (rows * mask[..., None]).sum(1) / mask.sum(1, keepdim=True), rows[:, 0]


def main():
    for name, (dtype, cls, config, more) in MODELS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        torch.manual_seed(1)
        out = HERE / name
        shutil.rmtree(out, ignore_errors=True)
        encodes = cls in (T.BertModel, T.XLMRobertaModel)
        extra = {"add_pooling_layer": False} if encodes else {}
        model = cls(config(**(BASE | more)), **extra)
        shake(model, 3.0)
        model.to(dtype).save_pretrained(out)
        (out / "generation_config.json").unlink(missing_ok=True)
        model = cls.from_pretrained(out, dtype=torch.float32, attn_implementation="eager", **extra).eval()
        if "ForSequenceClassification" in cls.__name__:
            classify(model, out)
            continue
        g = torch.Generator().manual_seed(7)
        sequences = [torch.randint(3, VOCAB, (n,), generator=g) for n in LENGTHS]
        reference = {f"tokens.{i}": s.float() for i, s in enumerate(sequences)}
        with torch.no_grad():
            if encodes:
                pooled, first = encode(model, sequences)
                reference |= {f"embeddings.{i}": pooled[i].contiguous() for i in range(len(LENGTHS))}
                reference |= {f"first.{i}": first[i].contiguous() for i in range(len(LENGTHS))}
                say = pooled
            else:
                for i, s in enumerate(sequences):
                    reference[f"logits.{i}"] = model(s[None]).logits[0].float().contiguous()
                say = reference["logits.0"]
        save_file(reference, out / "reference.safetensors")
        top = say.softmax(-1).max(-1).values.mean()
        print(f"{name:14} spread {say.std():.2f}, mean probability of the first {top:.2f}, "
              f"{(out / 'model.safetensors').stat().st_size >> 10} KiB")


if __name__ == "__main__":
    main()
