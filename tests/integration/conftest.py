"""Fixtures of the integration tests: a build cache, and a measurer of the small kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.saxpy import Bench


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use no build of an earlier run, and leave none behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVOTUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """Share one measurer in a module, as a search has one for all its trials."""
    made = Bench()
    yield made
    made.measurer.close()
