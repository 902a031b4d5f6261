"""What transformers computes from the real all-MiniLM-L6-v2, in float32: minilm.json.

Sentences, their ids, and the mean of the last layer's rows as sentence-transformers takes it (before it is scaled to
length 1). Needs torch and transformers==5.23.0 beside the packages of test/requirements.txt, so it is only run to make
the file again: the tests read the committed one.
"""
import json
from pathlib import Path

import torch
from transformers import AutoTokenizer, BertModel

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = ROOT / ".deps/models/all-minilm-l6-v2"
SENTENCES = [
    "The galerne blows over the west of France.",
    "A dog runs.",
    "Self-hosted language models keep data, weights and law where a company wants them; which of the three matters most "
    "depends on who is asked, and when.",
]

tokenizer = AutoTokenizer.from_pretrained(MODEL)
model = BertModel.from_pretrained(MODEL, dtype=torch.float32, add_pooling_layer=False, attn_implementation="eager").eval()
batch = tokenizer(SENTENCES, padding=True, return_tensors="pt")
with torch.no_grad():
    rows = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, token_type_ids=batch.token_type_ids).last_hidden_state
mask = batch.attention_mask[..., None].float()
pooled = (rows * mask).sum(1) / mask.sum(1)
out = [{"text": text, "ids": tokenizer(text).input_ids, "embedding": [float(f"{v:.7g}") for v in pooled[i].tolist()]}
       for i, text in enumerate(SENTENCES)]
(Path(__file__).parent / "minilm.json").write_text("[\n" + ",\n".join(json.dumps(o) for o in out) + "\n]\n")
