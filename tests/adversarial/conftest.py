"""What the adversarial tests share: a cache of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing that an earlier run built is reused, and nothing is left behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVOTUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
