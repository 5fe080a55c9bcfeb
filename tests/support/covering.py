"""Choosing rows of a table so that every value of every column, and of chosen pairs of columns, occurs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.integer]


def covering_rows(table: Table, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Numbers of rows, the same each time, that have whatever some row of the table has.

    Greedy: next comes a row with the most values and pairs that are still missing; among equals, one at random.
    """
    order = np.random.default_rng(0).permutation(len(table))
    features = _features(table[order], pairs)
    missing = np.zeros(int(features.max()) + 1, dtype=bool)
    missing[features] = True
    chosen: list[int] = []
    while missing.any():
        best = int(missing[features].sum(axis=1).argmax())
        missing[features[best]] = False
        chosen.append(int(order[best]))
    return chosen


def _features(table: Table, pairs: Sequence[tuple[int, int]]) -> npt.NDArray[np.uint16]:
    """A column for each column and each pair, in which no value is also a value of another column."""
    wide = table.astype(np.int64)
    columns = [*wide.T, *(wide[:, one] * (wide[:, other].max() + 1) + wide[:, other] for one, other in pairs)]
    starts = np.cumsum([0, *(column.max() + 1 for column in columns)])
    assert starts[-1] < 2**16
    return np.stack([column + start for column, start in zip(columns, starts, strict=False)], axis=1).astype(np.uint16)
