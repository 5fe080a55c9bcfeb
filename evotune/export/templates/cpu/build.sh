#!/bin/sh
# Builds the kernel as a shared library and prints its path: ./build.sh [OUTPUT]. CXX and CXXFLAGS are honoured.
set -eu
folder=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
# -march=native code must not be loaded on another kind of CPU, so the library's name carries a digest of this CPU's
# instruction sets; cpu_library.py works out the same name.
cpu=$(grep -m1 -E '^(flags|Features)' /proc/cpuinfo | sha256sum | cut -c1-8)
output=${1:-$folder/@kernel@-$cpu.so}
${CXX:-g++} @flags@ ${CXXFLAGS:-} -include "$folder/configuration.h" "$folder/@source@" -o "$output"
echo "$output"
