"""Assemble the contents of a package: its workloads, the kernels that serve them, and their evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evotune.export.binaries import Binary, Form, architectures, make_binaries, make_forms
from evotune.export.evidence import Evidence, ExportError, gather
from evotune.export.export_target import ExportTarget
from evotune.export.portfolio import loss
from evotune_db.records import LeaderboardEntry, TrialDetails


@dataclass(frozen=True)
class Served:
    """A workload, the trial that serves it, and the fastest trial for it on record.

    `by_sdpa`: the fastest SDPA backend was faster than every trial, so SDPA serves instead.
    """

    entry: LeaderboardEntry
    details: TrialDetails
    folder: Path
    best: LeaderboardEntry
    by_sdpa: bool = False

    @property
    def loss(self) -> float:
        """The loss against the best trial: 0.02 if it takes 2 % longer."""
        return loss(self.entry, self.best)


@dataclass(frozen=True)
class Row:
    """A workload of the package; `kernel` is None if SDPA serves it."""

    served: Served
    evidence: Evidence
    kernel: str | None


@dataclass(frozen=True)
class ExportedKernel:
    """A kernel of the package, with a binary for each architecture; a CPU kernel, built on first use, has none."""

    name: str
    evidence: Evidence
    binaries: tuple[Binary, ...]
    forms: Mapping[str, Form]

    @property
    def all_binaries(self) -> tuple[Binary, ...]:
        """The binaries of the kernel and of its other forms."""
        return (*self.binaries, *(binary for form in self.forms.values() for binary in form.binaries))


@dataclass(frozen=True)
class Contents:
    """The contents of a package: `rows` in the order of the request, `kernels` by name."""

    rows: tuple[Row, ...]
    kernels: Mapping[str, ExportedKernel]

    @property
    def first(self) -> Evidence:
        """The evidence of any kernel, for what all kernels have in common."""
        return next(iter(self.kernels.values())).evidence


def assemble(served: Sequence[Served], target: ExportTarget, wanted: Sequence[str]) -> Contents:
    """Assemble the package's contents and make every binary; trials with the same build become one kernel.

    Raises ExportError if the record is incomplete, if the trials belong to several versions of the kernel, if a binary
    cannot be made, or if SDPA serves everything.
    """
    _check_one_version(served)
    evidence = [gather(each.details, each.entry, each.folder) for each in served]
    chosen = [each for each, row in zip(evidence, served, strict=True) if not row.by_sdpa]
    if not chosen:
        raise ExportError("an export must have a trial that is faster than SDPA, none of these is; search again")
    keys = list(dict.fromkeys(each.build.key for each in chosen))
    names = {key: f"k{number}" for number, key in enumerate(keys, 1)}
    found = architectures(served[0].entry.target, wanted)
    kernels = {}
    for each in chosen:
        name = names[each.build.key]
        if name not in kernels:
            kernels[name] = _exported(name, each, target, found)
    rows = (
        Row(row, each, None if row.by_sdpa else names[each.build.key])
        for row, each in zip(served, evidence, strict=True)
    )
    return Contents(tuple(rows), kernels)


def _exported(name: str, evidence: Evidence, target: ExportTarget, found: Sequence[str]) -> ExportedKernel:
    if target.build_script:
        return ExportedKernel(name, evidence, (), {})
    return ExportedKernel(name, evidence, make_binaries(evidence, name, found), make_forms(evidence, name, found))


def _check_one_version(served: Sequence[Served]) -> None:
    """Raise ExportError for several versions of the kernel: a package has one launching code, checked by the gates."""
    versions: dict[str, int] = {}
    for each in served:
        versions.setdefault(each.details.record.kernel.source_hash, each.entry.trial)
    if len(versions) > 1:
        found = ", ".join(f"{version[:12]} (trial {trial})" for version, trial in versions.items())
        raise ExportError(
            f"the trials of a package must have the same version of the kernel, got {found}; choose one search with"
            " --search, or search all workloads again"
        )
