"""Checks of everything that evotune needs from this machine; each lack comes with its remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from evotune.doctor import gpu_probes, probes
from evotune.doctor.probes import Missing
from evotune.errors import one_line
from evotune_workers.compilers.cuda_toolkit import REMEDY


@dataclass(frozen=True)
class Check:
    """The result of one check.

    `needed_for` names the targets that need the thing: `all`, `cpu`, `gpu`, or `gpu build` for a search of a GPU target
    with --build-only. `purpose` is its use there. `remedy` is None where the thing is present.
    """

    name: str
    present: bool
    found: str
    needed_for: str
    remedy: str | None
    purpose: str


def examine(db: str) -> tuple[Check, ...]:
    """Check this machine and the database of that URL; write nothing, and raise nothing for a lack."""
    return tuple(_checks(db))


def cpu_target_works(checks: Sequence[Check]) -> bool:
    """Return True if this machine has everything that a search on the CPU needs."""
    return _has(checks, "all", "cpu")


def gpu_target_works(checks: Sequence[Check]) -> bool:
    """Return True if this machine has everything that a search on a GPU needs."""
    return _has(checks, "all", "gpu build", "gpu")


def gpu_build_works(checks: Sequence[Check]) -> bool:
    """Return True if this machine can compile for a GPU that it need not have."""
    return _has(checks, "all", "gpu build")


def _checks(db: str) -> Iterator[Check]:
    yield from _checks_for_all(db)
    yield _check(
        "processor",
        "cpu",
        "run vector code",
        probes.processor,
        "no vector unit is known here: a search may find little",
    )
    remedy = "install g++ with OpenMP, on Debian and Ubuntu: apt install g++"
    yield _check("C++ compiler", "cpu", "compile", probes.cpp_compiler, remedy)
    yield from _checks_for_gpus()


def _checks_for_all(db: str) -> Iterator[Check]:
    remedy = "install Python 3.11, 3.12 or 3.13 and make the environment anew with it"
    yield _check("Python", "all", "run evotune", probes.python_version, remedy)
    yield _check("PyTorch", "all", "be the baseline and the reference", probes.torch_version, "pip install torch")
    yield _check("Ray", "all", "build and measure side by side", probes.ray_version, "pip install ray")
    remedy = "make its folder writable, or name another with --db or EVOTUNE_DB; a PostgreSQL server must be running"
    yield _check("database", "all", "keep the record", lambda: probes.database(db), remedy)


def _checks_for_gpus() -> Iterator[Check]:
    yield _check("CUDA compiler", "gpu build", "compile, also with --build-only", gpu_probes.nvcc, REMEDY)
    remedy = "use a machine with an NVIDIA GPU of compute capability 8.0 or later and its driver"
    yield _check("GPU", "gpu", "measure on", gpu_probes.gpu, remedy)
    remedy = "install a CUDA build of PyTorch: https://pytorch.org/get-started"
    yield _check("PyTorch with CUDA", "gpu", "run the baselines there", gpu_probes.torch_cuda, remedy)
    remedy = "pip install 'evotune[cuda]'"
    yield _check("cuda-core", "gpu", "load and launch builds", gpu_probes.cuda_core, remedy)
    yield _check("nvidia-ml-py", "gpu", "watch clocks and throttling", gpu_probes.nvml, remedy)


def _check(name: str, needed_for: str, purpose: str, look: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, True, look(), needed_for, None, purpose)
    except Missing as missing:
        return Check(name, False, one_line(str(missing)), needed_for, remedy, purpose)


def _has(checks: Sequence[Check], *needed_for: str) -> bool:
    return all(check.present for check in checks if check.needed_for in needed_for)
