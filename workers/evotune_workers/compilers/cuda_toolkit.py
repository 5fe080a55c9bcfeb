"""Finding nvcc: on PATH, in the usual folders of a CUDA toolkit, or in NVIDIA's package from PyPI."""

from __future__ import annotations

import functools
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from evotune_workers.compilers.build import ToolchainError
from evotune_workers.compilers.run_compiler import run_group
from evotune_workers.system.temporary import temporary_folder

FOLDER_VARIABLES = ("CUDA_HOME", "CUDA_PATH")
USUAL_FOLDER = Path("/usr/local/cuda")
# It contains nvcc since CUDA 13; the package of CUDA 12, which has another name, does not.
PACKAGE = "nvidia-cuda-nvcc"
REMEDY = "install g++ and pip install 'evotune[cuda]', or put the bin folder of a CUDA toolkit on PATH"
# nvcc puts these options from the environment before and after those of its command line.
OPTION_VARIABLES = ("NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS")
TIME_LIMIT_SECONDS = 60.0
OUTPUT = "kernel"
# Like any kernel, it needs the host compiler and its C++ headers.
SMALLEST_SOURCE = '#include <cstdint>\nextern "C" __global__ void empty(uint8_t*) {}\n'


@dataclass(frozen=True)
class Toolkit:
    """The path of `nvcc`, from which it finds its own toolkit, and the place where it was `found`."""

    nvcc: Path
    found: str


def find_nvcc() -> Toolkit:
    """Return the first nvcc of PATH, `$CUDA_HOME`, `$CUDA_PATH`, /usr/local/cuda and PyPI's package.

    Raises ToolchainError when there is none.
    """
    for found, nvcc in _places():
        if nvcc.is_file() and os.access(nvcc, os.X_OK):
            return Toolkit(nvcc, found)
    looked = ", ".join(("PATH", *FOLDER_VARIABLES, str(USUAL_FOLDER)))
    raise ToolchainError(f"CUDA targets need nvcc, got none in {looked} or the package {PACKAGE}: {REMEDY}")


@functools.cache
def toolkit_version(toolkit: Toolkit) -> str:
    """Return the release and build of its nvcc, such as `nvcc 13.0.88 (cuda_13.0.r13.0/compiler.36424714_0)`."""
    result = run_group([str(toolkit.nvcc), "--version"], Path.cwd(), TIME_LIMIT_SECONDS)
    release = re.search(r"\brelease \S+, V(\S+)", result.output)
    build = re.search(r"^Build (\S+)$", result.output, re.MULTILINE)
    if result.returncode != 0 or release is None or build is None:
        said = result.output.strip()[:200]
        raise ToolchainError(f"{toolkit.nvcc} --version must tell release and build, got: {said!r}")
    return f"nvcc {release.group(1)} ({build.group(1)})"


def options_of_environment() -> str:
    """Return the options that nvcc takes from the environment: they affect a build as those of the command line do."""
    return "".join(f" {name}={os.environ[name]}" for name in OPTION_VARIABLES if os.environ.get(name))


@functools.cache
def check_toolkit(toolkit: Toolkit, target: str) -> None:
    """Compile an empty kernel for a target; raise ToolchainError with nvcc's own words when that fails.

    It fails without a host compiler, or for an architecture that this nvcc does not know.
    """
    with temporary_folder() as folder:
        source = folder / "empty.cu"
        source.write_text(SMALLEST_SOURCE)
        command = nvcc_command(toolkit, folder, ("-cubin", f"-arch={target}"), source.name)
        result = run_group(command, folder, TIME_LIMIT_SECONDS)
    if result.returncode != 0:
        said = " ".join(result.output.split())[:300]
        raise ToolchainError(f"{toolkit.nvcc} must compile an empty kernel for {target}, got {said!r}: {REMEDY}")


def nvcc_command(toolkit: Toolkit, folder: Path, flags: tuple[str, ...], source: str) -> tuple[str, ...]:
    """Return the command that compiles `source` to OUTPUT in `folder`.

    Intermediate files go there too, since a killed nvcc leaves them behind.
    """
    return ("/usr/bin/env", f"TMPDIR={folder}", str(toolkit.nvcc), *flags, "-o", str(folder / OUTPUT), source)


def _places() -> Iterator[tuple[str, Path]]:
    on_path = shutil.which("nvcc")
    if on_path is not None:
        yield "PATH", Path(on_path)
    for variable in FOLDER_VARIABLES:
        if os.environ.get(variable):
            yield variable, Path(os.environ[variable]) / "bin" / "nvcc"
    yield str(USUAL_FOLDER), USUAL_FOLDER / "bin" / "nvcc"
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return
    for file in files:
        if file.name == "nvcc":
            yield f"the package {PACKAGE}", Path(str(file.locate()))
