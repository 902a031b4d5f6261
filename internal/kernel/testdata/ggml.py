"""What ggml rounds numbers to, and the products it makes of them, for input_test.go: ggml.json.

  ggml.py LIB     LIB holds libggml-base.so and libggml-cpu.so of the llama.cpp in llama-cpp-python==0.3.36 (bench/build_llama_cpp.sh)

Only run, with .deps/venv/bin/python, to make the file again: the tests read the committed one, of an x86 machine.
"""
import base64
import ctypes
import json
import sys
from pathlib import Path

import gguf
import numpy as np

ROWS, COLS = 16, 512
WEIGHTS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4"]


class Traits(ctypes.Structure):  # struct ggml_type_traits_cpu
    _fields_ = [
        ("from_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
        ("vec_dot", ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t,
                                     ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)),
        ("vec_dot_type", ctypes.c_int),
        ("nrows", ctypes.c_int64),
    ]


def main():
    folder = Path(sys.argv[1])
    base = ctypes.CDLL(str(folder / "libggml-base.so"), mode=ctypes.RTLD_GLOBAL)
    cpu = ctypes.CDLL(str(folder / "libggml-cpu.so"))
    cpu.ggml_cpu_init()
    cpu.ggml_get_type_traits_cpu.restype = ctypes.POINTER(Traits)
    base.ggml_quantize_chunk.restype = ctypes.c_size_t
    base.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]

    rng = np.random.default_rng(11)
    x = rng.normal(0, 1, COLS).astype(np.float32)
    x[:32] = 0
    x[37] = 9  # far above its neighbours
    x[384:416] *= np.float32(1e-4)  # their scale is subnormal in half precision
    w = rng.normal(0, 1, (ROWS, COLS)).astype(np.float32)

    def size(kind):
        elems, bytes = gguf.GGML_QUANT_SIZES[kind]
        return COLS // elems * bytes

    out = {"x": x.tolist(), "types": {}}
    for name in WEIGHTS:
        kind = gguf.GGMLQuantizationType[name]
        weights = np.zeros((ROWS, size(kind)), np.uint8)
        base.ggml_quantize_chunk(kind, w.ctypes.data, weights.ctypes.data, 0, ROWS, COLS, None)
        traits = cpu.ggml_get_type_traits_cpu(kind).contents
        rounded = np.zeros(size(gguf.GGMLQuantizationType(traits.vec_dot_type)), np.uint8)
        cpu.ggml_get_type_traits_cpu(traits.vec_dot_type).contents.from_float(x.ctypes.data, rounded.ctypes.data, COLS)
        products = np.zeros(ROWS, np.float32)
        for r in range(ROWS):
            traits.vec_dot(COLS, products[r:].ctypes.data, 0, weights[r].ctypes.data, 0, rounded.ctypes.data, 0, 1)
        out["types"][name] = {
            "weights": base64.b64encode(weights.tobytes()).decode(),
            "input": gguf.GGMLQuantizationType(traits.vec_dot_type).name,
            "rounded": base64.b64encode(rounded.tobytes()).decode(),
            "products": [float(v) for v in products],
        }
    (Path(__file__).parent / "ggml.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
