"""Make the README.md of a package: its figures, its use and its verification."""

from __future__ import annotations

from evotune.export.contents import Contents, Row
from evotune.export.export_target import TEMPLATES, ExportTarget

BEATEN = " Where SDPA was faster than every trial, it serves; the figures there are those of the fastest trial."


def readme(contents: Contents, target: ExportTarget, usage: str) -> str:
    """Fill in every `@name@` of the template; `usage` is the kernel author's own text."""
    evidence = contents.first
    values = {
        "kernel": evidence.kernel.name,
        "device": evidence.device.name,
        "trials": ", ".join(
            str(number) for number in sorted({k.evidence.entry.trial for k in contents.kernels.values()})
        ),
        "rows": "\n".join(_row(row) for row in contents.rows),
        "beaten": BEATEN if any(row.kernel is None for row in contents.rows) else "",
        "target": evidence.entry.target,
        "compiler": evidence.build.compiler,
        "needs": target.needs,
        "binaries": _binaries(contents),
        "usage": usage,
        "modules": "`, `".join(target.modules),
    }
    text = (TEMPLATES / "README.md").read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _row(row: Row) -> str:
    timing, entry = row.evidence.timing, row.served.entry
    proof = [name for name, holds in (("confirmed", entry.confirmed), ("certified", entry.certified)) if holds]
    cells = (
        f"`{row.evidence.workload.name}`",
        row.kernel or "SDPA",
        f"{timing.median_us:.1f}",
        f"{timing.baseline} {timing.baseline_us:.1f}",
        f"{timing.speedup:.3f} [{timing.speedup_low:.3f}, {timing.speedup_high:.3f}]",
        f"{row.served.loss:.1%}",
        f"{timing.mode}, {timing.blocks} blocks, {', '.join(proof) or 'not confirmed'}",
    )
    return f"| {' | '.join(cells)} |"


def _binaries(contents: Contents) -> str:
    kernel = next(iter(contents.kernels.values()))
    names = [binary.name for binary in kernel.binaries]
    if not names:
        return "built from the sources on first use"
    forms = f"; each also as {' and '.join(kernel.forms)}, which was checked but not timed" if kernel.forms else ""
    return f"cubins for {', '.join(names[:-1])}; PTX for newer GPUs ({names[-1]}){forms}"
