"""What the reference readers see in a model: keys, and each tensor's type, shape and SHA-256, as JSON."""
import hashlib
import json
import sys
from pathlib import Path

path = Path(sys.argv[1])
keys, tensors = {}, []
if path.is_dir():
    from safetensors import safe_open

    with safe_open(path / "model.safetensors", "np") as f:
        for name in f.keys():
            x = f.get_tensor(name)
            if x.dtype.kind in "iub":
                continue
            kind = {"float32": "F32", "float16": "F16"}[str(x.dtype)]
            tensors.append({"Name": name, "Type": kind, "Shape": list(x.shape), "SHA256": hashlib.sha256(x.tobytes()).hexdigest()})
else:
    from gguf import GGUFReader

    r = GGUFReader(path)
    for name, field in r.fields.items():
        if not name.startswith("GGUF."):
            keys[name] = field.contents()
    for x in r.tensors:
        tensors.append({"Name": x.name, "Type": x.tensor_type.name, "Shape": [int(n) for n in reversed(x.shape)],
                        "SHA256": hashlib.sha256(x.data.tobytes()).hexdigest()})
json.dump({"Keys": keys, "Tensors": tensors}, sys.stdout)
