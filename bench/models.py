"""The model files that are measured: those of the tests, and larger ones that are made here once."""
import os
import shutil
from pathlib import Path

from programs import Failed, run, say

ROOT = Path(__file__).resolve().parent.parent
TESTED = ROOT / ".deps" / "models"
SMALL, HALF, MIXTRAL, HUGE = "smollm2-135m", "qwen2.5-coder-0.5b", "mixtral-6b", "mixtral-47b"

# What make_moe_gguf.py writes: its preset and the size of its file in bytes.
MADE = {MIXTRAL: ("6b", 3_920_000_000), HUGE: ("47b", 28_300_000_000)}
SPARE = 4 << 30  # bytes of disk that are left to others


def folder():
    """Where files that were made here are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "galerne-bench"


def python():
    path = ROOT / ".deps" / "venv" / "bin" / "python"
    if not path.exists():
        raise Failed(f"{path} is missing, which has numpy and gguf: run make deps")
    return path


def free():
    """Bytes of disk that are free where files are made."""
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    return shutil.disk_usage(place).free


def room_for(name):
    """Whether a model's file is there, or may be made without filling the disk."""
    if name not in MADE or path_of(name).exists():
        return True
    return free() > MADE[name][1] + SPARE


def path_of(name):
    return folder() / f"{name}.gguf" if name in MADE else TESTED / f"{name}.gguf"


def file_of(name):
    """A model's file, made if it can be."""
    path = path_of(name)
    if path.exists():
        return path
    if name not in MADE:
        raise Failed(f"{path} is missing: run make deps")
    preset, size = MADE[name]
    return make(path, size, ["bench/make_moe_gguf.py", "--preset", preset])


def exact_of(name):
    """The same model with its weights in float32, made once."""
    source = file_of(name)
    path = folder() / f"{name}-exact.gguf"
    if path.exists() and path.stat().st_mtime >= source.stat().st_mtime:
        return path
    return make(path, 7 * source.stat().st_size, ["internal/zoo/testdata/dequantize.py", source])


def make(path, size, script):
    """Runs a Python script that writes the file given to it last; the file is in place once it is whole."""
    if free() < size + SPARE:
        raise Failed(f"{path} takes {size / 1e9:.1f} GB, and {SPARE / 1e9:.0f} GB should stay free: make room, or set XDG_CACHE_HOME to a folder on a larger disk")
    say(f"making {path} once (about {size / 1e9:.1f} GB; it may be removed at any time)")
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        run([python(), ROOT / script[0], *script[1:], part], 3600)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def warm(path):
    """Reads a file, so that it is in the system's cache."""
    buffer = bytearray(1 << 24)
    with open(path, "rb", buffering=0) as f:
        while f.readinto(buffer):
            pass
