"""A portfolio becomes one package: several kernels, a dispatcher that can be read, and the loss of each workload."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

import evotune
from evotune.cli import run
from evotune.export import ExportError, export_package
from evotune.planning.locate import kernel_folder
from evotune_db import Database
from tests.support.export_record import CONFIGURATION, measure

SECOND = {**CONFIGURATION, "tile_m": 24}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One kernel for `mission`, another for `causal`, SDPA for `long`."""
    folder, out = kernel_folder("attention_fwd"), tmp_path_factory.mktemp("out") / "portfolio"
    mission = measure(folder, CONFIGURATION, workload="mission", trial=7).claiming(1.96)
    causal = measure(folder, SECOND, workload="causal", trial=9).claiming(1.5)
    long = measure(folder, SECOND, workload="long", trial=9).claiming(0.9)
    best = replace(mission.entry, trial=8, speedup=2.0)
    export_package([mission.served(best=best), causal.served(), long.served(by_sdpa=True)], out)
    return out / "attention_fwd"


def test_the_manifest_shows_the_kernel_and_the_loss_of_each_workload(package: Path) -> None:
    rows = json.loads((package / "manifest.json").read_text())["workloads"]
    found = [(row["workload"]["name"], row["kernel"], round(row["loss"], 4), row["best"]["trial"]) for row in rows]
    assert found == [("mission", "k1", 0.0204, 8), ("causal", "k2", 0.0, 9), ("long", None, 0.0, 9)]
    readme = (package.parent / "README.md").read_text()
    assert "| `mission` | k1 |" in readme and "| 2.0% |" in readme and "| `long` | SDPA |" in readme
    assert "the figures there are those of the fastest trial" in readme


def test_each_shape_goes_to_its_kernel_and_sdpa_serves_what_is_nearest_to_where_it_was_faster(package: Path) -> None:
    attention_fwd = evotune.load(package.parent)
    launching = sys.modules[attention_fwd.__module__.rpartition(".")[0] + ".launching"]
    for length, causal, kernel in ((400, False, "k1"), (500, True, "k2"), (1900, False, None)):
        q = torch.randn(1, 8, length, 64).half()
        with pytest.MonkeyPatch.context() as patch:
            prepared = watch(patch, launching)
            out = attention_fwd(q, q, q, is_causal=causal)
        assert prepared == ([] if kernel is None else [kernel])
        expected = scaled_dot_product_attention(q.float(), q.float(), q.float(), is_causal=causal)
        torch.testing.assert_close(out.float(), expected, atol=2e-3, rtol=2e-3)


def test_the_dispatcher_is_python_that_names_every_workload(package: Path) -> None:
    text = (package / "dispatch.py").read_text()
    line = "Bucket(kernel='k1', speedup=1.96, name='mission', dtype='float16', batch=1, heads=8, queries=512, keys=512,"
    assert line in text and "Bucket(kernel=None, speedup=0.9, name='long'" in text


def test_the_command_makes_it_from_what_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = kernel_folder("attention_fwd")
    speedups = {"mission": (1.5, 1.49), "causal": (1.2, 1.3), "ragged": (0.9, 0.8)}
    made = [measure(folder, configuration) for configuration in (CONFIGURATION, SECOND)]
    with Database.open("evotune.db") as database:
        for workload, pair in speedups.items():
            for build, speedup in zip(made, pair, strict=True):
                build.at(workload).claiming(speedup).record(database)
    assert run(["export", "--within", "3%", "--out", "out"]) == 0
    told = capsys.readouterr().out
    assert "exported to out; check and time it: evotune verify out" in told
    assert "\nragged: SDPA, which was faster than every trial\n" in told and "mission: trial " in told
    rows = json.loads((tmp_path / "out/attention_fwd/manifest.json").read_text())["workloads"]
    found = {row["workload"]["name"]: (row["kernel"], round(row["loss"], 3)) for row in rows}
    assert found == {"mission": ("k1", 0.007), "causal": ("k1", 0.0), "ragged": (None, 0.0)}
    assert run(["export", "--within", "300", "--out", "other"]) == 2
    assert "must be from 0% to below 100%, got 300" in capsys.readouterr().err
    assert run(["export", "--within", "3%", "--trial", "2", "--out", "other"]) == 2
    assert "--within chooses the trials itself, got --trial 2 too" in capsys.readouterr().err
    assert run(["export", "--trial", "2", "--workload", "mission", "--out", "second"]) == 0
    assert "mission: trial 2, 1.49x " in (told := capsys.readouterr().out)
    assert "0.7% behind trial 1\n" in told, "also of the one that was named"


def test_trials_of_two_versions_of_the_kernel_are_refused(package: Path, tmp_path: Path) -> None:
    folder = kernel_folder("attention_fwd")
    edited = Path(shutil.copytree(folder, tmp_path / "edited", ignore=shutil.ignore_patterns("__pycache__")))
    with (edited / "structure.py").open("a") as file:
        file.write("# later\n")
    trials = measure(folder, CONFIGURATION, trial=7), measure(edited, SECOND, workload="causal", trial=9)
    rule = (
        r"^the trials of a package must have the same version of the kernel, got \w{12} \(trial 7\), \w{12} \(trial 9\)"
    )
    with pytest.raises(ExportError, match=rule):
        export_package([each.served() for each in trials], tmp_path / "out")


def watch(patch: pytest.MonkeyPatch, launching: Any) -> list[str]:
    """Return a list to which each kernel is added when it is prepared."""
    prepared: list[str] = []
    real = launching.prepare

    def prepare(folder: Path, manifest: Any, kernel: str, call: Any) -> Any:
        prepared.append(kernel)
        return real(folder, manifest, kernel, call)

    patch.setattr(launching, "prepare", prepare)
    return prepared
