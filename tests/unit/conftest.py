"""Fixtures of several unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from evotune import database_url


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a command leaves behind, and no database but the one that it is told."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(database_url.VARIABLE, raising=False)
    # Rich takes these for a terminal or for its width.
    for variable in ("FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(variable, raising=False)
