"""A sample of the built-in spaces: every value occurs, and every pair of values that touch the same code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, product

import numpy as np

from evotune.planning.locate import kernel_folder, space_file
from evotune.space import Space, ValidSet, load_space
from evotune.space.rules import Rules
from evotune_workers.kernel import Configuration, Value, Workload
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.kernel.targets import known_device
from tests.support.covering import Table, covering_rows, draw_valid

FOLDER = kernel_folder("attention_fwd")
KERNEL = load_kernel(FOLDER)
VARIANT = KERNEL.variant("sm80")
# By head size; each is built in both element types.
WORKLOADS = (named_workload(KERNEL, "mission"), named_workload(KERNEL, "wide"))
ELEMENTS = ("float16", "bfloat16")
# The sample of a space goes to these in turn, its defaults to all. h200 has thread-block clusters, which sm_90 brought.
TARGETS = {"l4": ("sm_80", "sm_89", "sm_90"), "h200": ("sm_90",)}
EACH_OF_A_FORM = 6
# Every value, and every pair below, that a space has is among so many of its configurations.
DRAWN = 20_000
HEAD_SIZE, SPACE = "head size", "space"
RISKY_PAIRS = (
    ("prefetch_warps", "stages"),
    ("prefetch_warps", "persistent"),
    ("prefetch_warps", "q_in_registers"),
    ("kv_warps", "split_kv"),
    ("overlap_scores", "step_n"),
    (HEAD_SIZE, "prefetch_warps"),
    (HEAD_SIZE, "q_in_registers"),
    (HEAD_SIZE, "overlap_scores"),
)


@dataclass(frozen=True)
class Case:
    """One build to make."""

    space: str
    configuration: Configuration
    workload: Workload
    target: str
    default: bool
    form: str | None = None

    @property
    def macros(self) -> dict[str, Value]:
        changed = VARIANT.forms[self.form] if self.form is not None else {}
        return {**KERNEL.macros(VARIANT, self.configuration, self.workload), **changed}


@dataclass(frozen=True)
class Drawn:
    """Configurations of a space that are valid at a workload's head size."""

    space: str
    workload: Workload
    valid: ValidSet


def sampled_cases() -> list[Case]:
    """Return the sample and the defaults, then some of them again in each other form of a build."""
    measured = list(measured_cases())
    # Forms differ in how tensors are addressed alone.
    others = [replace(case, form=form, default=False) for form in VARIANT.forms for case in measured[::EACH_OF_A_FORM]]
    return [*measured, *others]


def measured_cases() -> Iterator[Case]:
    """Yield the sample of the spaces, then each one's defaults by head size, element type and target."""
    drawn = [each for name in TARGETS for each in draw(name)]
    targets = {name: cycle(of_space) for name, of_space in TARGETS.items()}
    elements = {each.name: cycle(ELEMENTS) for each in WORKLOADS}
    for each, row in sample(drawn):
        workload = replace(each.workload, dtype=next(elements[each.workload.name]))
        yield Case(each.space, each.valid.configuration(row), workload, next(targets[each.space]), default=False)
    for name, of_space in TARGETS.items():
        defaults = [first_valid_default(name, workload) for workload in WORKLOADS]
        for (default, workload), element, target in product(zip(defaults, WORKLOADS, strict=True), ELEMENTS, of_space):
            yield Case(name, default, replace(workload, dtype=element), target, default=True)


def draw(name: str) -> list[Drawn]:
    space, limits = space_and_limits(name)
    derived = [partial(VARIANT.derived, workload=workload) for workload in WORKLOADS]
    sets = draw_valid(space, limits, derived, DRAWN)
    return [Drawn(name, workload, valid) for workload, valid in zip(WORKLOADS, sets, strict=True)]


def first_valid_default(name: str, workload: Workload) -> Configuration:
    space, limits = space_and_limits(name)
    names = frozenset(each.name for each in space.parameters)
    rules = Rules(names, space.constraints, limits, partial(VARIANT.derived, workload=workload))
    return next(each.configuration for each in space.defaults if rules.broken_by(each.configuration) is None)


def space_and_limits(name: str) -> tuple[Space, Mapping[str, int]]:
    space = load_space(space_file("attention_fwd", name))
    assert space.target is not None
    return space, known_device(space.target).limits


def sample(drawn: list[Drawn]) -> Iterator[tuple[Drawn, int]]:
    """Yield chosen rows, each with the set that it is of.

    They have all values of each space, and the pairs of all spaces together: pairs are the same code in each.
    """
    names = [*(parameter.name for parameter in drawn[0].valid.parameters), HEAD_SIZE, SPACE]
    table = np.concatenate([numbered(each, drawn) for each in drawn])
    pairs = [*RISKY_PAIRS, *((name, SPACE) for name in names[:-1])]
    starts = np.cumsum([0, *(len(each.valid) for each in drawn)])
    for row in covering_rows(table, [(names.index(one), names.index(other)) for one, other in pairs]):
        number = int(np.searchsorted(starts, row, side="right")) - 1
        yield drawn[number], int(row - starts[number])


def numbered(each: Drawn, drawn: list[Drawn]) -> Table:
    """Return its rows with a value's number among those of all spaces, then the numbers of head size and space."""
    columns = []
    for place, parameter in enumerate(each.valid.parameters):
        everywhere = list(dict.fromkeys(value for one in drawn for value in one.valid.parameters[place].values))
        columns.append(np.array([everywhere.index(value) for value in parameter.values])[each.valid.codes[:, place]])
    own = (WORKLOADS.index(each.workload), list(TARGETS).index(each.space))
    return np.column_stack([*columns, *(np.full(len(each.valid), number) for number in own)])
