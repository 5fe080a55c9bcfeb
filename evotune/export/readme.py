"""README.md of an exported kernel: its figures, how to use it, how to check it."""

from __future__ import annotations

from dataclasses import asdict

from .evidence import Evidence
from .targets import TEMPLATES, ExportTarget


def readme(evidence: Evidence, target: ExportTarget, usage: str) -> str:
    """The template with every `@name@` filled in; `usage` is the kernel author's own text."""
    entry, timing = evidence.entry, evidence.timing
    values = {
        "kernel": evidence.kernel.name,
        "device": evidence.device.name,
        "workload": evidence.workload.name,
        "sizes": ", ".join(f"{name} {value}" for name, value in asdict(evidence.workload).items() if name != "name"),
        "median_us": f"{timing.median_us:.1f}",
        "baseline": timing.baseline,
        "baseline_us": f"{timing.baseline_us:.1f}",
        "speedup": f"{timing.speedup:.3f}",
        "speedup_low": f"{timing.speedup_low:.3f}",
        "speedup_high": f"{timing.speedup_high:.3f}",
        "mode": timing.mode,
        "blocks": str(timing.blocks),
        "confirmed": "confirmed in a fresh process" if entry.confirmed else "not confirmed in a fresh process",
        "trial": str(entry.trial),
        "target": entry.target,
        "compiler": evidence.build.compiler,
        "usage": usage,
        "library_file": target.library.name,
        "sources": "`, `".join(evidence.variant.sources),
    }
    text = (TEMPLATES / "README.md").read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text
