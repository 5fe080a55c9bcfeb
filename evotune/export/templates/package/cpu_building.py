"""The part of the verification that checks binaries: for a CPU, build them from the sources."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .integrity import code_hash


def builds(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Build every kernel and print a comparison with the measured binary; return False if a build fails."""
    built = [_builds(folder, name, kernel["build"]) for name, kernel in manifest["kernels"].items()]
    return all(built)


def _builds(folder: Path, name: str, build: Mapping[str, Any]) -> bool:
    ran = subprocess.run(["sh", str(folder / "build.sh"), name], capture_output=True, text=True)
    if ran.returncode != 0:
        print(f"build       FAILED: build.sh {name} ended with exit code {ran.returncode}\n{ran.stderr.strip()}")
        return False
    if build["binary_hash"] == code_hash(Path(ran.stdout.strip()).read_bytes()):
        print(f"build       ok: {name} is identical to the measured code")
    else:
        print(f"build       ok: {name} differs from the measured code, which was built by {build['compiler']}")
    return True
