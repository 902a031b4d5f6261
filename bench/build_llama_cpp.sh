#!/usr/bin/env bash
# Builds the peer that bench.py measures beside us: llama.cpp for this machine's own processor, from the
# source that the Python package llama-cpp-python carries. Ten minutes on two cores, once. The last line
# printed is the folder of its programs.
#
#   bench/build_llama_cpp.sh [FOLDER]     default: ${XDG_CACHE_HOME:-$HOME/.cache}/galerne-peers/llama.cpp
#
# Its AMX code, built with GCC 12, loads a tile configuration whose stores the compiler has dropped, and
# dies at the first tile. A barrier in front of the load keeps them, so that the peer runs at its best.
set -euo pipefail

version=0.3.36
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/galerne-peers/llama.cpp}
programs="llama-bench llama-batched-bench llama-server llama-perplexity llama-quantize"

whole=yes
for program in $programs; do [ -x "$folder/build/bin/$program" ] || whole=no; done
if [ $whole = yes ]; then
    echo "$folder/build/bin"
    exit
fi

mkdir -p "$folder"
cd "$folder"
python3 -m venv venv
export PATH="$folder/venv/bin:$PATH"
{
    pip install --quiet cmake==4.4.4 ninja==1.13.2 pathspec==1.1.1 scikit-build-core==1.1.2
    pip download --quiet --no-deps --no-build-isolation --no-binary :all: "llama-cpp-python==$version"
    tar -xzf "llama_cpp_python-$version.tar.gz"
    source="llama_cpp_python-$version/vendor/llama.cpp"
    tiles="$source/ggml/src/ggml-cpu/amx/mmq.cpp"
    grep -q 'galerne: keep' "$tiles" ||
        sed -i 's|^\( *\)_tile_loadconfig(&tc);|\1asm volatile("" : : "r"(\&tc) : "memory"); // galerne: keep the stores\n&|' "$tiles"
    cmake -S "$source" -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
        -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_UI=OFF
    # shellcheck disable=SC2086
    ninja -C build $programs
} >&2
echo "$folder/build/bin"
