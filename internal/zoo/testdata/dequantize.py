"""The same model with all its weights in F32, by the Python package gguf: dequantize.py IN OUT"""
import math
import sys

import gguf
import numpy as np

# gguf cuts a file's hundred thousand strings out of an array: of a mapped file's each cut takes five times as long.
np.memmap = lambda path, mode: np.fromfile(path, np.uint8)
r = gguf.GGUFReader(sys.argv[1])
w = gguf.GGUFWriter(sys.argv[2], r.get_field("general.architecture").contents())
for name, field in r.fields.items():
    if name.startswith("GGUF.") or name == "general.architecture":
        continue
    sub = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
    w.add_key_value(name, field.contents(), field.types[0], sub)
for t in r.tensors:
    # gguf takes 16 rows at a time: of longer ones, made of several, it does three to eight times as many weights a second.
    rows = t.data.reshape(-1, t.data.shape[-1])
    rows = rows.reshape(len(rows) // math.gcd(len(rows), 32), -1)
    x = gguf.quants.dequantize(rows, t.tensor_type).astype(np.float32, copy=False)
    w.add_tensor(t.name, x.reshape(tuple(reversed(t.shape.tolist()))))
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
