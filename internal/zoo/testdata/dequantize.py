"""The same model with all its weights in F32, by the Python package gguf: dequantize.py IN OUT"""
import sys

import gguf
import numpy as np

r = gguf.GGUFReader(sys.argv[1])
w = gguf.GGUFWriter(sys.argv[2], r.get_field("general.architecture").contents())
for name, field in r.fields.items():
    if name.startswith("GGUF.") or name == "general.architecture":
        continue
    sub = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
    w.add_key_value(name, field.contents(), field.types[0], sub)
for t in r.tensors:
    x = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32)
    w.add_tensor(t.name, x.reshape(tuple(reversed(t.shape.tolist()))))
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
