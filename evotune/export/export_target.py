"""What a package is made of on each class of target; a new class is one more entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evotune.export.evidence import ExportError
from evotune_workers.kernel.targets import CPU as CPU_TARGET
from evotune_workers.kernel.targets import KNOWN_TARGETS

TEMPLATES = Path(__file__).resolve().parent / "templates"
PACKAGE = TEMPLATES / "package"


@dataclass(frozen=True)
class ExportTarget:
    """`modules` load a target's binaries: templates by name.

    `build_script` is there where binaries are built by who uses the package. `dependencies` are its own.
    """

    modules: Mapping[str, Path]
    build_script: Path | None
    dependencies: tuple[str, ...]
    needs: str


CPU = ExportTarget(
    {"cpu_library.py": PACKAGE / "cpu_library.py", "building.py": PACKAGE / "cpu_building.py"},
    TEMPLATES / "build.sh",
    ("numpy", "torch>=2.6"),
    "Linux, torch and a C++ compiler",
)
CUDA = ExportTarget(
    {
        "cuda_modules.py": PACKAGE / "cuda_modules.py",
        "cuda_launch.py": PACKAGE / "cuda_launch.py",
        "building.py": PACKAGE / "cuda_building.py",
    },
    None,
    ("cuda-bindings>=12.9", "cuda-core>=1.0", "numpy", "torch>=2.6"),
    "torch and cuda-core",
)


def export_target(target: str) -> ExportTarget:
    """How to export for a target; ExportError for one that is not known."""
    if target == CPU_TARGET:
        return CPU
    if target not in KNOWN_TARGETS:
        raise ExportError(f"kernels for {', '.join(KNOWN_TARGETS)} can be exported, got target {target}")
    return CUDA
