"""Folders of the repository that tests read."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "tests" / "kernels"
SAXPY = KERNELS / "saxpy"
SPIN = KERNELS / "spin"
# With it every process imports this checkout.
IMPORT_PATH = os.pathsep.join(str(ROOT / part) for part in ("", "workers", "db"))
