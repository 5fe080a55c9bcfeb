"""Choose rows of a table so that every value of every column, and of chosen pairs of columns, occurs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from evotune.space import Space, ValidSet
from evotune.space.rules import Derived, Rules
from evotune_workers.kernel import Configuration

Table = npt.NDArray[np.integer]


def covering_rows(table: Table, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Return the numbers of rows, the same each time, that together have whatever some row of the table has.

    Greedy: next comes the row with the rarest values and pairs that are still missing, since any row may bring the
    others; among equals, one at random.
    """
    order = np.random.default_rng(0).permutation(len(table))
    features = _features(table[order], pairs)
    rows_with = np.bincount(features.ravel())
    missing = np.divide(1.0, rows_with, out=np.zeros(len(rows_with)), where=rows_with > 0)
    chosen: list[int] = []
    while missing.any():
        best = int(missing[features].sum(axis=1).argmax())
        missing[features[best]] = 0
        chosen.append(int(order[best]))
    return chosen


def draw_valid(space: Space, limits: Mapping[str, int], derived: Sequence[Derived], count: int) -> list[ValidSet]:
    """Return for each way to derive quantities the valid ones among `count` configurations, the same each time.

    They are drawn from those that satisfy every constraint on parameters alone. A space of a GPU has half a million of
    these, and what a kernel derives from each would take seconds to compute.
    """
    names = frozenset(each.name for each in space.parameters)
    early = tuple(each for each in space.constraints if each.expression.names <= names)
    whole = replace(space, constraints=early, defaults=()).enumerate(limits)
    rows = np.sort(np.random.default_rng(0).choice(len(whole), min(count, len(whole)), replace=False))
    drawn = [whole.configuration(int(row)) for row in rows]
    return [
        replace(whole, codes=whole.codes[rows[_valid(Rules(names, space.constraints, limits, each), each, drawn)]])
        for each in derived
    ]


def _valid(rules: Rules, derived: Derived, drawn: Sequence[Configuration]) -> npt.NDArray[np.bool]:
    """Return True for each configuration that breaks no constraint with a derived quantity."""
    figures = [{**configuration, **derived(configuration)} for configuration in drawn]
    columns = {name: np.array([each[name] for each in figures]) for name in figures[0]}
    late = [rules.holds(each, columns) for each in rules.constraints if rules.needs_derived(each)]
    holds: npt.NDArray[np.bool] = np.logical_and.reduce([np.ones(len(drawn), dtype=bool), *late])
    return holds


def _features(table: Table, pairs: Sequence[tuple[int, int]]) -> npt.NDArray[np.uint16]:
    """Return a column for each column and each pair, in which no value is also a value of another column."""
    wide = table.astype(np.int64)
    columns = [*wide.T, *(wide[:, one] * (wide[:, other].max() + 1) + wide[:, other] for one, other in pairs)]
    starts = np.cumsum([0, *(column.max() + 1 for column in columns)])
    assert starts[-1] < 2**16
    return np.stack([column + start for column, start in zip(columns, starts, strict=False)], axis=1).astype(np.uint16)
