"""The kernel that the benchmark gives Kernel Tuner is the one that evotune builds and launches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.beside_kernel_tuner.kernel import TunedKernel
from benchmarks.beside_kernel_tuner.space import to_tuner
from evotune_workers.compilers.build import macro_flags
from evotune_workers.kernel import Value
from evotune_workers.kernel.targets import known_device

LIMITS = known_device("sm_90").limits
KERNEL = TunedKernel("mission", LIMITS)
DEFAULT = dict(KERNEL.space.defaults[0].configuration)
SMALL: dict[str, Value] = {"tile_m": 16, "tile_n": 64, "stages": 2, "overlap_scores": False, "prefetch_warps": 0}
PERSISTENT: dict[str, Value] = {**SMALL, "persistent": True, "compute_warps": 4}
WHOLE_DEVICE = 10**6


@pytest.mark.parametrize("configuration", [DEFAULT, {**DEFAULT, **PERSISTENT}, {**DEFAULT, "split_kv": 4}])
def test_a_build_gets_the_same_macros(configuration: dict[str, Value]) -> None:
    macros = KERNEL.kernel.macros(KERNEL.variant, configuration, KERNEL.workload)
    found = [f"-D{name}={text(to_tuner(configuration))}" for name, text in sorted(KERNEL.macros().items())]
    assert tuple(found) == macro_flags(macros)


@pytest.mark.parametrize("configuration", [DEFAULT, {**DEFAULT, **SMALL}, {**DEFAULT, "split_kv": 4}])
def test_it_is_launched_with_the_same_grid_and_shared_memory(configuration: dict[str, Value]) -> None:
    expected = KERNEL.variant.geometry(configuration, KERNEL.workload, WHOLE_DEVICE)
    assert expected is not None
    parameters = to_tuner(configuration)
    assert (KERNEL.grid(parameters), KERNEL.shared_bytes(parameters)) == (expected.grid, expected.shared_bytes)
    assert parameters["block_size_x"] == expected.threads


def test_persistent_blocks_are_no_more_than_the_device_holds() -> None:
    one_to_a_multiprocessor = TunedKernel("mission", {**LIMITS, "blocks_per_multiprocessor": 1})
    parameters = to_tuner({**DEFAULT, **PERSISTENT})
    assert one_to_a_multiprocessor.grid(parameters) == (LIMITS["multiprocessors"], 1, 1)
    assert KERNEL.grid(parameters)[0] > LIMITS["multiprocessors"]


def test_the_answer_stands_where_the_output_is_and_the_output_begins_as_nan() -> None:
    arguments, answer = KERNEL.arguments_and_answer()
    [place] = [place for place, each in enumerate(answer) if each is not None]
    assert np.isnan(arguments[place]).all()
    q, k, v = (torch.from_numpy(each) for each in arguments[:3])
    expected = torch.nn.functional.scaled_dot_product_attention(q.double(), k.double(), v.double())
    assert np.allclose(answer[place], expected.numpy(), rtol=0, atol=1e-12)


def test_the_workspace_serves_every_split() -> None:
    arguments, answer = KERNEL.arguments_and_answer()
    workspace = next(each for each in arguments if isinstance(each, np.ndarray) and each.dtype == np.uint8)
    for tile_m in (16, 48, 192, 256):
        split = {**DEFAULT, "tile_m": tile_m, "split_kv": 4, "split_merge": "workspace"}
        assert KERNEL.variant.workspace_bytes(split, KERNEL.workload) <= workspace.nbytes
    assert len(arguments) == len(answer)


def test_every_header_that_the_sources_ask_for_is_there(tmp_path: Path) -> None:
    folders = [Path(option[2:]) for option in KERNEL.compiler_options(tmp_path) if option.startswith("-I")]
    lines = [
        line.split() for folder in folders for file in folder.glob("*.cu*") for line in file.read_text().splitlines()
    ]
    wanted = {line[1].strip('<>"') for line in lines if line[:1] == ["#include"]}
    assert "cstdint" in wanted
    assert [name for name in wanted if not any((folder / name).is_file() for folder in folders)] == []
