"""Find the tests of the rooms that paths belong to.

Run `python -m tests.rooms PATH...`: a file of tests stands for itself, any other for the tests of its folder's name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

KINDS = ("tests/unit", "tests/integration")
# Below these every folder is a room; what lies below the others is one.
PACKAGES = ("evotune", "workers/evotune_workers")
ONE_ROOM = {"db": "db", "kernels": "kernels", "search_spaces": "space", "benchmarks": "benchmarks", "docs": "docs"}
# Kernels that must be refused are the gates' tests.
ELSEWHERE = {"gates": ["tests/adversarial", "tests/integration/measuring"]}


def find_tests(paths: Iterable[str], root: Path) -> list[str]:
    """Return what pytest is to run for these paths: files and folders of tests, each once."""
    found = {test for path in paths for test in _of_path(path.rstrip("/"), root)}
    return sorted(test for test in found if not any(other != test and test.startswith(f"{other}/") for other in found))


def _of_path(path: str, root: Path) -> list[str]:
    if path.startswith("tests/"):
        return [path] if (root / path).is_dir() or Path(path).name.startswith("test_") else []
    room = _room(path)
    if room in ELSEWHERE:
        return ELSEWHERE[room]
    return [f"{kind}/{room}" for kind in KINDS if room is not None and (root / kind / room).is_dir()]


def _room(path: str) -> str | None:
    first = path.partition("/")[0]
    if first in ONE_ROOM:
        return ONE_ROOM[first]
    for package in PACKAGES:
        inside = path.removeprefix(f"{package}/")
        if inside != path:
            return inside.partition("/")[0]
    return None


if __name__ == "__main__":
    print(*find_tests(sys.argv[1:], Path.cwd()))
