"""What goes into a package: which workloads it serves, by which kernels, on what evidence."""

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
    """A workload, the trial that serves it, and the fastest one there is for it.

    `by_sdpa`: the fastest SDPA was faster than all of them, so it serves instead.
    """

    entry: LeaderboardEntry
    details: TrialDetails
    folder: Path
    best: LeaderboardEntry
    by_sdpa: bool = False

    @property
    def loss(self) -> float:
        """By how much the trial falls short of the best one: 0.02 where it takes 2 % longer."""
        return loss(self.entry, self.best)


@dataclass(frozen=True)
class Row:
    """A workload of the package; `kernel` is None where SDPA serves."""

    served: Served
    evidence: Evidence
    kernel: str | None


@dataclass(frozen=True)
class Exported:
    """A kernel of the package: one binary for each architecture, none where they are built on first use."""

    name: str
    evidence: Evidence
    binaries: tuple[Binary, ...]
    forms: Mapping[str, Form]

    @property
    def all_binaries(self) -> tuple[Binary, ...]:
        """Those of the other forms, too."""
        return (*self.binaries, *(binary for form in self.forms.values() for binary in form.binaries))


@dataclass(frozen=True)
class Contents:
    """Rows in the order in which they were asked for; `kernels` by name."""

    rows: tuple[Row, ...]
    kernels: Mapping[str, Exported]

    @property
    def first(self) -> Evidence:
        """What all kernels have in common can be read from any."""
        return next(iter(self.kernels.values())).evidence


def assemble(served: Sequence[Served], target: ExportTarget, wanted: Sequence[str]) -> Contents:
    """The package's contents, with every binary made; trials of one build are one kernel.

    Raises ExportError when the record is incomplete, the trials are of several versions of their kernel, a binary
    cannot be made, or SDPA serves everything.
    """
    _check_one_version(served)
    evidence = [gather(each.details, each.entry, each.folder) for each in served]
    chosen = [each for each, row in zip(evidence, served, strict=True) if not row.by_sdpa]
    if not chosen:
        raise ExportError("a kernel must be faster than SDPA somewhere to be exported, none of these trials is")
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


def _exported(name: str, evidence: Evidence, target: ExportTarget, found: Sequence[str]) -> Exported:
    if target.build_script:
        return Exported(name, evidence, (), {})
    return Exported(name, evidence, make_binaries(evidence, name, found), make_forms(evidence, name, found))


def _check_one_version(served: Sequence[Served]) -> None:
    """What was gated, and what launches it, is one for all of a package."""
    versions: dict[str, int] = {}
    for each in served:
        versions.setdefault(each.details.record.kernel.source_hash, each.entry.trial)
    if len(versions) > 1:
        found = ", ".join(f"{version[:12]} (trial {trial})" for version, trial in versions.items())
        raise ExportError(
            f"trials of one package must be of one version of their kernel, got {found}; name one search with --search,"
            " or search all workloads again"
        )
