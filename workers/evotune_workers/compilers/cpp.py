"""The compiler of CPU targets: g++ (or `$CXX`) makes a shared library; its assembly gives the resource report."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shlex
import shutil
from functools import partial
from pathlib import Path

from evotune_workers.compilers.attempt import Attempt, make_build, unhashed_failure
from evotune_workers.compilers.build import Build, BuildRequest, Resources, ToolchainError, build_key, macro_flags
from evotune_workers.compilers.cache import cached
from evotune_workers.compilers.run_compiler import run_group
from evotune_workers.compilers.sources import DEPENDENCIES, dependency_flags, opens_elsewhere
from evotune_workers.kernel.device import cpu_device
from evotune_workers.system import time_limits

# The loader gives all libraries of a process one copy of a GNU unique symbol, such as an inline variable: a build would
# take the table of another build of the same sources, and would never be unloaded. Clang makes no such symbols.
NO_UNIQUE_SYMBOLS = "-fno-gnu-unique"
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-fPIC", "-shared", "-Wl,--build-id=none", NO_UNIQUE_SYMBOLS)
OWN_FLAGS = ("-std=c++17", "-O2", "-fPIC", "-shared")
# Builds take seconds: one that takes longer than this counts as hanging, and as failed.
TIME_LIMIT_SECONDS = 120.0

# A vector register stored to, or loaded from, the stack: x86 (AT&T syntax) and AArch64.
VECTOR_BYTES = {"x": 16, "y": 32, "z": 64, "q": 16}
SPILL_STORE = re.compile(r"^\s*v?mov\w+\s+%([xyz])mm\d+, -?\d*\(%r[sb]p\)|^\s*str\s+(q)\d+, \[sp", re.MULTILINE)
SPILL_LOAD = re.compile(r"^\s*v?mov\w+\s+-?\d*\(%r[sb]p\), %([xyz])mm\d+|^\s*ldr\s+(q)\d+, \[sp", re.MULTILINE)


def compile_cpp(request: BuildRequest) -> Build:
    """Build a CPU variant; a compiler error gives a failed Build. Raises ToolchainError without a compiler."""
    clang = "clang" in compiler_version()
    flags = (*(flag for flag in FLAGS if not (clang and flag == NO_UNIQUE_SYMBOLS)), *macro_flags(request.macros))
    key = build_key(request, flags, compiler_version())
    return cached(key, lambda: make_build(request, key, flags, compiler_version(), partial(_run, request, flags)))


def compile_own(source: Path, library: Path, *flags: str) -> None:
    """Compile a source of evotune's own to a shared library; raise ToolchainError when that fails."""
    compiler_version()  # raises ToolchainError when there is none
    command = compiler_command()
    result = run_group(
        [*command, *OWN_FLAGS, *flags, str(source), "-o", str(library)], source.parent, TIME_LIMIT_SECONDS
    )
    if result.returncode != 0:
        raise ToolchainError(f"{command[-1]} must compile evotune's own {source.name}, got: {result.output[-300:]}")


@functools.cache
def compiler_version() -> str:
    """Return the first line of `--version` and a digest of the CPU's flags, on which `-march=native` depends."""
    command = compiler_command()
    if shutil.which(command[0]) is None:
        raise ToolchainError(
            f"the cpu target needs a C++ compiler, got none called {command[0]}: install g++ or set CXX"
        )
    result = run_group([*command, "--version"], Path.cwd(), TIME_LIMIT_SECONDS)
    if result.returncode != 0:
        raise ToolchainError(f"{' '.join(command)} --version must succeed, got: {result.output.strip()[:200]}")
    flags = hashlib.sha256(str(cpu_device().properties["flags"]).encode()).hexdigest()[:8]
    return f"{result.output.splitlines()[0]} native={flags}"


def compiler_command() -> tuple[str, ...]:
    """Return the words of `$CXX`, such as `ccache g++`, or else g++; raise ToolchainError where it has none."""
    named = os.environ.get("CXX") or "g++"
    if shutil.which(named) is not None:
        return (named,)  # also a path with spaces
    try:
        words = tuple(shlex.split(named))
    except ValueError as error:
        raise ToolchainError(f"CXX must be the words of a command, got {named}: {error}") from error
    if not words:
        raise ToolchainError(f"CXX must be the words of a command, got {named!r}: unset it for g++")
    return words


def read_report(assembly: str, stack_usage: str) -> Resources:
    """Return the largest stack frame and the vector spills of all functions; raise ValueError if a field is missing.

    `stack_usage` is the file that `-fstack-usage` writes: `place<TAB>bytes<TAB>kind` for each function (GCC manual).
    """
    frames = [int(line.split("\t")[1]) for line in stack_usage.splitlines() if line.count("\t") == 2]
    if not frames:
        raise ValueError("the compiler's stack usage report names no function")
    return Resources(
        registers=None,
        spill_stores=_spilled(SPILL_STORE, assembly),
        spill_loads=_spilled(SPILL_LOAD, assembly),
        stack_bytes=max(frames),
        shared_bytes=None,
    )


def _run(request: BuildRequest, flags: tuple[str, ...], folder: Path) -> Attempt:
    library = folder / "kernel.so"
    source = str((request.folder / request.program.sources[0]).resolve())
    watching = ("-save-temps=obj", "-fstack-usage", *dependency_flags(folder))
    command = [*compiler_command(), *flags, *watching, source, "-o", str(library)]
    result = run_group(command, folder, TIME_LIMIT_SECONDS)
    log = result.output.replace(f"{request.folder.resolve()}/", "")

    def read() -> tuple[Resources, bytes]:
        return read_report(_only(folder, "*.s"), _only(folder, "*.su")), library.read_bytes()

    failure = _failure(result.returncode, log) or unhashed_failure(folder, folder, request)
    return Attempt(log, failure, read, not opens_elsewhere(folder / DEPENDENCIES, folder, request.folder, None))


def _failure(returncode: int | None, log: str) -> str | None:
    if returncode is None:
        return f"{time_limits.BUILD} {TIME_LIMIT_SECONDS:.0f} s, killed"
    if returncode == 0:
        return None
    first = next((line for line in log.splitlines() if "error" in line), f"compiler exit code {returncode}")
    return first.strip()[:300]


def _only(folder: Path, pattern: str) -> str:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise ValueError(f"expected one {pattern} beside the binary, got {len(found)}")
    return found[0].read_text()


def _spilled(pattern: re.Pattern[str], assembly: str) -> int:
    return sum(VECTOR_BYTES[x86 or arm] for x86, arm in pattern.findall(assembly))
