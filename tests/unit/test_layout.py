"""The house: which room imports which, how many modules a room has, and that its text names its subjects."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

from tests.prose import hidden_subjects
from tests.support.paths import ROOT

PACKAGES = (ROOT / "evotune", ROOT / "workers" / "evotune_workers", ROOT / "db" / "evotune_db")
WRITTEN = (*PACKAGES, ROOT / "kernels", ROOT / "benchmarks", ROOT / "tests")
MOST_MODULES = 20


def test_a_room_imports_only_rooms_below_it_and_there_is_no_cycle(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename="pyproject.toml", no_cache=True, no_logo=True) == 0, capsys.readouterr().out


def test_kernels_import_the_contract_and_neither_the_orchestrator_nor_the_record() -> None:
    for path in sorted((ROOT / "kernels").rglob("*.py")):
        assert not imported_roots(path) & {"evotune", "evotune_db"}, path


def test_no_room_holds_more_than_20_modules() -> None:
    modules = [path for folder in WRITTEN for path in folder.rglob("*.py")]
    rooms = Counter(path.parent for path in set(modules) if path.name != "__init__.py")
    assert not {str(room.relative_to(ROOT)): size for room, size in rooms.items() if size > MOST_MODULES}


def test_no_sentence_of_a_docstring_or_comment_hides_its_subject() -> None:
    files = [path for folder in WRITTEN for path in folder.rglob("*.py")]
    found = [f"{path.relative_to(ROOT)}:{line}: {text}" for path in files for line, text in hidden_subjects(path)]
    assert not found, "\n".join(found)


def imported_roots(path: Path) -> set[str]:
    """Return the first part of every module that a file imports by its full name, wherever in the file it does so."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}
