"""The parts of a package for each class of target; a new class is one more constant."""

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
    """The parts of a package for a class of targets.

    `modules`: templates of the modules that load and launch binaries, by name. `build_script`: template of the script
    that builds on the user's machine, None if the package contains binaries. `dependencies`: of the package.
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
    """Return the parts of a package for a target. Raises ExportError for an unknown one."""
    if target == CPU_TARGET:
        return CPU
    if target not in KNOWN_TARGETS:
        raise ExportError(f"the target of an export must be one of {', '.join(KNOWN_TARGETS)}, got target {target}")
    return CUDA
