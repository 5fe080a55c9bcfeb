"""A kernel is a folder: its files find each other, and it is read afresh."""

from __future__ import annotations

from pathlib import Path

import pytest

from evotune.planning.locate import kernel_folder
from evotune_workers.cluster.unpack import unpack_kernel
from evotune_workers.kernel.folder import KernelError, load_kernel, pack_kernel
from tests.support.paths import SAXPY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a copy of the small kernel whose name stands in a file of its own."""
    source = (SAXPY / "kernel.py").read_text().replace('name = "saxpy"', "name = NAME")
    (tmp_path / "kernel.py").write_text(
        source.replace("import numpy as np", "import numpy as np\n\nfrom .names import NAME")
    )
    (tmp_path / "names.py").write_text('NAME = "first"\n')
    return tmp_path


def test_a_kernels_files_import_each_other(folder: Path) -> None:
    assert load_kernel(folder).name == "first"


def test_a_changed_file_is_read_again(folder: Path) -> None:
    assert load_kernel(folder).name == "first"
    (folder / "names.py").write_text('NAME = "another"\n')
    assert load_kernel(folder).name == "another"


def test_a_file_that_is_missing_is_the_kernels_error(folder: Path) -> None:
    (folder / "names.py").unlink()
    with pytest.raises(KernelError, match="does not load: ModuleNotFoundError"):
        load_kernel(folder)


def test_a_package_holds_the_whole_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOTUNE_CACHE", str(tmp_path))
    folder = kernel_folder("attention_fwd")
    package = pack_kernel(folder)
    unpacked = unpack_kernel(package)
    assert (unpacked / "sm80" / "sm80.cu").read_bytes() == (folder / "sm80" / "sm80.cu").read_bytes()
    # Ray passes what is below 100 KB by value, which an actor that it restarts depends on.
    assert len(package.archive) < 100_000


def test_a_cuda_variant_serves_its_own_and_later_targets() -> None:
    kernel = load_kernel(SAXPY)
    assert [kernel.variant_for(target).name for target in ("cpu", "sm_80", "sm_89", "sm_90")] == ["cpu", *["sm80"] * 3]
    with pytest.raises(ValueError, match="variants cpu, sm80, got sm_75"):
        kernel.variant_for("sm_75")
