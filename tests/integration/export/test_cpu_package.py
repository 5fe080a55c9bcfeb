"""A trial becomes a folder that works without evotune: real compiler, real kernel, fresh processes."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import evotune
from evotune.export import ExportError
from evotune.planning.locate import kernel_folder
from evotune_workers.kernel.folder import load_kernel
from tests.support.export_record import ABSURD_CLAIM, CONFIGURATION, Measured, hide_evotune, measure, reseal
from tests.support.forked.python import python


@pytest.fixture(scope="module", autouse=True)
def evotune_is_out_of_reach(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """In every process that a test starts, importing evotune fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", hide_evotune(tmp_path_factory.mktemp("out-of-reach")))
        patch.setenv("OMP_WAIT_POLICY", "passive")  # idle threads leave the cores to whatever else runs on the machine
        yield


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return measure(_copied(kernel_folder("attention_fwd"), tmp_path_factory.mktemp("kernels")), CONFIGURATION)


@pytest.fixture(scope="module")
def exported(measured: Measured, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One export, built once, shared by the tests that only use it."""
    out = measured.export(tmp_path_factory.mktemp("exports") / "attention")
    _run(["sh", str(out / "attention_fwd" / "build.sh"), "k1"], out)
    return out


def test_the_exported_function_agrees_with_sdpa_in_a_process_without_evotune(exported: Path) -> None:
    ran = _python(
        exported,
        """
        import torch
        from attention_fwd import attention_fwd
        from torch.nn.attention import SDPBackend, sdpa_kernel
        torch.manual_seed(1)
        reference = torch.nn.functional.scaled_dot_product_attention
        for queries, keys, causal, scale in (
            (512, 512, False, None), (61, 500, True, 0.3), (61, 61, True, 0.0), (61, 7, True, -0.2), (1, 1, False, None)
        ):
            q, k, v = (torch.randn(2, 3, size, 64).half() for size in (queries, keys, keys))
            out = attention_fwd(q, k, v, is_causal=causal, scale=scale)
            with sdpa_kernel(SDPBackend.MATH):  # the fused one has NaN where a causal scale is below 0
                expected = reference(q.float(), k.float(), v.float(), is_causal=causal, scale=scale)
            assert out.dtype == q.dtype and out.shape == q.shape
            torch.testing.assert_close(out.float(), expected, atol=2e-3, rtol=2e-3)
        print("agrees")
        """,
    )
    assert ran.stdout.strip() == "agrees", ran.stderr
    assert len(list((exported / "attention_fwd").glob("*.so"))) == 1, "the one that build.sh made"


def test_strided_tensors_are_taken_and_empty_ones_give_empty_results(exported: Path) -> None:
    ran = _python(
        exported,
        """
        import torch
        from attention_fwd import attention_fwd
        strided = [torch.randn(2, 40, 3, 64).half().transpose(1, 2) for _ in range(3)]
        assert torch.equal(attention_fwd(*strided), attention_fwd(*(tensor.contiguous() for tensor in strided)))
        empty = attention_fwd(strided[0][:, :, :0], *strided[1:])
        assert empty.shape == (2, 3, 0, 64)
        print("taken")
        """,
    )
    assert ran.stdout.strip() == "taken", ran.stderr


def test_tensors_that_the_kernel_cannot_take_are_refused_with_the_rule(exported: Path) -> None:
    ran = _python(
        exported,
        """
        import torch
        from attention_fwd import attention_fwd
        good = torch.zeros(1, 2, 8, 64).half()
        wrong = [
            (good.float(), good, good),
            (good, torch.zeros(1, 2, 8, 32).half(), good),
            (good, torch.cat([good, good], 1)[:, :3], torch.cat([good, good], 1)[:, :3]),
            (good, good, good[:, :, :4]),
            (good, good[:, :, :0], good[:, :, :0]),
            (good.to("meta"), good, good),
            (good[0], good, good),
            (good, good, [1.0]),
            (good.clone().requires_grad_(), good, good),
            (good, good, good, False, float("nan")),
        ]
        for tensors in wrong:
            try:
                attention_fwd(*tensors)
            except (TypeError, ValueError) as error:
                print(type(error).__name__, error)
            else:
                print("taken")
        """,
    )
    lines = ran.stdout.splitlines()
    assert [line.split(" must ")[0] for line in lines[:3]] == ["TypeError q", "ValueError k", "ValueError q"]
    assert len(lines) == 10 and "taken" not in lines, ran.stdout + ran.stderr


def test_the_kernel_runs_on_torchs_own_openmp_threads(exported: Path) -> None:
    ran = _python(
        exported,
        """
        import os, re, torch
        from pathlib import Path
        from attention_fwd import attention_fwd
        torch.set_num_threads(int(os.environ["THREADS"]))
        q = torch.randn(1, 8, 512, 64).half()
        torch.nn.functional.scaled_dot_product_attention(q, q, q)
        before = len(os.listdir("/proc/self/task"))
        attention_fwd(q, q, q)
        runtimes = set(re.findall(r"\\S*libgomp\\S*", Path("/proc/self/maps").read_text()))
        print(len(os.listdir("/proc/self/task")) - before, len(runtimes))
        """,
        THREADS=str(CONFIGURATION["threads"]),
    )
    assert ran.stdout.split()[0] == "0", ran.stdout + ran.stderr


def test_the_module_works_from_inside_another_package_and_builds_on_first_use(
    measured: Measured, tmp_path: Path
) -> None:
    package = tmp_path / "mine"
    package.mkdir()
    measured.export(package / "tuned")
    assert not list((package / "tuned" / "attention_fwd").glob("*.so"))
    ran = _python(
        tmp_path,
        """
        import torch
        from mine.tuned.attention_fwd import attention_fwd
        q = torch.randn(1, 1, 5, 64).half()
        print(tuple(attention_fwd(q, q, q).shape))
        """,
    )
    assert ran.stdout.strip() == "(1, 1, 5, 64)", ran.stderr
    assert len(list((package / "tuned" / "attention_fwd").glob("*.so*"))) == 1


def test_pip_installs_it_without_network_and_it_builds_where_it_is_installed(exported: Path, tmp_path: Path) -> None:
    source = shutil.copytree(exported, tmp_path / "source", ignore=shutil.ignore_patterns("*.so"))
    site = tmp_path / "site"
    options = ("--no-index", "--no-build-isolation", "--no-deps", "--quiet", "--target", str(site))
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True)
    code = """
        import torch
        from attention_fwd import attention_fwd
        from attention_fwd.function import FOLDER
        from attention_fwd.integrity import complaints
        q = torch.randn(1, 1, 5, 64).half()
        print(tuple(attention_fwd(q, q, q).shape), list(complaints(FOLDER)))
    """
    ran = _python(site, code)
    assert ran.stdout.strip() == "(1, 1, 5, 64) []", ran.stderr
    assert list((site / "attention_fwd").glob("*.so"))


def test_a_binary_of_another_configuration_is_refused(exported: Path, tmp_path: Path) -> None:
    stale = tmp_path / "stale"
    shutil.copytree(exported, stale)
    path = stale / "attention_fwd" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["kernels"]["k1"]["macros"]["HEAD_DIM"] = "128"
    path.write_text(json.dumps(manifest))
    ran = _python(
        stale, "import torch, attention_fwd as a; q = torch.zeros(1, 1, 5, 64).half(); a.attention_fwd(q, q, q)"
    )
    assert "must be built with HEAD_DIM=128" in ran.stderr


def test_a_library_of_other_sources_is_not_loaded_however_young_it_is(exported: Path, tmp_path: Path) -> None:
    other = shutil.copytree(exported, tmp_path / "other")
    source = other / "attention_fwd" / "sources" / "cpu_softmax.h"
    with source.open("a") as file:
        file.write("\n// later\n")
    os.utime(source, (0, 0))
    reseal(other / "attention_fwd")
    paths = [_library_path(folder) for folder in (exported, other)]
    assert paths[0].is_file() and paths[0].name != paths[1].name and not paths[1].exists()


def test_a_missing_compiler_is_named(exported: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    shutil.copytree(exported, fresh, ignore=shutil.ignore_patterns("*.so"))
    code = "import torch, attention_fwd as a; q = torch.zeros(1, 1, 5, 64).half(); a.attention_fwd(q, q, q)"
    ran = _python(fresh, code, CXX="no-such-compiler")
    assert "no-such-compiler" in ran.stderr and "set CXX to a C++ compiler" in ran.stderr
    assert not list(fresh.glob("*.so*"))


@pytest.mark.quiet
def test_the_rebuilt_code_is_the_code_that_was_measured_and_verify_passes(exported: Path) -> None:
    ran = _verify_with_timing(exported)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "is identical to the measured code" in ran.stdout
    assert "speed-up over sdpa_fp32_upcast" in ran.stdout and ran.stdout.endswith("verified\n")


@pytest.mark.quiet
def test_verify_fails_when_the_claim_is_out_of_reach(measured: Measured, tmp_path: Path) -> None:
    out = measured.claiming(ABSURD_CLAIM).export(tmp_path / "absurd")
    ran = _verify_with_timing(out)
    assert ran.returncode == 1
    assert "more than 10 % below the claim" in ran.stdout and ran.stdout.endswith("NOT verified\n")


def test_verify_fails_when_the_kernel_computes_something_else(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "wrong"
    shutil.copytree(exported, out)
    module = out / "attention_fwd" / "function.py"
    module.write_text(module.read_text().replace("1.0 / math.sqrt", "1.01 / math.sqrt"))
    reseal(out / "attention_fwd")
    ran = _verify(out)
    assert ran.returncode == 1
    assert "accuracy    FAILED" in ran.stdout


def test_verify_fails_when_the_source_is_not_what_was_measured(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "edited"
    shutil.copytree(exported, out)
    with (out / "attention_fwd" / "sources" / "cpu.cpp").open("a") as source:
        source.write("\n// faster\n")
    ran = _verify(out)
    assert ran.returncode == 1
    assert "sources/cpu.cpp is not the file that was exported" in ran.stdout


def test_the_manifest_tells_everything_that_decided_the_result(measured: Measured, exported: Path) -> None:
    manifest = json.loads((exported / "attention_fwd" / "manifest.json").read_text())
    assert manifest["target"] == "cpu" and manifest["device"]["uuid"] == "CPU-1"
    [row] = manifest["workloads"]
    assert row["trial"] == 7 and row["kernel"] == "k1" and row["loss"] == 0
    assert row["figures"]["baseline"] == "sdpa_fp32_upcast" and "samples" not in row["figures"]
    kernel = manifest["kernels"]["k1"]
    assert kernel["configuration"] == dict(CONFIGURATION)
    assert kernel["build"]["binary_hash"] == measured.details.builds[0].binary_hash
    assert kernel["gates_passed"] == ["numerics"] and kernel["seeds"] == [11]
    sources = load_kernel(measured.folder).variant("cpu").sources
    assert set(manifest["source"]["files"]) == {*(f"sources/{name}" for name in sources), "configurations/k1.h"}


def test_no_placeholder_is_left_in_what_is_exported(exported: Path) -> None:
    package = exported / "attention_fwd"
    for path in (*exported.glob("*.*"), package / "build.sh", package / "dispatch.py", package / "configurations/k1.h"):
        assert not re.search(r"@\w+@", path.read_text()), path


def test_a_folder_that_is_not_empty_is_left_alone(measured: Measured, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match=r"^the folder to export to must be new or empty, got .*; choose another$"):
        measured.export(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_filled(measured: Measured, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert (measured.export(tmp_path / "empty") / "verify.py").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize("name", ["cpu.cpp", "cpu_softmax.h"])
def test_sources_changed_since_the_measurement_are_refused(measured: Measured, tmp_path: Path, name: str) -> None:
    changed = _copied(measured.folder, tmp_path)
    with (changed / name).open("a") as source:
        source.write("\n// later\n")
    with pytest.raises(ExportError, match="has changed since trial 7"):
        measured.from_folder(changed).export(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_kernel_without_its_export_files_is_refused_with_their_names(measured: Measured, tmp_path: Path) -> None:
    bare = _copied(measured.folder, tmp_path)
    (bare / "export" / "checks.py").unlink()
    with pytest.raises(ExportError, match=r"^a kernel needs function.py, .*, cpu.py in .*, missing: checks.py$"):
        measured.from_folder(bare).export(tmp_path / "out")


def test_other_modules_of_the_kernels_go_along_unless_a_package_has_one_of_that_name(
    measured: Measured, tmp_path: Path
) -> None:
    folder = _copied(measured.folder, tmp_path)
    (folder / "export" / "mine.py").write_text("# mine\n")
    (folder / "export" / "__init__.py").write_text("# not the package's\n")
    out = measured.from_folder(folder).export(tmp_path / "out") / "attention_fwd"
    assert (out / "mine.py").read_text() == "# mine\n" and "attention_fwd" in (out / "__init__.py").read_text()
    (folder / "export" / "integrity.py").write_text("# a seal that holds whatever\n")
    with pytest.raises(ExportError, match=r"^the package's own integrity.py must be the only one, got another in .*"):
        measured.from_folder(folder).export(tmp_path / "refused")


def test_a_target_that_cannot_be_exported_is_refused(measured: Measured, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="got target sm_70"):
        replace(measured, entry=replace(measured.entry, target="sm_70")).export(tmp_path / "out")


def test_a_variant_that_the_kernel_no_longer_has_is_named(measured: Measured, tmp_path: Path) -> None:
    changed = _copied(measured.folder, tmp_path)
    source = changed / "kernel.py"
    source.write_text(source.read_text().replace("(CpuVariant(), Sm80Variant())", "(CpuVariant(),)"))
    trial = replace(measured.from_folder(changed), entry=replace(measured.entry, target="sm_90"))
    with pytest.raises(ExportError, match=r"^trial 7 used a variant that attention_fwd no longer has: .* got sm_90$"):
        trial.export(tmp_path / "out")


def test_a_full_disk_leaves_nothing_behind(measured: Measured, tmp_path: Path) -> None:
    """A limit on file sizes stands in for the disk: the write fails half-way in the same place."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(ExportError, match=r"^the exported folder must be writable"):
            measured.export(tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def _library_path(folder: Path) -> Path:
    """Return the files of its kernel k1."""
    function = evotune.load(folder)
    cpu_library: Any = sys.modules[f"{function.__module__.rpartition('.')[0]}.cpu_library"]
    package = folder / "attention_fwd"
    path: Path = cpu_library._library_path(package, json.loads((package / "manifest.json").read_text()), "k1")
    return path


def _verify_with_timing(folder: Path) -> subprocess.CompletedProcess[str]:
    return _run([sys.executable, str(folder / "verify.py")], folder)


def _verify(folder: Path) -> subprocess.CompletedProcess[str]:
    return python(str(folder / "verify.py"), "--skip-timing", folder=folder)


def _python(folder: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return python("-c", textwrap.dedent(code), folder=folder, variables=environment)


def _run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


def _copied(kernel: Path, folder: Path) -> Path:
    return Path(shutil.copytree(kernel, folder / "kernel", ignore=shutil.ignore_patterns("__pycache__")))
