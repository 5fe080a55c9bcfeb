"""Which of the three import roots may import which."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.paths import ROOT

FOLDERS = {
    "evotune": ROOT / "evotune",
    "evotune_workers": ROOT / "workers" / "evotune_workers",
    "evotune_db": ROOT / "db" / "evotune_db",
}
MAY_IMPORT = {"evotune": set(FOLDERS), "evotune_workers": {"evotune_workers"}, "evotune_db": {"evotune_db"}}


@pytest.mark.parametrize("root", FOLDERS)
def test_a_root_imports_only_the_roots_that_it_may(root: str) -> None:
    files = sorted(FOLDERS[root].rglob("*.py"))
    assert files
    for path in files:
        forbidden = (imported_roots(path) & set(FOLDERS)) - MAY_IMPORT[root]
        assert not forbidden, f"{path.relative_to(ROOT)} imports {', '.join(sorted(forbidden))}"


def test_kernels_import_the_contract_and_neither_the_orchestrator_nor_the_record() -> None:
    for path in sorted((ROOT / "kernels").rglob("*.py")):
        assert not imported_roots(path) & {"evotune", "evotune_db"}, path


def imported_roots(path: Path) -> set[str]:
    """The first part of every module that a file imports by its full name, wherever in the file it does so."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}
