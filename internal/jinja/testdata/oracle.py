"""Render templates as Hugging Face transformers does, for jinja's tests.

Reads a JSON object from a file: {"now": [y, m, d, h, min, s], "templates": {name: source}, "contexts":
{name: {...}}, "cases": [[template, context], ...]}. Writes a JSON list with, for each case, {"text": ...}
or {"error": "Type: message"}.
"""
import copy
import datetime
import json
import sys
import warnings

from transformers.utils import chat_template_utils


warnings.simplefilter("ignore", SyntaxWarning)


class Frozen(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(*WORK["now"])


WORK = json.load(open(sys.argv[1], encoding="utf-8"))
chat_template_utils.datetime = Frozen
out = []
for template, context in WORK["cases"]:
    try:
        compiled = chat_template_utils._compile_jinja_template(WORK["templates"][template])
        text = compiled.render(**copy.deepcopy(WORK["contexts"][context]))  # filters of Jinja's change lists
        text.encode("utf-8")
        out.append({"text": text})
    except Exception as e:
        out.append({"error": f"{type(e).__name__}: {e}"})
json.dump(out, sys.stdout)
