"""The search spaces that come with evotune: large enough, for their targets, and with what their comments name."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import pytest

from evotune.planning.locate import builtin_kernels, builtin_spaces, kernel_folder
from evotune.planning.plan import Plan, enumerate_valid, make_plan
from evotune.planning.request import SearchRequest
from evotune.space import Space, ValidSet, load_space
from evotune.space.rules import Rules
from evotune_workers.kernel.folder import load_kernel
from evotune_workers.kernel.targets import capability, known_device
from tests.support.paths import ROOT


def named(space: Space) -> str:
    return f"{space.kernel}-{space.name}"


SPACES = [load_space(path) for kernel in builtin_kernels() for path in builtin_spaces(kernel)]
RECORDED = ROOT / "benchmarks" / "data" / "attention_h200_record.yaml"
FOR_GPUS = [space for space in SPACES if capability(space.target or "")]
# tile_m, tile_n, compute warps and prefetch warps of the hand-written settings, as the spaces' comments have them.
SEEDS = [
    *((48, 32, 6, 2), (80, 32, 10, 2), (48, 64, 12, 1), (64, 32, 8, 2), (64, 48, 12, 2)),
    *((32, 32, 4, 0), (32, 64, 8, 0), (48, 48, 3, 0), (64, 64, 4, 0), (64, 64, 8, 0)),
]


@cache
def plan(space: str) -> Plan:
    target = {"l4": "sm_89", "h200": "sm_90"}[space]
    return make_plan(SearchRequest(db="unused.db", target=target, build_only=True))


def narrowed(space: str, **chosen: int) -> ValidSet:
    """Return the valid configurations that have these values; the whole of a GPU's space takes seconds."""
    made = plan(space)
    assert made.device is not None and made.space.name == space
    parameters = [
        replace(each, values=(chosen[each.name],)) if each.name in chosen else each for each in made.space.parameters
    ]
    part = replace(made.space, parameters=tuple(parameters), defaults=())
    return enumerate_valid(replace(made, space=part, budget=1), made.device)


@pytest.mark.parametrize("space", SPACES, ids=named)
def test_a_space_names_a_target_that_its_variant_serves(space: Space) -> None:
    assert space.target is not None
    assert load_kernel(kernel_folder(space.kernel)).variant(space.variant).serves(space.target)


@pytest.mark.parametrize(("space", "other"), [("l4", {"min_blocks": 1}), ("h200", {"tile_n": 128})])
def test_a_gpu_has_10000_valid_configurations_at_least(space: str, other: dict[str, int]) -> None:
    """Already with one of its tiles and one value more: the whole space has more."""
    assert len(narrowed(space, tile_m=64, **other)) >= 10_000


@pytest.mark.parametrize("space", ["l4", "h200"])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_hand_written_settings_are_in_the_space(space: str, seed: tuple[int, ...]) -> None:
    names = ("tile_m", "tile_n", "compute_warps", "prefetch_warps")
    assert len(narrowed(space, **dict(zip(names, seed, strict=True)))) > 0


def test_the_space_that_is_recorded_is_a_part_of_the_h200s_large_enough_and_with_the_best_known_first() -> None:
    whole, part = plan("h200").space, load_space(RECORDED)
    values = {parameter.name: set(parameter.values) for parameter in whole.parameters}
    assert [parameter.name for parameter in part.parameters] == list(values)
    assert all(set(parameter.values) <= values[parameter.name] for parameter in part.parameters)
    made = make_plan(SearchRequest(db="unused.db", space=str(RECORDED), target="sm_90", build_only=True))
    assert made.device is not None
    found = enumerate_valid(made, made.device)
    assert 3_000 <= len(found) <= 3_500 and found.default is not None
    assert found.rules is not None
    rules = Rules(found.rules.parameter_names, whole.constraints, found.rules.device, found.rules.derived)
    assert not any(rules.broken_by(found.configuration(i)) for i in range(0, len(found), 100))


@pytest.mark.parametrize("space", FOR_GPUS, ids=named)
def test_a_search_can_begin_at_every_workload(space: Space) -> None:
    kernel = load_kernel(kernel_folder(space.kernel))
    variant, limits = kernel.variant(space.variant), dict(known_device(str(space.target)).limits)
    names = frozenset(parameter.name for parameter in space.parameters)
    for workload in filter(variant.supports, kernel.workloads):
        rules = Rules(names, space.constraints, limits, partial(variant.derived, workload=workload))
        assert None in [rules.broken_by(default.configuration) for default in space.defaults], workload.name
