"""A search begins with the nearest and best that is known: distinct, valid, and only a few."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evotune.planning.distance import workload_distance
from evotune.planning.locate import kernel_folder
from evotune.planning.plan import Plan, enumerate_valid, make_plan
from evotune.planning.request import SearchRequest
from evotune.planning.search_record import search_record
from evotune.planning.warm_start import choose_starting_points, in_words, recorded_starting_points
from evotune.search.study import Study
from evotune.space import ValidSet
from evotune_db.records import StartingPoint
from evotune_workers.kernel import Configuration
from evotune_workers.kernel.device import Device, cpu_device
from evotune_workers.kernel.folder import load_kernel, named_workload
from tests.support.paths import SAXPY

REQUEST = SearchRequest(
    db="unused.db",
    kernel=str(SAXPY),
    space=str(SAXPY / "cpu.yaml"),
    target="cpu",
    workloads=("larger",),
    budget=12,
    warm_start=True,
)
PLAN = make_plan(REQUEST)
# Enough for as many starting points as there are configurations; the choice knows nothing of what a budget may be.
LAVISH = replace(PLAN, budget=200)


@pytest.fixture(scope="module")
def device() -> Device:
    return cpu_device()


@pytest.fixture(scope="module")
def valid(device: Device) -> ValidSet:
    return enumerate_valid(PLAN, device)


def known(trial: int, unroll: int, **change: object) -> StartingPoint:
    """Return the best of its source: the workload `larger` on this machine, by the same version of the kernel."""
    starting_point = StartingPoint(
        trial=trial,
        search=1,
        kernel_hash=PLAN.package.source_hash,
        target="cpu",
        device=cpu_device().name,
        device_kind="cpu",
        workload="larger",
        place=1,
        configuration=configuration(unroll),
    )
    return replace(starting_point, **change)  # type: ignore[arg-type]  # fields by name


def configuration(unroll: int, threads: int = 1) -> Configuration:
    return {"unroll": unroll, "threads": threads, "fault": "none"}


def chosen(found: list[StartingPoint], plan: Plan, device: Device, valid: ValidSet) -> list[int]:
    return [starting_point.trial for starting_point in choose_starting_points(found, plan, device, valid)]


def doublings(first: str, second: str) -> tuple[bool, float]:
    kernel = load_kernel(kernel_folder("attention_fwd"))
    shapes = (named_workload(kernel, name) for name in (first, second))
    distance = workload_distance(kernel.variant("sm80"), *shapes)
    return distance.other_build, distance.doublings


def test_workloads_differ_by_their_build_first_and_then_by_doublings_of_their_sizes() -> None:
    assert doublings("mission", "mission") == (False, 0)
    assert doublings("mission", "1x8x1024x64") == (False, 2), "queries and keys"
    assert doublings("mission", "4x16x512x64") == (False, 3), "batch x heads"
    assert doublings("mission", "causal") == (False, 1)
    assert doublings("mission", "wide") == (True, 1)
    assert doublings("mission", "mission_bf16") == (True, 1)


def test_the_same_device_comes_first_then_the_nearest_workload_then_the_same_version(
    device: Device, valid: ValidSet
) -> None:
    found = [
        known(1, 1, device="Another CPU"),
        known(2, 2, workload="small"),
        known(3, 4, kernel_hash="older"),
        known(4, 8),
    ]
    assert chosen(found, LAVISH, device, valid) == [4, 3, 2, 1]


def test_of_each_source_three_come_in_turn_the_best_first(device: Device, valid: ValidSet) -> None:
    near = [known(trial, unroll, place=trial) for trial, unroll in enumerate((1, 2, 4, 8), start=1)]
    far = [known(trial, unroll, place=trial - 4, workload="small") for trial, unroll in ((5, 16), (6, 32))]
    assert chosen([*far, *reversed(near)], LAVISH, device, valid) == [1, 2, 3, 5, 6, 4]


def test_a_configuration_that_two_sources_have_is_proposed_once_from_the_nearer(
    device: Device, valid: ValidSet
) -> None:
    assert chosen([known(1, 8, workload="small"), known(2, 8)], LAVISH, device, valid) == [2]


@pytest.mark.parametrize(
    "unusable",
    [
        {"configuration": configuration(64)},
        {"configuration": configuration(8, threads=3)},
        {"configuration": {"unroll": 8, "threads": 1}},
        {"configuration": {**configuration(8), "stages": 2}},
        {"workload": "renamed since"},
        {"device_kind": "cuda"},
    ],
)
def test_what_is_not_valid_here_or_not_comparable_is_passed_over(
    unusable: dict[str, object], device: Device, valid: ValidSet
) -> None:
    assert chosen([known(1, 8, **unusable), known(2, 4, workload="small")], LAVISH, device, valid) == [2]


def test_what_a_limit_of_the_device_rules_out_gives_way_to_the_nearest_that_it_allows(device: Device) -> None:
    narrow = replace(device, limits={**device.limits, "l1_bytes": 32})
    plan = replace(PLAN, budget=8)
    valid = enumerate_valid(plan, narrow)
    largest = max(int(valid.configuration(i)["unroll"]) for i in range(len(valid)))
    assert largest < 32
    [starting_point] = choose_starting_points([known(1, 32, device="A CPU with more")], plan, narrow, valid)
    assert (starting_point.trial, starting_point.configuration) == (1, configuration(largest))


@pytest.mark.parametrize(("budget", "most"), [(1, 1), (10, 1), (11, 2), (60, 6), (100, 10), (1000, 10)])
def test_at_most_a_tenth_of_the_budget_and_never_more_than_ten(
    budget: int, most: int, device: Device, valid: ValidSet
) -> None:
    found = [known(i + 1, place=i + 1, unroll=1, configuration=valid.configuration(i)) for i in range(len(valid))]
    assert chosen(found, replace(PLAN, budget=budget), device, valid) == list(range(1, most + 1))


def test_what_a_search_began_with_is_kept_in_its_record(device: Device, valid: ValidSet) -> None:
    starting_points = choose_starting_points([known(7, 8), known(9, 4)], PLAN, device, valid)
    record = search_record(PLAN, valid, REQUEST, starting_points)
    assert recorded_starting_points(record) == starting_points
    without = search_record(PLAN, valid, replace(REQUEST, warm_start=False))
    assert without.options["warm_start"] is None and recorded_starting_points(without) == ()
    assert recorded_starting_points(replace(record, options={})) == (), "a search that is older than this option"


def test_a_study_proposes_them_first_and_its_sampler_learns_from_them(valid: ValidSet) -> None:
    first = [configuration(32), configuration(2, threads=2)]
    study = Study(valid, "evolution", 0, first)
    proposed = [study.ask() for _ in range(len(valid))]
    assert [dict(each.configuration) for each in proposed[:2]] == first
    assert [each.number for each in proposed] == list(range(len(valid)))
    assert len({valid.index(each.configuration) for each in proposed}) == len(valid), "the sampler knows of the first"
    for each in proposed:
        study.tell(each.number, 1.0)


def test_the_terminal_is_told_how_many_and_from_where() -> None:
    found = [known(1, 8), known(2, 4), known(3, 2, search=2, workload="small", device="Another CPU")]
    told = in_words(found)
    assert told == f"3 configurations from 2 searches (larger on {cpu_device().name}; small on Another CPU)"
    assert in_words(()) == "nothing on the leaderboard fits, the search begins as any other"
