"""What the package sentence-transformers computes from the real all-MiniLM-L6-v2, in float32: minilm.json.

Texts, the ids that the model reads of them (at most 256, as its configuration says), and their vectors, of length 1.
Needs torch==2.15.0 and sentence-transformers==6.2.0, which together take several gigabytes, so it is only run to make
the file again: the tests read the committed one.
"""
import json
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL = ROOT / ".deps/models/all-minilm-l6-v2"
DECLARATION = (ROOT / "test/testdata/declaration.txt").read_text()
TEXTS = [
    "The galerne blows over the west of France.",
    "A dog runs.",
    "Self-hosted language models keep data, weights and law where a company wants them; which of the three matters most "
    "depends on who is asked, and when.",
    "",
    "   \n\t ",
    "HELLO, WORLD! 3.14159 & 42 %",
    "La galerne est un vent de nord-ouest qui souffle par rafales sur l'ouest de la France.",
    "Die Würde des Menschen ist unantastbar. Straßenbahn, Öl, Übergröße.",
    "人人生而自由,在尊严和权利上一律平等。",
    "يولد جميع الناس أحراراً ومتساوين في الكرامة والحقوق.",
    "Все люди рождаются свободными и равными в своём достоинстве и правах.",
    "全ての人間は、生まれながらにして自由であり 🌊🐧, naïve café, a\u0301 e\u0300",
    "def add(a, b):\n    return a + b  # of two numbers\n",
    "supercalifragilisticexpialidocious" * 5,
    "word " * 253,
    "word " * 254,
    "word " * 255,
    DECLARATION[:2000],
    DECLARATION,
]

torch.manual_seed(0)
model = SentenceTransformer(str(MODEL), device="cpu")
assert model.max_seq_length == 256
vectors = model.encode(TEXTS, convert_to_numpy=True, batch_size=4)
ids = [model.preprocess([text])["input_ids"][0].tolist() for text in TEXTS]
out = [{"text": text, "ids": i, "embedding": [float(f"{v:.7g}") for v in row.tolist()]} for text, i, row in zip(TEXTS, ids, vectors)]
(Path(__file__).parent / "minilm.json").write_text("[\n" + ",\n".join(json.dumps(o) for o in out) + "\n]\n")
