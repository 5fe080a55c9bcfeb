"""The compiler of CUDA targets: nvcc makes a cubin, with the resource report that ptxas prints, or PTX."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from evotune_workers.compilers.attempt import Attempt, make_build, unhashed_failure
from evotune_workers.compilers.build import Build, BuildRequest, Resources, build_key, macro_flags
from evotune_workers.compilers.cache import cached
from evotune_workers.compilers.cuda_toolkit import (
    OUTPUT,
    Toolkit,
    check_toolkit,
    find_nvcc,
    nvcc_command,
    options_of_environment,
    toolkit_version,
)
from evotune_workers.compilers.ptxas import read_report
from evotune_workers.compilers.run_compiler import CommandResult, run_group
from evotune_workers.compilers.sources import DEPENDENCIES, dependency_flags, opens_elsewhere
from evotune_workers.kernel.targets import capability
from evotune_workers.system import time_limits

# No -lineinfo: it writes the sources' paths into the cubin, and equal code must give equal binaries.
CODE = ("-std=c++17", "-O3")
FLAGS = ("-cubin", *CODE, "-Xptxas=-v")
PTX_FLAGS = ("-ptx", *CODE)
# Registers and memory are allocated only when PTX is compiled for a GPU.
NO_RESOURCES = Resources(None, None, None, None, None)
# Builds take seconds: one that takes longer than this counts as hanging, and as failed.
TIME_LIMIT_SECONDS = 120.0
# Errors of the front end, the host preprocessor, ptxas and nvcc itself: "error: ", "error #20-D: ", "fatal   : ".
COMPLAINT = re.compile(r"\b(?:error|fatal)(?: #\S+)?\s*:")


def compile_nvcc(request: BuildRequest) -> Build:
    """Build for `sm_NN`; a compiler error gives a failed Build. Raises ToolchainError without a working nvcc."""
    flags = (*FLAGS, f"-arch={request.target}", *macro_flags(request.macros))
    return _compile(request, flags, lambda log: read_report(log, request.program.entry))


def compile_ptx(request: BuildRequest) -> Build:
    """Build PTX as `compile_nvcc` builds a cubin; there are no resources to report.

    Drivers compile PTX for GPUs newer than `sm_NN`.
    """
    flags = (*PTX_FLAGS, f"-arch=compute_{capability(request.target)}", *macro_flags(request.macros))
    return _compile(request, flags, lambda log: NO_RESOURCES)


def compiler_version() -> str:
    """Return nvcc's release and build, with the options that it takes from the environment."""
    return toolkit_version(find_nvcc()) + options_of_environment()


def _compile(request: BuildRequest, flags: tuple[str, ...], report: Callable[[str], Resources]) -> Build:
    """Build with these flags; `report` reads the resources from the log."""
    run = partial(_run, request, find_nvcc(), flags, report)
    key = build_key(request, flags, compiler_version())
    return cached(key, lambda: make_build(request, key, flags, compiler_version(), run))


def _run(
    request: BuildRequest, toolkit: Toolkit, flags: tuple[str, ...], report: Callable[[str], Resources], folder: Path
) -> Attempt:
    command = nvcc_command(toolkit, folder, (*flags, *_watching(folder)), request.program.sources[0])
    # In the sources' folder, so that neither the log nor the cubin (`__FILE__`) has a path of this machine. One thing
    # still depends on the path: the names of functions of internal linkage that are not inlined.
    result = run_group(command, request.folder, TIME_LIMIT_SECONDS)
    log = result.output.replace(f"{folder}/", "")

    def read() -> tuple[Resources, bytes]:
        return report(log), (folder / OUTPUT).read_bytes()

    failure = _failure(result, log, toolkit, request.target) or unhashed_failure(folder, request.folder, request)
    elsewhere = opens_elsewhere(folder / DEPENDENCIES, request.folder, request.folder, _root(toolkit))
    return Attempt(log, failure, read, not elsewhere)


def _watching(folder: Path) -> tuple[str, ...]:
    """Return the flags by which the one preprocessor of a build for one target writes the files that it opens.

    For its own -MMD, nvcc preprocesses a source twice more, and as a host compiler sees it.
    """
    # nvcc splits the option at commas, and a shell splits it at spaces.
    options = (f'"{option}"'.replace(",", r"\,") for option in dependency_flags(folder))
    return ("-Xcompiler", ",".join(options))


def _root(toolkit: Toolkit) -> Path:
    """Return the folder of nvcc's headers; PyPI's packages share one named `nvidia`."""
    nvcc = toolkit.nvcc.resolve()
    return next((parent for parent in nvcc.parents if parent.name == "nvidia"), nvcc.parents[1])


def _failure(result: CommandResult, log: str, toolkit: Toolkit, target: str) -> str | None:
    if result.returncode is None:
        return f"{time_limits.BUILD} {TIME_LIMIT_SECONDS:.0f} s, killed"
    if result.returncode == 0:
        return None
    # No configuration is at fault when the compiler can build nothing at all.
    check_toolkit(toolkit, target)
    first = next(
        (line for line in log.splitlines() if COMPLAINT.search(line)), f"compiler exit code {result.returncode}"
    )
    return first.strip()[:300]
