"""Random blocks of one GGML type and what the Python package gguf makes of them.

  dequantize.py TYPE BLOCKS  ->  the blocks' bytes, then their float32 values, on standard output
"""
import sys

import gguf
import numpy as np

kind = gguf.GGMLQuantizationType[sys.argv[1]]
count = int(sys.argv[2])
elems, size = gguf.GGML_QUANT_SIZES[kind]
rng = np.random.default_rng(7)
data = rng.integers(0, 256, (count, size), dtype=np.uint8)
for at in {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
           "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0]}.get(sys.argv[1], []):
    # scales: any finite half, subnormal and huge ones included
    half = rng.integers(0, 0x7C00, count, dtype=np.uint16) | (rng.integers(0, 2, count, dtype=np.uint16) << 15)
    data[:, at:at + 2] = half.view(np.uint8).reshape(count, 2)
if sys.argv[1] in ("F16", "BF16", "F32"):
    data = rng.normal(0, 1, (count, 64)).astype(np.float32)
    data = gguf.quants.quantize(data, kind).view(np.uint8).reshape(count, -1)
if sys.argv[1] == "MXFP4":
    data[:, 0] = rng.integers(0, 255, count)  # 255 is NaN in the standard
values = gguf.quants.dequantize(data, kind).astype(np.float32)
sys.stdout.buffer.write(data.tobytes())
sys.stdout.buffer.write(values.tobytes())
