#!/bin/sh
# Build a kernel as a shared library and print its path: ./build.sh KERNEL [OUTPUT]. It uses CXX and CXXFLAGS.
set -eu
folder=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
# The library's name has a digest of its sources and of this CPU's instruction sets: code built with -march=native must
# not be loaded on another type of CPU. cpu_library.py computes the same name.
digest=$({
    grep -m1 -E '^(flags|Features)' /proc/cpuinfo || :
    cat "$folder/build.sh" "$folder/configurations/$1.h" @sources@
} | sha256sum | cut -c1-12)
output=${2:-$folder/$1-$digest.so}
${CXX:-g++} @flags@ ${CXXFLAGS:-} -include "$folder/configurations/$1.h" @source@ -o "$output"
echo "$output"
