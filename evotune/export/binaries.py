"""Make the binaries of an exported CUDA kernel: a cubin for each architecture, and PTX for future ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evotune.export.evidence import Evidence, ExportError
from evotune_workers.compilers.build import Build, BuildRequest, Resources, hash_binary, macro_text
from evotune_workers.compilers.nvcc import compile_nvcc, compile_ptx, compiler_version
from evotune_workers.kernel.contract import Value
from evotune_workers.kernel.targets import KNOWN_TARGETS, capability, known_device


@dataclass(frozen=True)
class Binary:
    """A cubin, with a `name` such as "sm_90", or PTX, such as "compute_90", which has no report of resources."""

    name: str
    file: str
    content: bytes
    resources: Resources | None

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file."""
        return hashlib.sha256(self.content).hexdigest()


def architectures(target: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the measured target and the wanted ones, ascending. Raises ExportError for an unknown one."""
    known = [name for name in KNOWN_TARGETS if capability(name) is not None]
    for name in wanted:
        if name not in known:
            raise ExportError(f"--arch must be one of {', '.join(known)}, got {name}")
        if capability(target) is None:
            raise ExportError(f"--arch is for GPU kernels only, got {name} for a {target} kernel; leave it out")
    return tuple(sorted({target, *wanted}, key=lambda name: capability(name) or 0))


@dataclass(frozen=True)
class Form:
    """Another build of the same configuration, checked but not timed; `macros`: all of its macros, as text."""

    macros: Mapping[str, str]
    binaries: tuple[Binary, ...]


def make_binaries(evidence: Evidence, kernel: str, names: Sequence[str]) -> tuple[Binary, ...]:
    """Make cubins for these architectures, and PTX for the last one.

    The cubin for the measured target is identical to the measured binary. Raises ExportError if a cubin cannot be made,
    would not run or differs from the measured one, and ToolchainError if nvcc is missing.
    """
    for name in names:
        _check_fits(evidence, name)
    binaries = _built(evidence, evidence.macros, kernel, names)
    for binary in binaries:
        if binary.name == evidence.entry.target:
            _check_measured(binary, evidence)
    return binaries


def make_forms(evidence: Evidence, kernel: str, names: Sequence[str]) -> dict[str, Form]:
    """Make the variant's other forms for the same architectures, by name. Raises the errors of `make_binaries`."""
    forms = {}
    for form, changed in evidence.variant.forms.items():
        macros = {**evidence.macros, **{name: macro_text(value) for name, value in changed.items()}}
        forms[form] = Form(macros, _built(evidence, macros, f"{kernel}.{form}", names))
    return forms


def _built(evidence: Evidence, macros: Mapping[str, str], stem: str, names: Sequence[str]) -> tuple[Binary, ...]:
    cubins = [_cubin(evidence, macros, stem, name) for name in names]
    return (*cubins, _ptx(evidence, macros, stem, names[-1]))


def _cubin(evidence: Evidence, macros: Mapping[str, str], stem: str, name: str) -> Binary:
    build = compile_nvcc(_request(evidence, macros, name))
    return Binary(name, f"binaries/{stem}.{name}.cubin", _binary(build, evidence, stem, name), build.resources)


def _check_measured(binary: Binary, evidence: Evidence) -> None:
    compiler = compiler_version()
    if hash_binary(binary.content) != evidence.build.binary_hash:
        raise ExportError(
            f"the binary must be the one that was measured, built by {evidence.build.compiler}, but {compiler} builds"
            f" a different one for trial {evidence.entry.trial}; use the former compiler, or search again"
        )


def _check_fits(evidence: Evidence, name: str) -> None:
    geometry = evidence.variant.geometry(evidence.entry.configuration, evidence.workload, 1)
    limit = known_device(name).limits["shared_memory_per_block"]
    if geometry is not None and geometry.shared_bytes > limit:
        raise ExportError(
            f"a block must fit {name}, which has {limit} B of shared memory per block, trial {evidence.entry.trial}"
            f" needs {geometry.shared_bytes} B; leave {name} out, or export a trial of a search for {name}"
        )


def _ptx(evidence: Evidence, macros: Mapping[str, str], stem: str, architecture: str) -> Binary:
    name = f"compute_{capability(architecture)}"
    binary = _binary(compile_ptx(_request(evidence, macros, architecture)), evidence, stem, name)
    return Binary(name, f"binaries/{stem}.{name}.ptx", binary, None)


def _request(evidence: Evidence, macros: Mapping[str, str], architecture: str) -> BuildRequest:
    return BuildRequest(evidence.folder, evidence.variant, architecture, dict[str, Value](macros))


def _binary(build: Build, evidence: Evidence, stem: str, name: str) -> bytes:
    if build.binary is None:
        raise ExportError(
            f"trial {evidence.entry.trial} must compile for {name} ({stem}), got: {build.failure}; it was measured on"
            f" {evidence.entry.target}, built by {evidence.build.compiler}: export for this target with this compiler"
        )
    return build.binary
