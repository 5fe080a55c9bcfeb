"""Fixtures of the integration tests: a measurer of the small kernel, and an empty build cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.saxpy import Bench


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile in this test what others may have built."""
    monkeypatch.setenv("EVOTUNE_CACHE", str(tmp_path / "own-cache"))


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """Share one measurer in a module, as a search has one for all its trials."""
    made = Bench()
    yield made
    made.measurer.close()
