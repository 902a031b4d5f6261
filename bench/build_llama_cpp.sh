#!/usr/bin/env bash
# Builds the peer that bench.py measures beside us: llama.cpp for this machine's own processor, from the
# source that the Python package llama-cpp-python carries. Ten minutes on two cores, once. The last line
# printed is the folder of its programs.
#
#   bench/build_llama_cpp.sh [native|avx512|avx2] [FOLDER]     default: native, ${XDG_CACHE_HOME:-$HOME/.cache}/galerne-peers/llama.cpp
#
# avx512 and avx2 are for this processor as though its best were that, AVX-512 without AMX or AVX2: the programs are those
# of native, beside them the one library that knows instructions is built once more (two minutes).
#
# Its AMX code, built with GCC 12, loads a tile configuration whose stores the compiler has dropped, and
# dies at the first tile. A barrier in front of the load keeps them, so that the peer runs at its best.
set -euo pipefail

version=0.3.36
best=${1:-native}
folder=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/galerne-peers/llama.cpp}
without=""
case $best in
    native) ;;
    avx512) without="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16" ;;
    avx2) without="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16 -mno-avx512f -mno-avxvnni" ;;
    *) echo "$0: the best may be native, avx512 or avx2, not $best" >&2; exit 2 ;;
esac
programs="llama-bench llama-batched-bench llama-server llama-perplexity llama-quantize"

# Whether all programs are in a folder.
whole() {
    for program in $programs; do [ -x "$1/$program" ] || return 1; done
}

build=build
[ "$best" = native ] || build=build-$best
if whole "$folder/$build/bin"; then
    echo "$folder/$build/bin"
    exit
fi

mkdir -p "$folder"
cd "$folder"
[ -d venv ] || python3 -m venv venv
export PATH="$folder/venv/bin:$PATH"
source="llama_cpp_python-$version/vendor/llama.cpp"

# Writes the folder's build files: configure FOLDER FLAGS.
configure() {
    cmake -S "$source" -B "$1" -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DCMAKE_C_FLAGS="$2" -DCMAKE_CXX_FLAGS="$2" \
        -DCMAKE_BUILD_RPATH_USE_ORIGIN=ON -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_UI=OFF
}

{
    if [ ! -d "$source" ]; then
        pip install --quiet cmake==4.4.4 ninja==1.13.2 pathspec==1.1.1 scikit-build-core==1.1.2
        pip download --quiet --no-deps --no-build-isolation --no-binary :all: "llama-cpp-python==$version"
        tar -xzf "llama_cpp_python-$version.tar.gz"
        tiles="$source/ggml/src/ggml-cpu/amx/mmq.cpp"
        grep -q 'galerne: keep' "$tiles" ||
            sed -i 's|^\( *\)_tile_loadconfig(&tc);|\1asm volatile("" : : "r"(\&tc) : "memory"); // galerne: keep the stores\n&|' "$tiles"
    fi
    configure build ""
    # shellcheck disable=SC2086
    ninja -C build $programs
    if [ "$best" != native ]; then
        configure "$build" "$without"
        ninja -C "$build" ggml-cpu
        # The other build's programs and libraries, which look for each other where they stand, but for the one library.
        for file in build/bin/*; do
            [ -e "$build/bin/$(basename "$file")" ] || cp -a "$file" "$build/bin/"
        done
    fi
} >&2
echo "$folder/$build/bin"
