"""From a request to a plan: what is chosen where nothing is said, and what is refused, in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evotune.errors import UserError
from evotune.planning.machine import Machine
from evotune.planning.plan import Plan, enumerate_valid, make_plan
from evotune.planning.request import SearchRequest
from evotune.planning.resume import resumed_budget, resumed_plan
from evotune.planning.search_record import search_record
from evotune_db.records import StoredSearch, StoredTrial
from evotune_workers.kernel.targets import known_device
from tests.support.db.examples import SEARCH

# Keys and values of two stages: 64 KB at tile_n 128 and head size 64, 128 KB at head size 128.
NARROW = """
kernel: attention_fwd
variant: sm80
parameters:
  tile_m: [32]
  tile_n: [64, 128]
  compute_warps: [4]
  kv_warps: [2]
  prefetch_warps: [0]
  stages: [2]
  step_n: [32]
  overlap_scores: [false]
  persistent: [false]
  split_kv: [1]
  split_merge: {values: [workspace], kind: categorical}
  q_in_registers: [true]
  shared_layout: {values: [swizzle], kind: categorical}
  min_blocks: [1]
  l2_policy: {values: [none], kind: categorical}
  key_order: {values: [forward], kind: categorical}
  rescale: {values: [on_growth], kind: categorical}
  row_sum: {values: [tensor], kind: categorical}
  polynomial_exp: [0]
  merge_memory: {values: [tiles], kind: categorical}
constraints:
  - shared_memory <= device.shared_memory_per_block
"""
BUILD_L4 = SearchRequest(db="unused.db", target="sm_89", build_only=True, budget=40)


def plan(request: SearchRequest, *gpus: str) -> Plan:
    machine = Machine()
    machine.gpus = tuple(known_device(target) for target in gpus)
    machine.torch_sees_gpus = bool(gpus)
    return make_plan(request, machine)


def test_building_for_an_l4_takes_its_space_its_limits_and_random_configurations() -> None:
    made = plan(BUILD_L4)
    assert (made.space.name, made.variant.name, made.workloads, made.sampler) == ("l4", "sm80", ("mission",), "random")
    assert made.device == known_device("sm_89") and made.build_only


def test_a_search_on_a_machine_with_an_h200_tunes_for_it() -> None:
    made = plan(SearchRequest(db="unused.db"), "sm_90")
    assert (made.target, made.space.name, made.sampler, made.build_only) == ("sm_90", "h200", "evolution", False)


def test_a_search_on_a_machine_without_a_gpu_tunes_for_its_cpu() -> None:
    made = plan(SearchRequest(db="unused.db"))
    assert (made.target, made.space.name, made.note) == ("cpu", "cpu", None)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"sampler": "evolution"},
            "nothing is timed to learn from: sampler must be one of random, qmc, got 'evolution'",
        ),
        ({"sampler": "randon", "build_only": False, "target": "cpu"}, "did you mean 'random'"),
        ({"build_only": False}, "must be a device of this machine, which has no GPU"),
        ({"space": "cpu"}, "a variant that serves sm_89, cpu is for cpu: pass another --space or --target"),
        ({"target": "sm_75"}, "got 'sm_75'; did you mean"),
        ({"workloads": ("mission_fp32",)}, "one that variant sm80 supports (mission, causal, "),
        ({"workloads": ("misson",)}, "did you mean 'mission'"),
        ({"workloads": ("mission_bf16",), "target": "cpu"}, "one that variant cpu supports"),
        ({"gpus": 2}, "--gpus asks for GPUs to measure on, got 2 where nothing is measured with --build-only"),
        ({"gpus": 2, "build_only": False, "target": "cpu"}, "got 2 where the target is cpu; leave it out"),
    ],
)
def test_what_does_not_fit_together_is_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(UserError) as error:
        plan(replace(BUILD_L4, **change))  # type: ignore[arg-type]  # fields by name
    assert told in str(error.value) and "\n" not in str(error.value)


def test_a_space_of_a_near_target_can_be_named() -> None:
    made = plan(replace(BUILD_L4, target="sm_86", space="l4"))
    assert made.space.name == "l4" and made.device == known_device("sm_86")


def test_limits_hold_for_every_workload_of_a_search(tmp_path: Path) -> None:
    (tmp_path / "narrow.yaml").write_text(NARROW)
    narrow = replace(BUILD_L4, space=str(tmp_path / "narrow.yaml"), budget=1)
    head_64, both = plan(narrow), plan(replace(narrow, workloads=("mission", "wide")))
    assert head_64.device is not None
    assert len(enumerate_valid(head_64, head_64.device)) == 2
    valid = enumerate_valid(both, head_64.device)
    assert [valid.configuration(i)["tile_n"] for i in range(len(valid))] == [64]


def test_a_budget_beyond_the_valid_set_is_refused_with_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "narrow.yaml").write_text(NARROW)
    made = plan(replace(BUILD_L4, space=str(tmp_path / "narrow.yaml")))
    assert made.device is not None
    with pytest.raises(UserError, match="pass --budget 2 to try them all"):
        enumerate_valid(made, made.device)


def test_a_search_that_only_builds_goes_on_as_one(tmp_path: Path) -> None:
    (tmp_path / "narrow.yaml").write_text(NARROW)
    request = replace(BUILD_L4, space=str(tmp_path / "narrow.yaml"), budget=2)
    made = plan(request)
    assert made.device is not None
    record = search_record(made, enumerate_valid(made, made.device), request)
    assert record.options["build_only"] is True
    go_on = SearchRequest(db="unused.db", kernel=None, budget=None, resume=3)
    again = resumed_plan(StoredSearch(3, record, "interrupted", ()), go_on)
    assert (again.build_only, again.budget, again.sampler, again.target) == (True, 2, "random", "sm_89")


def test_a_budget_below_what_has_been_proposed_is_refused() -> None:
    trials = tuple(StoredTrial(number, number, {}, str(number), "passed", None, None, 1.0) for number in range(3))
    stored = StoredSearch(3, SEARCH, "interrupted", trials)
    go_on = SearchRequest(db="unused.db", kernel=None, budget=2, resume=3)
    with pytest.raises(UserError, match=r"^the budget must be at least the 3 trials proposed so far, got 2$"):
        resumed_budget(stored, go_on)
    assert resumed_budget(stored, replace(go_on, budget=3)) == 3
    assert resumed_budget(stored, replace(go_on, budget=None)) == SEARCH.budget
