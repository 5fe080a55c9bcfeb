"""Built-in kernels and spaces are found by name, one's own by path; a misspelt name is answered with the nearest."""

from __future__ import annotations

from pathlib import Path

import pytest

from evotune.planning import locate
from evotune.planning.locate import UnknownKernel, UnknownSpace, builtin_kernels, kernel_folder, space_file


def test_the_built_in_kernel_is_found_in_this_checkout() -> None:
    assert "attention_fwd" in builtin_kernels()
    assert (kernel_folder("attention_fwd") / "kernel.py").is_file()


def test_the_built_in_space_is_found_in_this_checkout() -> None:
    assert space_file("attention_fwd", "cpu").name == "cpu.yaml"


def test_in_a_wheel_kernels_and_spaces_are_found_inside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "evotune"
    _kernel(package / "kernels" / "scan")
    (package / "search_spaces" / "scan").mkdir(parents=True)
    (package / "search_spaces" / "scan" / "cpu.yaml").touch()
    monkeypatch.setattr(locate, "PACKAGE", package)
    assert builtin_kernels() == ["scan"]
    assert kernel_folder("scan") == package / "kernels" / "scan"
    assert space_file("scan", "cpu") == package / "search_spaces" / "scan" / "cpu.yaml"


def test_a_kernel_of_ones_own_is_found_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _kernel(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert kernel_folder("mine") == kernel_folder("./mine") == kernel_folder(str(tmp_path / "mine"))
    assert kernel_folder("mine") == (tmp_path / "mine").resolve()


def test_a_built_in_name_wins_over_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _kernel(tmp_path / "attention_fwd")
    monkeypatch.chdir(tmp_path)
    assert kernel_folder("attention_fwd") != tmp_path / "attention_fwd"
    assert kernel_folder("./attention_fwd") == (tmp_path / "attention_fwd").resolve()


def test_a_misspelt_kernel_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(UnknownKernel, match=r"got 'atention_fwd'; did you mean 'attention_fwd'\?$"):
        kernel_folder("atention_fwd")


def test_a_name_near_to_none_is_answered_with_the_list() -> None:
    with pytest.raises(UnknownKernel, match="got 'zzz'; choose from: attention_fwd"):
        kernel_folder("zzz")


@pytest.mark.parametrize("name", ["", ".", "./nowhere"])
def test_a_path_without_a_kernel_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownKernel, match=r"a folder with a kernel\.py"):
        kernel_folder(name)


def test_a_space_of_ones_own_is_found_by_path(tmp_path: Path) -> None:
    (tmp_path / "narrow.yaml").touch()
    assert space_file("attention_fwd", str(tmp_path / "narrow.yaml")) == (tmp_path / "narrow.yaml").resolve()


def test_a_misspelt_space_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(UnknownSpace, match=r"got 'cpo'; did you mean 'cpu'\?$"):
        space_file("attention_fwd", "cpo")


def _kernel(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "kernel.py").touch()
