"""Share one build cache among all tests of a run, and spare what is imported from garbage collection."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while modules are imported, and none of theirs later: it took four seconds of each process."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """Return the temporary folder of this run, which the workers of pytest-xdist have in common."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(autouse=True, scope="session")
def build_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Build anew what an earlier run built, but once for all tests of this one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVOTUNE_CACHE", str(run_folder(tmp_path_factory) / "builds"))
        yield
