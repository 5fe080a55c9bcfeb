"""CUDA trials become installable packages: real cubins and PTX, a real installation; only the launch needs a GPU."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cuda.bindings import driver

import evotune
from evotune.export import ExportError
from evotune.planning.locate import kernel_folder
from evotune_workers.compilers import nvcc
from evotune_workers.compilers.build import hash_binary
from tests.support.attention_sm80 import PLAIN
from tests.support.export_record import Measured, hide_evotune, measure, reseal
from tests.support.forked.python import python
from tests.support.nvcc_needed import nvcc_or_skip

ARCHITECTURES = ("sm_89", "sm_90")


@pytest.fixture(scope="module", autouse=True)
def evotune_is_out_of_reach(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", hide_evotune(tmp_path_factory.mktemp("out-of-reach")))
        yield


@pytest.fixture(scope="module")
def measured() -> Measured:
    nvcc_or_skip()
    return measure(kernel_folder("attention_fwd"), PLAIN, "sm_90")


@pytest.fixture(scope="module")
def exported(measured: Measured, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return measured.export(tmp_path_factory.mktemp("exports") / "attention", ["sm_89"])


@pytest.fixture(scope="module")
def installed(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has put it, without network."""
    source = shutil.copytree(exported, tmp_path_factory.mktemp("source") / "attention")
    target = tmp_path_factory.mktemp("site")
    options = ("--no-index", "--no-build-isolation", "--no-deps", "--quiet", "--target", str(target))
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True)
    return target


def test_the_manifest_names_a_cubin_for_each_architecture_and_ptx_for_newer_ones(
    measured: Measured, exported: Path
) -> None:
    manifest = _manifest(exported)
    binaries = manifest["kernels"]["k1"]["binaries"]
    assert list(binaries) == [*ARCHITECTURES, "compute_90"]
    contents = {name: (exported / "attention_fwd" / each["file"]).read_bytes() for name, each in binaries.items()}
    assert contents["sm_89"] != contents["sm_90"] and all(contents[name][:4] == b"\x7fELF" for name in ARCHITECTURES)
    assert b".target sm_90" in contents["compute_90"] and b".entry attention_fwd" in contents["compute_90"]
    assert hash_binary(contents["sm_90"]) == measured.details.builds[0].binary_hash
    assert binaries["sm_89"]["resources"]["registers"] > 0


def test_a_form_takes_strides_beside_what_the_measured_build_takes(exported: Path) -> None:
    kernel = _manifest(exported)["kernels"]["k1"]
    form = kernel["forms"]["strided"]
    assert form["macros"] == {**kernel["macros"], "STRIDED": "1"} and kernel["macros"]["STRIDED"] == "0"
    assert list(form["binaries"]) == list(kernel["binaries"])
    measured, strided = (_parameters(exported, build["binaries"]["compute_90"]["file"]) for build in (kernel, form))
    call = _module(exported, "call")
    q = torch.zeros(2, 30, 3, 4, 64).half().unbind(2)[0].transpose(1, 2)
    arguments = _module(exported, "launching")._stride_arguments(call.make_call(q, q, q, 1.0, False))
    assert strided == [*measured, *(f".u{8 * argument.itemsize}" for argument in arguments)]
    assert [int(argument) for argument in arguments] == [4, 2**30, 0, *3 * [30 * 768, 64, 768], 30 * 256, 64, 256]


def test_packed_tensors_go_to_the_measured_build_others_to_the_form_and_the_rest_is_copied(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launching, call = _module(exported, "launching"), _module(exported, "call")
    prepared: list[tuple[str, Any]] = []
    monkeypatch.setattr(launching, "_launcher", lambda *given: prepared.append((given[3], given[4])))
    q, k, v = (torch.zeros(2, 6, size, 64).half() for size in (130, 77, 77))
    inside = tuple(tensor.transpose(1, 2).contiguous().transpose(1, 2) for tensor in (q, k, v))
    joint = torch.zeros(2, 130, 3, 6, 64).half().unbind(2)
    wide = torch.zeros(2, 6, 77, 66).half()[..., :64]
    cases: dict[str, list[tuple[torch.Tensor, ...]]] = {
        "": [(q, k, v), (q[:1, :1], k[:1, :1], v[:1, :1])],
        "strided": [
            inside,
            tuple(tensor.transpose(1, 2) for tensor in joint),
            (q, k[:, :3], v[:, :3]),
            (q, k[:, :2, :50], v[:, :2, :50]),
            (q[:, :, ::2], k, v),
            (q[:, :1].expand(q.shape), k, v),
            (q, inside[1], v),
        ],
        "v is copied": [(q, k, wide), (q, inside[1], wide)],
    }
    for expected, tensors in cases.items():
        for each in tensors:
            made = call.make_call(*each, 1.0, False)
            launching.prepare(exported, _manifest(exported), "k1", made)
            form, read = prepared.pop()
            assert form == ("" if expected == "" else "strided"), [tensor.stride() for tensor in each]
            assert read == made.contiguous((False, False, expected == "v is copied"))
    features_outside = call.make_call(q.mT.contiguous().mT, k, v, 1.0, False)
    launching.prepare(exported, _manifest(exported), "k1", features_outside)
    assert prepared.pop() == ("strided", features_outside.contiguous((True, False, False)))
    far = replace(call.make_call(*inside, 1.0, False), v_strides=(2**31, 64, 384, 1))
    launching.prepare(exported, _manifest(exported), "k1", far)
    assert prepared.pop() == ("", far.packed())


def test_heads_are_divided_exactly_by_a_reciprocal(exported: Path) -> None:
    reciprocal = _module(exported, "launching")._reciprocal
    for divisor in (1, 2, 3, 7, 12, 48, 96, 255, 65535):
        largest = (2**32 - 1) // divisor
        for number in {0, 1, divisor - 1, divisor, 1000003 % largest, largest - largest % divisor, largest}:
            kept = int(reciprocal(divisor))
            assert (number * kept >> 32 if kept else number) == number // divisor, (number, divisor)


def test_the_package_is_installed_with_everything_that_it_needs_at_run_time(installed: Path, exported: Path) -> None:
    package = installed / "attention_fwd"
    needed = {"manifest.json", *_manifest(exported)["files"]}
    assert {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()} >= needed
    ran = _python(
        installed,
        """
        from attention_fwd.function import FOLDER
        from attention_fwd.integrity import complaints
        print(list(complaints(FOLDER)))
        """,
    )
    assert ran.stdout.strip() == "[]", ran.stderr


def test_the_installed_function_refuses_tensors_of_another_device_and_dtype(installed: Path) -> None:
    ran = _python(
        installed,
        """
        import torch
        from attention_fwd import attention_fwd
        for tensor in (torch.zeros(1, 2, 8, 64).half(), torch.zeros(1, 2, 8, 64)):
            try:
                attention_fwd(tensor, tensor, tensor)
            except (TypeError, ValueError) as error:
                print(type(error).__name__, error)
        """,
    )
    first, second = ran.stdout.splitlines()
    assert first == "ValueError q must be on cuda, got cpu; this package was built for that", ran.stderr
    assert second.startswith("TypeError q must be float16")


def test_a_missing_cuda_core_is_named(installed: Path) -> None:
    ran = _python(
        installed,
        """
        import sys
        sys.modules["cuda.core"] = None  # as where it is not installed
        from attention_fwd.cuda_modules import _load
        from attention_fwd.function import FOLDER, MANIFEST
        _load(FOLDER, MANIFEST["kernels"]["k1"], MANIFEST["entry"], 0, 128, 0)
        """,
    )
    assert "RuntimeError: CUDA kernels need cuda-core" in ran.stderr and "pip install cuda-core" in ran.stderr


def test_a_gpu_gets_the_cubin_of_its_own_generation_and_newer_ones_get_ptx(exported: Path) -> None:
    binaries = _manifest(exported)["kernels"]["k1"]["binaries"]
    choose = _module(exported, "cuda_modules").choose_binary
    capabilities = ((8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0), (7, 5))
    found = [choose(binaries, capability) for capability in capabilities]
    assert found == [None, None, "sm_89", "sm_90", "compute_90", "compute_90", None]


def test_a_capture_takes_what_was_loaded_before_it_and_nothing_else(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = _module(exported, "cuda_modules")
    loaded: list[object] = []

    def load() -> object:
        loaded.append(modules.Module(object(), object(), 1))
        return loaded[-1]

    monkeypatch.setattr("torch.cuda.is_current_stream_capturing", lambda: False)
    assert modules._module(("k1",), 1, load) is loaded[0]
    monkeypatch.setattr("torch.cuda.is_current_stream_capturing", lambda: True)
    assert modules._module(("k1",), 1, load) is loaded[0] and modules._module(("k1",), 2, load) is loaded[1]
    with pytest.raises(RuntimeError, match=r"^a kernel must be called on a stream before the stream is captured"):
        modules._module(("k1",), 3, load)
    assert len(loaded) == 2


def test_a_launch_passes_every_argument_with_the_bytes_of_its_type(exported: Path) -> None:
    program = _module(exported, "cuda_modules").Program(0, 0, None, driver.CUfunction(0), 1)
    values = (np.int64(2**40), np.float32(0.125), np.int32(-1), np.uint32(2**32 - 1))
    launch = _module(exported, "cuda_launch").Launch(program, (1, 1, 1), 32, 0, 2, values)
    launch.slots[0], launch.slots[1] = 2**63 + 5, 0
    types: tuple[Any, ...] = (
        ctypes.c_uint64,
        ctypes.c_uint64,
        ctypes.c_int64,
        ctypes.c_float,
        ctypes.c_int32,
        ctypes.c_uint32,
    )
    found = [kind.from_address(place).value for kind, place in zip(types, launch._parameters, strict=True)]
    assert found == [2**63 + 5, 0, 2**40, 0.125, -1, 2**32 - 1]


def test_a_cubin_of_another_hash_and_one_of_another_configuration_are_refused(exported: Path, tmp_path: Path) -> None:
    out = shutil.copytree(exported, tmp_path / "edited")
    manifest = _manifest(out)
    cubin = out / "attention_fwd" / manifest["kernels"]["k1"]["binaries"]["sm_90"]["file"]
    cubin.write_bytes(cubin.read_bytes().replace(b"TILE_M=32", b"TILE_M=64"))
    code = """
        from attention_fwd.cuda_modules import read_binary
        from attention_fwd.function import FOLDER, MANIFEST
        read_binary(FOLDER, MANIFEST["kernels"]["k1"], "sm_90")
    """
    assert "k1.sm_90.cubin must match its hash in manifest.json" in _python(out, code).stderr
    assert "k1.sm_90.cubin is not the file that was exported" in _verify(out).stdout
    _forge_hash(out, "sm_90")
    assert "must match its macros in manifest.json" in _python(out, code).stderr
    ran = _verify(out)
    assert ran.returncode == 1 and "its own record says otherwise" in ran.stdout


def test_verify_refuses_a_machine_without_a_gpu_and_one_of_another_architecture(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = _verify(exported, CUDA_VISIBLE_DEVICES="")
    assert ran.returncode == 1
    assert (
        ran.stdout == "device      REFUSED: this machine must have a GPU that torch can use, got none\nNOT verified\n"
    )
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.current_device", lambda: 0)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (7, 5))
    assert not _module(exported, "building").builds(exported / "attention_fwd", _manifest(exported))
    rule = "the GPU must run one of sm_89, sm_90, compute_90, got sm_75; export for it with --arch"
    assert capsys.readouterr().out == f"device      REFUSED: {rule}\n"


def test_a_manifest_edited_by_hand_is_refused(exported: Path, tmp_path: Path) -> None:
    out = shutil.copytree(exported, tmp_path / "edited")
    path = out / "attention_fwd" / "manifest.json"
    path.write_text(path.read_text().replace('"median_us": 3100.0', '"median_us": 31.0').replace("TILE_M", "TILE_X"))
    ran = _verify(out)
    edited = "integrity   REFUSED: manifest.json was edited: its content does not match its seal\n"
    assert ran.returncode == 1 and ran.stdout == f"{edited}NOT verified\n"


def test_what_was_edited_is_refused_before_any_of_it_runs(exported: Path, tmp_path: Path) -> None:
    out = shutil.copytree(exported, tmp_path / "edited")
    (out / "attention_fwd" / "function.py").write_text("print('mine')")
    (out / "attention_fwd" / "manifest.json").write_text("{")
    ran = _verify(out)
    assert ran.returncode == 1 and ran.stdout.startswith("integrity   REFUSED: manifest.json must exist")
    assert "mine" not in ran.stdout and ran.stdout.endswith("NOT verified\n") and not ran.stderr


def test_a_readme_with_other_figures_is_refused(exported: Path, tmp_path: Path) -> None:
    out = shutil.copytree(exported, tmp_path / "edited")
    (out / "README.md").write_text("1000x")
    assert "README.md is not the file that was exported" in _verify(out).stdout


def test_an_architecture_that_the_configuration_does_not_fit_is_refused(measured: Measured, tmp_path: Path) -> None:
    large = {**PLAIN, "tile_n": 256, "stages": 3, "kv_warps": 4}
    with pytest.raises(ExportError, match=r"a block must fit sm_89, which has 101376 B .* leave sm_89 out"):
        measure(kernel_folder("attention_fwd"), large, "sm_90").export(tmp_path / "out", ["sm_89"])
    with pytest.raises(ExportError, match=r"^--arch must be one of sm_80, sm_86, sm_89, sm_90, got sm_42$"):
        measured.export(tmp_path / "out", ["sm_42"])
    assert not (tmp_path / "out").exists()


def test_a_binary_that_is_no_longer_the_one_that_was_measured_is_refused(measured: Measured, tmp_path: Path) -> None:
    builds = (replace(measured.details.builds[0], binary_hash="0" * 64),)
    other = replace(measured, details=replace(measured.details, builds=builds))
    with pytest.raises(ExportError, match=r"^the binary must be the one that was measured"):
        other.export(tmp_path / "out")


def test_a_binary_that_takes_too_long_to_build_is_told(
    measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvcc, "TIME_LIMIT_SECONDS", 0.1)
    with pytest.raises(
        ExportError, match=r"^trial 7 must compile for sm_80 \(k1\), got: a build must end within .*, killed"
    ):
        measured.export(tmp_path / "out", ["sm_80"])


def _parameters(out: Path, ptx: str) -> list[str]:
    """Return the types of the entry's parameters."""
    entry = (out / "attention_fwd" / ptx).read_text().partition(".entry attention_fwd(")[2].partition(")")[0]
    return [kind for kind in entry.split() if kind.startswith((".u", ".f", ".b"))]


def _forge_hash(out: Path, name: str) -> None:
    reseal(out / "attention_fwd")
    manifest = _manifest(out)
    binary = manifest["kernels"]["k1"]["binaries"][name]
    binary["sha256"] = manifest["files"][binary["file"]]
    (out / "attention_fwd" / "manifest.json").write_text(json.dumps(manifest))
    reseal(out / "attention_fwd")


def _module(out: Path, name: str) -> Any:
    """Import the package in this process."""
    return import_module(f"{evotune.load(out).__module__.rpartition('.')[0]}.{name}")


def _manifest(out: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((out / "attention_fwd" / "manifest.json").read_text())
    return loaded


def _verify(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return python(str(folder / "verify.py"), folder=folder, variables=variables)


def _python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    return python("-c", textwrap.dedent(code), folder=folder)
