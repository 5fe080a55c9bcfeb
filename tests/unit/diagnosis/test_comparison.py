"""Comparing a stage's values, the map of what is wrong, and which failures are wrong results."""

from __future__ import annotations

import math

import pytest
import torch

from evotune.planning.locate import kernel_folder
from evotune_workers.diagnosis.comparison import MAP_SIDE, MAPS_SHOWN, compare, tile_map
from evotune_workers.diagnosis.wrong_result import WrongResult, traced_workload, wrong_result
from evotune_workers.gates.gate import GateResult
from evotune_workers.kernel import Configuration, StageValues
from evotune_workers.kernel.folder import load_kernel, named_workload

KERNEL = load_kernel(kernel_folder("attention_fwd"))
TILES: Configuration = {"tile_m": 48, "tile_n": 128}


def values(found: torch.Tensor, expected: torch.Tensor | None = None, limit: float = 0.1) -> StageValues:
    exact = torch.zeros_like(found) if expected is None else expected
    return StageValues(found.double(), exact.double(), torch.tensor(limit, dtype=torch.float64))


def wrong_at(shape: tuple[int, ...], *places: tuple[int, ...]) -> torch.Tensor:
    bad = torch.zeros(shape, dtype=torch.bool)
    for place in places:
        bad[place] = True
    return bad


def test_errors_within_the_limit_are_right_and_have_no_map() -> None:
    found = compare(values(torch.tensor([[0.125, -0.0625]]), limit=0.125), (1, 1))
    assert (found.wrong, found.first_wrong, found.tile_map) == (0, None, "")
    assert found.max_error == 0.125
    assert found.rms_error == pytest.approx(0.125 * math.sqrt(0.625))


def test_the_first_wrong_index_counts_in_every_dimension() -> None:
    error = torch.zeros(2, 3, 4, 5)
    error[1, 0, 2, 3] = 1.0
    error[1, 2, 0, 0] = -7.0
    found = compare(values(error), (2, 5))
    assert (found.wrong, found.first_wrong, found.max_error, found.limit) == (2, (1, 0, 2, 3), 7.0, 0.1)


def test_a_value_that_is_not_a_number_is_wrong() -> None:
    found = compare(values(torch.tensor([[0.0, math.nan, 5.0]])), (1, 1))
    assert (found.wrong, found.first_wrong) == (2, (0, 1))
    assert math.isnan(found.max_error) and math.isnan(found.rms_error)
    assert found.tile_map.splitlines()[1:] == [".XX"]


def test_the_same_infinity_is_right_and_another_is_wrong() -> None:
    exact = torch.tensor([[-math.inf, -math.inf, -math.inf, 1.0]])
    found = compare(values(torch.tensor([[-math.inf, math.inf, 3.0, -math.inf]]), exact), (1, 1))
    assert (found.wrong, found.first_wrong, found.max_error) == (3, (0, 1), math.inf)
    assert compare(values(exact, exact), (1, 1)).max_error == 0.0


def test_each_head_may_have_its_own_limit_and_the_worst_excess_is_told() -> None:
    limits = torch.tensor([1.0, 0.01], dtype=torch.float64).view(2, 1, 1)
    error = torch.tensor([0.9, 0.5], dtype=torch.float64).view(2, 1, 1)
    found = compare(StageValues(error, torch.zeros_like(error), limits), (1, 1))
    assert (found.wrong, found.first_wrong, found.max_error, found.limit) == (1, (1, 0, 0), 0.5, 0.01)


def test_a_map_has_a_character_a_tile_also_for_those_that_are_not_whole() -> None:
    assert tile_map(wrong_at((5, 7), (0, 0), (4, 6)), (2, 3)).splitlines() == [
        "X: wrong; a character is 2 x 3 values",
        "X..",
        "...",
        "..X",
    ]


def test_slices_with_the_same_map_share_it_and_right_ones_are_left_out() -> None:
    bad = wrong_at((2, 3, 2, 2), (0, 0, 0, 0), (0, 1, 0, 0), (1, 0, 0, 0), (1, 2, 1, 1))
    assert tile_map(bad, (1, 2)).splitlines()[1:] == ["0-1, 3 of 6:", "X", ".", "5 of 6:", ".", "X"]


def test_only_the_first_few_maps_that_differ_are_drawn() -> None:
    bad = torch.eye(MAPS_SHOWN + 3, dtype=torch.bool)[:, None, :]
    lines = tile_map(bad, (1, 1)).splitlines()
    assert len(lines) == 2 + 2 * MAPS_SHOWN and lines[-1] == "and 3 other maps"


def test_a_map_too_large_to_read_merges_tiles() -> None:
    bad = wrong_at((3 * MAP_SIDE, 40), (3 * MAP_SIDE - 1, 39))
    lines = tile_map(bad, (2, 40)).splitlines()
    assert lines[0] == "X: wrong; a character is 4 x 40 values"
    assert len(lines) == 1 + 3 * MAP_SIDE / 4 and lines[-1] == "X"


def test_values_of_one_dimension_are_a_line() -> None:
    assert tile_map(wrong_at((5,), (3,)), (1, 2)).splitlines()[1:] == [".X."]


PASSED = GateResult("launch", True, workload="mission")


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        (GateResult("numerics", False, "max error", "mission", "peaky", 3), ("mission", "peaky", 3)),
        (GateResult("structure", False, "one_hot", "mission", "one_hot"), ("mission", "one_hot", None)),
        (GateResult("tails", False, "max error", "3x49x129x64", "normal", 1), ("3x49x129x64", "normal", 1)),
        (
            GateResult("memory", False, "NaN", "mission", figures={"unwritten": 5, "infinite": 0}),
            ("mission", None, None),
        ),
    ],
)
def test_wrong_values_are_traced_on_the_inputs_that_gave_them(
    failed: GateResult, expected: tuple[str, str | None, int | None]
) -> None:
    found = wrong_result([PASSED, failed, GateResult("numerics", False, "later", "mission", "large", 9)], ["mission"])
    assert found == WrongResult(failed.gate, *expected, "mission")


@pytest.mark.parametrize(
    "failed",
    [
        GateResult("numerics", False, "the process running it hung"),
        GateResult("memory", False, "slack", "mission", figures={"unwritten": 0, "infinite": 0}),
        GateResult("memory", False, "the process running it died"),
        GateResult("repeatability", False, "same bits", "mission-quarter", figures={"different": 3}),
        GateResult("launch", False, "too slow", "mission"),
    ],
)
def test_other_failures_are_not(failed: GateResult) -> None:
    assert wrong_result([PASSED, failed], ["mission"]) is None
    assert wrong_result([PASSED], ["mission"]) is None


def test_a_tail_belongs_to_the_workload_that_was_loaded_when_it_failed() -> None:
    tail = GateResult("tails", False, "max error", "8x47x127x128", "normal", 1)
    other = GateResult("launch", True, workload="wide")
    found = wrong_result([PASSED, other, tail], ["mission", "wide"])
    assert found is not None and found.built_for == "wide"


def test_a_tail_is_found_by_its_name() -> None:
    for tail in KERNEL.tails(named_workload(KERNEL, "mission"), TILES):
        wrong = WrongResult("tails", tail.name, "normal", 1, "mission")
        assert traced_workload(KERNEL, TILES, wrong) == tail


def test_workloads_whose_scores_are_too_many_are_cut_to_fewer_heads_and_queries() -> None:
    cut = {
        name: KERNEL.traceable(named_workload(KERNEL, name)).name
        for name in ("mission", "long", "2x32x4096x64", "1x16x8192x128")
    }
    assert cut == {
        "mission": "mission",
        "long": "2x2048x2048x64 of long",
        "2x32x4096x64": "1x2048x4096x64 of 2x32x4096x64",
        "1x16x8192x128": "1x1024x8192x128 of 1x16x8192x128",
    }
