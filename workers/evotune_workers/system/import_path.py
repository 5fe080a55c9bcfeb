"""The import path that a new Python process needs to find this package."""

from __future__ import annotations

import os
from pathlib import Path


def import_path() -> str:
    """Return a PYTHONPATH with which a child imports this very package, wherever this process found it."""
    root = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
