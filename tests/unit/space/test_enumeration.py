"""Enumerating spaces: all valid configurations and their neighbours, drawn at random against brute force, and fast."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evotune.space import Space, SpaceError, ValidSet, configuration_key
from evotune.space.space_file import parse_space

VALUES = st.one_of(
    st.lists(st.integers(0, 12), min_size=1, max_size=4, unique=True),
    st.lists(st.sampled_from([1, 2, 4, 8, 16]), min_size=1, max_size=4, unique=True),
)
TEMPLATES = st.sampled_from(
    [
        "{a} <= {b}",
        "{a} % {b} == 0",
        "{a} * {b} <= 40",
        "{a} + {b} != 8",
        "{a} == 0 or {b} > 1",
        "{a} > 2",
        "{a} // {b} < 3",
    ]
)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    lists = draw(st.lists(VALUES, min_size=1, max_size=4))
    names = [f"p{j}" for j in range(len(lists))]
    used = st.sampled_from(names)
    constraints = [draw(TEMPLATES).format(a=draw(used), b=draw(used)) for _ in range(draw(st.integers(0, 3)))]
    lines = ["kernel: k", "variant: cpu", "parameters:"]
    lines += [f"  {name}: {values}" for name, values in zip(names, lists, strict=True)]
    lines += ["constraints:"] + [f'  - "{text}"' for text in constraints] if constraints else []
    return parse_space("\n".join(lines), "drawn.yaml")


def brute_force(space: Space) -> list[tuple[object, ...]]:
    def satisfied(row: tuple[object, ...]) -> bool:
        names = {parameter.name: value for parameter, value in zip(space.parameters, row, strict=True)}
        for constraint in space.constraints:
            try:
                if not eval(constraint.expression.text, {}, dict(names)):
                    return False
            except ZeroDivisionError:
                return False
        return True

    return [row for row in itertools.product(*(p.values for p in space.parameters)) if satisfied(row)]


def enumerate_or_none(space: Space) -> ValidSet | None:
    try:
        return space.enumerate({})
    except SpaceError:
        return None


@given(spaces())
@settings(max_examples=80, deadline=None)
def test_enumeration_equals_brute_force(space: Space) -> None:
    valid = enumerate_or_none(space)
    rows = [tuple(valid.configuration(i).values()) for i in range(len(valid))] if valid is not None else []
    assert rows == brute_force(space)


@given(spaces())
@settings(max_examples=60, deadline=None)
def test_neighbours_are_valid_symmetric_and_complete(space: Space) -> None:
    valid = enumerate_or_none(space)
    if valid is None:
        return
    for i in range(0, len(valid), max(1, len(valid) // 10)):
        differ = np.count_nonzero(valid.codes != valid.codes[i], axis=1)
        assert valid.neighbours(i).tolist() == np.flatnonzero(differ == 1).tolist()
        assert all(i in valid.neighbours(int(j)) for j in valid.neighbours(i))


@given(spaces())
@settings(max_examples=60, deadline=None)
def test_a_configuration_and_its_number_convert_both_ways(space: Space) -> None:
    valid = enumerate_or_none(space)
    if valid is None:
        return
    numbers = range(len(valid))
    assert [valid.index(valid.configuration(i)) for i in numbers] == list(numbers)
    assert len({valid.key(i) for i in numbers}) == len(valid)
    assert valid.key(0) == configuration_key(valid.configuration(0))
    outside = {tuple(p.values[0] for p in space.parameters)} - set(brute_force(space))
    for row in outside:
        with pytest.raises(KeyError):
            valid.index(dict(zip((p.name for p in space.parameters), row, strict=True)))


def test_a_huge_product_with_few_valid_configurations_is_enumerated_quickly() -> None:
    lines = [f"  p{j:02}: [0, 1, 2, 3, 4, 5, 6, 7]" for j in range(16)]
    rules = [f'  - "p{j:02} == p{j + 1:02}"' for j in range(15)]
    text = "\n".join(["kernel: k", "variant: cpu", "parameters:", *lines, "constraints:", *rules])
    start = time.perf_counter()
    assert len(parse_space(text, "huge.yaml").enumerate({})) == 8
    assert time.perf_counter() - start < 2


def test_neighbours_of_200_000_configurations_are_found_quickly() -> None:
    lines = [f"  p{j}: [0, 1, 2, 3, 4, 5, 6, 7]" for j in range(6)]
    text = "\n".join(["kernel: k", "variant: cpu", "parameters:", *lines])
    valid = parse_space(text, "large.yaml").enumerate({})
    assert len(valid) == 8**6
    valid.neighbours(0)
    start = time.perf_counter()
    for i in range(100):
        assert len(valid.neighbours(i * 2000)) == 42
    assert (time.perf_counter() - start) / 100 < 0.002
