"""Make manifest.json: a package's contents, their measured figures, and everything that these depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from evotune.export.binaries import Binary
from evotune.export.contents import Contents, ExportedKernel, Row
from evotune.export.evidence import Evidence
from evotune.export.integrity import FORMAT, seal


def manifest(
    contents: Contents, sources: Mapping[str, bytes], files: Mapping[str, bytes], project: Mapping[str, bytes]
) -> dict[str, Any]:
    """Return the manifest as JSON data, sealed with its own hash.

    It holds the hashes of all files: `sources` determine the binaries, `files` are all files of the package, `project`
    those of the project around it.
    """
    evidence = contents.first
    record = evidence.details.record
    written = {
        "format": FORMAT,
        "kernel": evidence.kernel.name,
        "entry": evidence.variant.entry,
        "variant": evidence.variant.name,
        "target": evidence.entry.target,
        "device": asdict(evidence.device),
        "numerics": asdict(evidence.kernel.numerics),
        "versions": dict(record.versions),
        "kernels": {name: _kernel(kernel) for name, kernel in contents.kernels.items()},
        "workloads": [_workload(row) for row in contents.rows],
        "source": {"hash": record.kernel.source_hash, "files": _digests(sources)},
        "files": _digests(files),
        "project_files": _digests(project),
    }
    return {**written, "seal": seal(written)}


def _kernel(kernel: ExportedKernel) -> dict[str, Any]:
    evidence, details = kernel.evidence, kernel.evidence.details
    return {
        "trial": evidence.entry.trial,
        "search": {"id": details.search, "sampler": details.record.sampler, "seed": details.record.seed},
        "measured": details.finished.isoformat() if details.finished else None,
        "configuration": dict(evidence.entry.configuration),
        "macros": dict(evidence.macros),
        "build": _build(evidence),
        "binaries": _binaries(kernel.binaries),
        "forms": {
            name: {"macros": dict(form.macros), "binaries": _binaries(form.binaries)}
            for name, form in kernel.forms.items()
        },
        "certified": evidence.entry.certified,
        "gates_passed": list(dict.fromkeys(gate.gate for gate in details.gates if gate.passed)),
        "checks": [_check(asdict(gate)) for gate in details.gates],
        "seeds": sorted({gate.seed for gate in details.gates if gate.seed is not None}),
    }


def _binaries(binaries: Sequence[Binary]) -> dict[str, Any]:
    return {
        binary.name: {
            "file": binary.file,
            "sha256": binary.sha256,
            "resources": None if binary.resources is None else asdict(binary.resources),
        }
        for binary in binaries
    }


def _workload(row: Row) -> dict[str, Any]:
    """Describe a workload: its claimed figures, and the loss against the fastest trial on record."""
    best = row.served.best
    return {
        "workload": asdict(row.evidence.workload),
        "kernel": row.kernel,
        "trial": row.served.entry.trial,
        "figures": _figures(row.evidence),
        "best": {"trial": best.trial, "median_us": best.median_us, "speedup": best.speedup},
        "loss": row.served.loss,
    }


def _figures(evidence: Evidence) -> dict[str, Any]:
    """Return the leaderboard's timing without its raw samples, which stay in the database."""
    timing = asdict(evidence.timing)
    left_out = {"samples", "build_key", "workload", "censored"}
    confidence = {"confirmed": evidence.entry.confirmed, "certified": evidence.entry.certified}
    return {**{name: value for name, value in timing.items() if name not in left_out}, **confidence}


def _build(evidence: Evidence) -> dict[str, Any]:
    build = evidence.build
    return {
        "key": build.key,
        "flags": list(build.flags),
        "compiler": build.compiler,
        "binary_hash": build.binary_hash,
        "stack_bytes": build.stack_bytes,
        "spill_stores": build.spill_stores,
        "spill_loads": build.spill_loads,
        "registers": build.registers,
        "shared_bytes": build.shared_bytes,
    }


def _check(gate: Mapping[str, Any]) -> dict[str, Any]:
    """Return one check of one gate, without the fields that do not apply to it."""
    return {name: value for name, value in gate.items() if name not in {"figures", "seconds"} and value is not None}


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
