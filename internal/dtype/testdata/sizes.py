"""The block sizes of all GGML types by the Python package gguf: {number: [name, weights, bytes]} as JSON."""
import json

import gguf

print(json.dumps({int(t): [t.name, *size] for t, size in gguf.GGML_QUANT_SIZES.items()}))
