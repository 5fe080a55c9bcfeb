"""The wheel, really built: what it installs and what it carries."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest

from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Build a wheel of this checkout and return the names of its files."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_the_wheel_installs_three_top_level_names_and_no_others(members: list[str]) -> None:
    names = {member.partition("/")[0] for member in members}
    assert {name for name in names if not name.endswith(".dist-info")} == {"evotune", "evotune_workers", "evotune_db"}
    assert len(names) == 4


def test_the_wheel_carries_every_kernel_and_every_search_space(members: list[str]) -> None:
    for folder, pattern in (("kernels", "*/kernel.py"), ("kernels", "*/*.cpp"), ("search_spaces", "*/*.yaml")):
        sources = [path.relative_to(ROOT).as_posix() for path in (ROOT / folder).glob(pattern)]
        assert sources
        assert {f"evotune/{source}" for source in sources} <= set(members)


def test_the_wheel_carries_every_file_of_the_three_packages(members: list[str]) -> None:
    for package in (ROOT / "evotune", ROOT / "workers" / "evotune_workers", ROOT / "db" / "evotune_db"):
        files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert {path.relative_to(package.parent).as_posix() for path in files} <= set(members)


def test_the_wheel_carries_the_migrations(members: list[str]) -> None:
    assert any(member.startswith("evotune_db/schema/migrations/") and member.endswith(".py") for member in members)


def test_the_wheel_says_that_the_three_packages_are_typed(members: list[str]) -> None:
    assert {f"{package}/py.typed" for package in ("evotune", "evotune_workers", "evotune_db")} <= set(members)
