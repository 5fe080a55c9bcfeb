"""Binaries of an exported CUDA kernel: a cubin for each architecture, PTX for those that are yet to come."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from evotune_workers.compilers.build import Build, BuildRequest, Resources
from evotune_workers.compilers.nvcc import compile_nvcc, compile_ptx
from evotune_workers.kernel import Value
from evotune_workers.targets import KNOWN_TARGETS, capability, known_device

from .evidence import Evidence, ExportError


@dataclass(frozen=True)
class Binary:
    """`name` is "sm_90" for a cubin and "compute_90" for PTX; of PTX there is no report of resources."""

    name: str
    file: str
    content: bytes
    resources: Resources | None

    @property
    def sha256(self) -> str:
        """Of the file."""
        return hashlib.sha256(self.content).hexdigest()


def architectures(target: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """The target that was measured and those asked for, ascending; ExportError for one that is not known."""
    known = [name for name in KNOWN_TARGETS if capability(name) is not None]
    for name in wanted:
        if name not in known:
            raise ExportError(f"--arch must be one of {', '.join(known)}, got {name}")
        if capability(target) is None:
            raise ExportError(f"--arch is for kernels of GPUs, got {name} for a kernel for {target}; leave it out")
    return tuple(sorted({target, *wanted}, key=lambda name: capability(name) or 0))


def make_binaries(evidence: Evidence, kernel: str, names: Sequence[str]) -> tuple[Binary, ...]:
    """Cubins for these architectures, and PTX of the last; ExportError when one cannot be made or run.

    The one for the target that was measured is the very binary that was measured. ToolchainError without nvcc.
    """
    cubins = [_cubin(evidence, kernel, name) for name in names]
    return (*cubins, _ptx(evidence, kernel, names[-1]))


def _cubin(evidence: Evidence, kernel: str, name: str) -> Binary:
    _check_fits(evidence, name)
    build = compile_nvcc(_request(evidence, name))
    binary = _binary(build, evidence, name)
    if name == evidence.entry.target and build.binary_hash != evidence.build.binary_hash:
        raise ExportError(
            f"the binary must be the one that was measured, which {evidence.build.compiler} made; {build.compiler}"
            f" makes another of trial {evidence.entry.trial}: use that compiler, or search again"
        )
    return Binary(name, f"binaries/{kernel}.{name}.cubin", binary, build.resources)


def _check_fits(evidence: Evidence, name: str) -> None:
    geometry = evidence.variant.geometry(evidence.entry.configuration, evidence.workload, 1)
    limit = known_device(name).limits["shared_memory_per_block"]
    if geometry is not None and geometry.shared_bytes > limit:
        raise ExportError(
            f"a block must fit {name}, which has {limit} B of shared memory for it, trial {evidence.entry.trial} takes"
            f" {geometry.shared_bytes} B; leave {name} out, or export a trial that was found for it"
        )


def _ptx(evidence: Evidence, kernel: str, architecture: str) -> Binary:
    name = f"compute_{capability(architecture)}"
    binary = _binary(compile_ptx(_request(evidence, architecture)), evidence, name)
    return Binary(name, f"binaries/{kernel}.{name}.ptx", binary, None)


def _request(evidence: Evidence, architecture: str) -> BuildRequest:
    return BuildRequest(evidence.folder, evidence.variant, architecture, dict[str, Value](evidence.macros))


def _binary(build: Build, evidence: Evidence, name: str) -> bytes:
    if build.binary is None:
        raise ExportError(
            f"trial {evidence.entry.trial} must compile for {name}, got: {build.failure}; it was measured on"
            f" {evidence.entry.target}, built by {evidence.build.compiler}: export for that, by that compiler"
        )
    return build.binary
