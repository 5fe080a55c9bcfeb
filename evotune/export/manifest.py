"""manifest.json: what an exported kernel is, what it was measured to be, and everything that decided that."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from .evidence import Evidence

FORMAT = 1


def manifest(evidence: Evidence, files: Mapping[str, bytes]) -> dict[str, Any]:
    """The manifest as JSON-like data. `files` are those that decide the binary, by name: their hashes go in."""
    details, entry = evidence.details, evidence.entry
    return {
        "format": FORMAT,
        "kernel": evidence.kernel.name,
        "entry": evidence.variant.entry,
        "variant": evidence.variant.name,
        "target": entry.target,
        "trial": entry.trial,
        "search": {"id": details.search, "sampler": details.record.sampler, "seed": details.record.seed},
        "measured": details.finished.isoformat() if details.finished else None,
        "workload": asdict(evidence.workload),
        "configuration": dict(entry.configuration),
        "macros": dict(evidence.macros),
        "figures": _figures(evidence),
        "device": asdict(evidence.device),
        "source": {
            "hash": details.record.kernel.source_hash,
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        },
        "build": _build(evidence),
        "versions": dict(details.record.versions),
        "gates_passed": list(dict.fromkeys(gate.gate for gate in details.gates if gate.passed)),
        "checks": [_check(asdict(gate)) for gate in details.gates],
        "seeds": sorted({gate.seed for gate in details.gates if gate.seed is not None}),
    }


def _figures(evidence: Evidence) -> dict[str, Any]:
    """The leaderboard's timing without its raw samples, which stay in the database."""
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
    """One check of one gate; what does not apply to it is left out."""
    return {name: value for name, value in gate.items() if name not in {"figures", "seconds"} and value is not None}
