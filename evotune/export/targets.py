"""What an export is made of on each class of target; a new class is one more entry."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from .evidence import Evidence, ExportError

TEMPLATES = Path(__file__).resolve().parent / "templates"


@dataclass(frozen=True)
class ExportTarget:
    """`variant` is the source that the target is built from; `library` the template that builds and loads it."""

    variant: str
    library: Path
    build_script: Path


CPU = ExportTarget("cpu", TEMPLATES / "cpu" / "cpu_library.py", TEMPLATES / "cpu" / "build.sh")
TARGETS = {"cpu": CPU}


def export_target(target: str) -> ExportTarget:
    """How to export for a target; ExportError for one that cannot be exported yet."""
    if target not in TARGETS:
        raise ExportError(f"only kernels for {', '.join(TARGETS)} can be exported so far, got target {target}")
    return TARGETS[target]


def configuration_header(evidence: Evidence) -> str:
    """`configuration.h`: every macro of the build that was timed."""
    title = f"// The configuration of {evidence.kernel.name} for {evidence.entry.target}, {evidence.workload.name}."
    return "\n".join([title, *(f"#define {name} {value}" for name, value in sorted(evidence.macros.items())), ""])


def build_script(evidence: Evidence, target: ExportTarget) -> str:
    """`build.sh`, with the flags of the build that was timed; its macros come from `configuration.h`."""
    flags = shlex.join(flag for flag in evidence.build.flags if not flag.startswith("-D"))
    filled = target.build_script.read_text().replace("@flags@", flags).replace("@kernel@", evidence.kernel.name)
    return filled.replace("@source@", evidence.variant.sources[0])
