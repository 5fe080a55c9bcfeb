"""Probes of everything that all targets and the CPU target need; each returns a description of what it found."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from evotune import database_url

SUPPORTED_PYTHON = ((3, 11), (3, 13))
PROBE_TIMEOUT_SECONDS = 60
OPENMP_PROGRAM = "#include <omp.h>\nint threads() { return omp_get_max_threads(); }\n"
# Flags of /proc/cpuinfo with the width of their vector registers in bits, the widest first.
VECTOR_FLAGS = (("avx512f", 512), ("avx2", 256), ("asimd", 128), ("sse2", 128))


class Missing(Exception):
    """Raised by a probe for a thing that is missing or not usable; the text says what was found instead."""


def python_version() -> str:
    """Check for a Python version that evotune is tested with."""
    found = platform.python_version()
    low, high = SUPPORTED_PYTHON
    if not low <= sys.version_info[:2] <= high:
        raise Missing(found)
    return found


def torch_version() -> str:
    """Find a PyTorch that can be imported."""
    try:
        import torch
    except (ImportError, OSError) as error:
        raise Missing(f"cannot be imported: {error}") from error
    return f"{torch.__version__}, {torch.get_num_threads()} threads"


def ray_version() -> str:
    """Find a Ray that can be imported."""
    try:
        import ray
    except (ImportError, OSError) as error:
        raise Missing(f"cannot be imported: {error}") from error
    return str(ray.__version__)


def database(db: str) -> str:
    """Check that the database can be reached, or created by the first search."""
    file = database_url.sqlite_file(db)
    if file is None or file.exists():
        return _connect(db if file is None else f"sqlite:///{file}")
    if not os.access(file.parent, os.W_OK):
        raise Missing(f"{file} cannot be made: its folder is missing or cannot be written to")
    return f"{file}: not there yet, the first search makes it"


def _connect(url: str) -> str:
    import sqlalchemy

    from evotune_db import DatabaseError, address

    try:
        engine = sqlalchemy.create_engine(address.parse(url))
        tables = sqlalchemy.inspect(engine).get_table_names()
        engine.dispose()
    except (DatabaseError, sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise Missing(f"{database_url.shown(url)}: {reason}") from error
    return f"{database_url.shown(url)}: reachable, {len(tables)} tables"


def processor() -> str:
    """Find vector units that the compiler generates code for."""
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


def cpp_compiler() -> str:
    """Compile a program that uses OpenMP, since a compiler may lack it, or the headers."""
    command = on_path("g++")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.cpp"
        source.write_text(OPENMP_PROGRAM)
        output(command, "-fopenmp", "-fPIC", "-shared", str(source), "-o", str(Path(folder) / "probe.so"))
    return output(command, "--version").splitlines()[0]


def on_path(name: str) -> str:
    """Return the path of a command."""
    command = shutil.which(name)
    if command is None:
        raise Missing(f"{name} is not on PATH")
    return command


def output(*command: str) -> str:
    """Return the output of a command; raise Missing with its first error line when it fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{command[0]} cannot be run: {error}") from error
    if done.returncode:
        complaint = (done.stderr or done.stdout).strip().splitlines()
        raise Missing(f"{command[0]} fails: {complaint[0] if complaint else f'exit code {done.returncode}'}")
    return done.stdout
