"""Find the tests of what has changed, for `make quick`."""

from __future__ import annotations

import pytest

from tests.rooms import find_tests
from tests.support.paths import ROOT


@pytest.mark.parametrize(
    ("paths", "tests"),
    [
        (["evotune/space/space.py"], ["tests/unit/space"]),
        (["workers/evotune_workers/compilers"], ["tests/integration/compilers", "tests/unit/compilers"]),
        (["db/evotune_db/write/lease.py", "db/evotune_db/rows.py"], ["tests/integration/db", "tests/unit/db"]),
        (["tests/unit/space/test_space.py", "tests/support/paths.py"], ["tests/unit/space/test_space.py"]),
        (["evotune/space/", "tests/unit/space/test_space.py"], ["tests/unit/space"]),
        (["README.md", "evotune/errors.py"], []),
    ],
)
def test_paths_lead_to_the_of_path_their_rooms(paths: list[str], tests: list[str]) -> None:
    assert find_tests(paths, ROOT) == tests


def test_every_room_of_the_packages_has_tests() -> None:
    packages = (ROOT / "evotune", ROOT / "workers" / "evotune_workers")
    rooms = [path for package in packages for path in package.iterdir() if (path / "__init__.py").is_file()]
    assert [str(room.relative_to(ROOT)) for room in rooms if not find_tests([str(room.relative_to(ROOT))], ROOT)] == []
