"""What this machine has and lacks for evotune, each lack with its remedy."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from evotune import database_url
from evotune.errors import one_line
from evotune.views import table

SUPPORTED_PYTHON = ((3, 11), (3, 13))
PROBE_TIMEOUT_SECONDS = 60
OPENMP_PROGRAM = "#include <omp.h>\nint threads() { return omp_get_max_threads(); }\n"
# The widest vector registers that a processor flag of /proc/cpuinfo stands for, in bits.
VECTOR_FLAGS = (("avx512f", 512), ("avx2", 256), ("asimd", 128), ("sse2", 128))


@dataclass(frozen=True)
class Check:
    """One thing looked for. `needed_for` is `all`, `cpu` or `gpu`: the targets that cannot do without it."""

    name: str
    present: bool
    found: str
    needed_for: str
    remedy: str | None


class Missing(Exception):
    """Looked for and not there, or not usable; its text says what was found."""


def examine(db: str) -> tuple[Check, ...]:
    """Looks at this machine and at the database of that URL; writes nothing there and never raises for a lack."""
    return tuple(_checks(db))


def cpu_target_works(checks: Sequence[Check]) -> bool:
    """Whether nothing is lacking that a search on the CPU needs."""
    return all(check.present for check in checks if check.needed_for in ("all", "cpu"))


def print_checks(checks: Sequence[Check], target: Console) -> None:
    """Prints a table of what was found, then what to do about what was not, and which targets can work."""
    result = table("", "what", "needed for", "found")
    for check in checks:
        result.add_row("yes" if check.present else "no", check.name, f"{check.needed_for} targets", check.found)
    target.print(result)
    for check in checks:
        if not check.present:
            target.print(f"{check.name}: {check.remedy}")
    gpu = all(check.present for check in checks)
    target.print(f"CPU target: {_verdict(cpu_target_works(checks))}. GPU targets: {_verdict(gpu)}.")


def _checks(db: str) -> Iterator[Check]:
    yield _check("Python", "all", _python, "install Python 3.11, 3.12 or 3.13 and make the environment anew with it")
    yield _check("PyTorch", "all", _torch, "pip install torch")
    yield _check("Ray", "all", _ray, "pip install ray")
    remedy = "make its folder writable, or name another with --db or EVOTUNE_DB; a PostgreSQL server must be running"
    yield _check("database", "all", lambda: _database(db), remedy)
    yield _check("processor", "cpu", _processor, "no vector unit is known here: a CPU search may build nothing fast")
    yield _check("C++ compiler", "cpu", _compiler, "install g++ with OpenMP, on Debian and Ubuntu: apt install g++")
    remedy = "install the CUDA toolkit and put its bin folder on PATH: https://developer.nvidia.com/cuda-downloads"
    yield _check("CUDA compiler", "gpu", _nvcc, remedy)
    yield _check(
        "GPU", "gpu", _gpu, "use a machine with an NVIDIA GPU of compute capability 8.0 or later and its driver"
    )
    yield _check(
        "PyTorch with CUDA", "gpu", _torch_cuda, "install a CUDA build of PyTorch: https://pytorch.org/get-started"
    )


def _check(name: str, needed_for: str, look: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, True, look(), needed_for, None)
    except Missing as missing:
        return Check(name, False, one_line(str(missing)), needed_for, remedy)


def _verdict(works: bool) -> str:
    return "can work" if works else "cannot work yet"


def _python() -> str:
    found = platform.python_version()
    low, high = SUPPORTED_PYTHON
    if not low <= sys.version_info[:2] <= high:
        raise Missing(found)
    return found


def _torch() -> str:
    try:
        import torch
    except (ImportError, OSError) as error:
        raise Missing(f"cannot be imported: {error}") from error
    return f"{torch.__version__}, {torch.get_num_threads()} threads"


def _ray() -> str:
    try:
        import ray
    except (ImportError, OSError) as error:
        raise Missing(f"cannot be imported: {error}") from error
    return str(ray.__version__)


def _database(db: str) -> str:
    file = database_url.sqlite_file(db)
    if file is None or file.exists():
        return _connect(db if file is None else f"sqlite:///{file}")
    if not os.access(file.parent, os.W_OK):
        raise Missing(f"{file} cannot be made: its folder is missing or cannot be written to")
    return f"{file}: not there yet, the first search makes it"


def _connect(url: str) -> str:
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(url)
        tables = sqlalchemy.inspect(engine).get_table_names()
        engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise Missing(f"{database_url.shown(url)}: {reason}") from error
    return f"{database_url.shown(url)}: reachable, {len(tables)} tables"


def _processor() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    flags = _processor_flags()
    width = next((bits for flag, bits in VECTOR_FLAGS if flag in flags), None)
    if width is None:
        raise Missing(f"{platform.machine()}, {cores} cores, vector width unknown")
    return f"{platform.machine()}, {cores} cores usable, {width}-bit vectors"


def _processor_flags() -> set[str]:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return {"asimd"} if platform.machine() == "arm64" else set()
    lines = cpuinfo.read_text().splitlines()
    return {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.partition(":")[2].split()}


def _compiler() -> str:
    """Compiles a program that uses OpenMP: a compiler without it, or without headers, is of no use."""
    command = _on_path("g++")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.cpp"
        source.write_text(OPENMP_PROGRAM)
        _output(command, "-fopenmp", "-fPIC", "-shared", str(source), "-o", str(Path(folder) / "probe.so"))
    return _output(command, "--version").splitlines()[0]


def _nvcc() -> str:
    toolkit = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "bin" / "nvcc"
    command = str(toolkit) if toolkit.is_file() else _on_path("nvcc")
    return next(line for line in reversed(_output(command, "--version").splitlines()) if line.strip())


def _gpu() -> str:
    query = "--query-gpu=name,compute_cap,memory.total,driver_version"
    lines = _output(_on_path("nvidia-smi"), query, "--format=csv,noheader").splitlines()
    if not lines:
        raise Missing("nvidia-smi lists none")
    return "; ".join(lines)


def _torch_cuda() -> str:
    _torch()
    import torch

    if not torch.cuda.is_available():
        raise Missing(f"torch {version('torch')} sees no GPU (built for CUDA {torch.version.cuda or 'none'})")
    return f"torch {version('torch')} for CUDA {torch.version.cuda}"


def _on_path(name: str) -> str:
    command = shutil.which(name)
    if command is None:
        raise Missing(f"{name} is not on PATH")
    return command


def _output(*command: str) -> str:
    """What the command prints; Missing with its first line of complaint when it fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{command[0]} cannot be run: {error}") from error
    if done.returncode:
        complaint = (done.stderr or done.stdout).strip().splitlines()
        raise Missing(f"{command[0]} fails: {complaint[0] if complaint else f'exit code {done.returncode}'}")
    return done.stdout
