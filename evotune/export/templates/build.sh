#!/bin/sh
# Builds a kernel as a shared library and prints its path: ./build.sh KERNEL [OUTPUT]. CXX and CXXFLAGS are honoured.
set -eu
folder=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
# The library's name carries a digest of what it is made of, and of this CPU's instruction sets, since -march=native code
# must not be loaded on another kind of CPU; cpu_library.py works out the same name.
digest=$({
    grep -m1 -E '^(flags|Features)' /proc/cpuinfo || :
    cat "$folder/build.sh" "$folder/configurations/$1.h" @sources@
} | sha256sum | cut -c1-12)
output=${2:-$folder/$1-$digest.so}
${CXX:-g++} @flags@ ${CXXFLAGS:-} -include "$folder/configurations/$1.h" @source@ -o "$output"
echo "$output"
