"""The space that the benchmark gives Kernel Tuner: exactly the valid configurations of evotune's own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.beside_kernel_tuner.space import from_tuner, to_tuner, tuner_space
from evotune.planning.locate import kernel_folder, space_file
from evotune.space import load_space
from evotune.space.rules import Rules
from evotune_workers.kernel import Value
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.kernel.targets import known_device

SPACE = load_space(space_file("attention_fwd", "h200"))
KERNEL = load_kernel(kernel_folder("attention_fwd"))
MISSION = named_workload(KERNEL, "mission")
LIMITS = known_device("sm_90").limits
RULES = Rules(
    frozenset(parameter.name for parameter in SPACE.parameters),
    SPACE.constraints,
    dict(LIMITS),
    partial(KERNEL.variant("sm80").derived, workload=MISSION),
)
TUNER = tuner_space(SPACE, MISSION, LIMITS)
RESTRICTIONS = [compile(restriction, restriction, "eval") for restriction in TUNER.restrictions]
SAMPLE = 2000
STEPS = 12


def satisfied(restriction: Any, parameters: dict[str, Value]) -> bool:
    return bool(eval(restriction, {"max": max}, parameters))  # as Kernel Tuner's solver does


def valid_for_kernel_tuner(parameters: dict[str, Value]) -> bool:
    listed = all(value in TUNER.parameters[name] for name, value in parameters.items())
    return listed and all(satisfied(restriction, parameters) for restriction in RESTRICTIONS)


def sampled() -> Iterator[dict[str, Value]]:
    """Of the product of all values; warps that share rows evenly, as the derived quantities need them."""
    rng, count = np.random.default_rng(0), 0
    while count < SAMPLE:
        configuration = {each.name: each.values[int(rng.integers(len(each.values)))] for each in SPACE.parameters}
        if int(configuration["compute_warps"]) % int(configuration["kv_warps"]) == 0:
            count += 1
            yield configuration


def changed(configuration: dict[str, Value]) -> list[dict[str, Value]]:
    """Every configuration that differs in one parameter."""
    return [
        {**configuration, parameter.name: value}
        for parameter in SPACE.parameters
        for value in parameter.values
        if value != configuration[parameter.name]
    ]


def test_each_restriction_holds_where_its_constraint_does() -> None:
    configurations = list(sampled())
    for constraint, restriction in zip(SPACE.constraints, RESTRICTIONS, strict=False):
        names = constraint.expression.names
        figures = [{**each, **(RULES.derived(each) if RULES.derived else {})} for each in configurations]
        columns = {name: np.array([row[name] for row in figures]) for name in names}
        expected = np.broadcast_to(RULES.holds(constraint, columns), SAMPLE)
        found = [satisfied(restriction, to_tuner(configuration)) for configuration in configurations]
        assert found == expected.tolist(), constraint.expression.text


def test_the_same_configurations_are_valid_around_valid_ones() -> None:
    rng = np.random.default_rng(1)
    configuration = dict(SPACE.default or {})
    met: dict[str, set[Value]] = {parameter.name: set() for parameter in SPACE.parameters}
    for _ in range(STEPS):
        around = changed(configuration)
        valid = [RULES.broken_by(each) is None for each in around]
        assert [valid_for_kernel_tuner(to_tuner(each)) for each in around] == valid
        for each in around:
            for name, value in each.items():
                met[name].add(value)
        neighbours = [each for each, is_valid in zip(around, valid, strict=True) if is_valid]
        configuration = neighbours[int(rng.integers(len(neighbours)))]
    assert met == {parameter.name: set(parameter.values) for parameter in SPACE.parameters}


def test_a_block_size_whose_compute_warps_no_value_has_is_refused() -> None:
    [default] = SPACE.defaults[:1]
    parameters = to_tuner(default.configuration)
    allowed = [
        size
        for size in TUNER.parameters["block_size_x"]
        if satisfied(RESTRICTIONS[-1], {**parameters, "block_size_x": size})
    ]
    [compute_warps] = [parameter for parameter in SPACE.parameters if parameter.name == "compute_warps"]
    assert allowed == [32 * (int(warps) + int(parameters["prefetch_warps"])) for warps in compute_warps.values]


def test_a_configuration_comes_back_as_it_went() -> None:
    for configuration in sampled():
        assert from_tuner(to_tuner(configuration)) == configuration
