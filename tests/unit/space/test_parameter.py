"""Parameters of a space: kinds, neighbours, encoding, and quantities that follow from them."""

from __future__ import annotations

import numpy as np
import pytest

from evotune.space import Parameter, infer_kind
from evotune.space.quantity import MOST_LEVELS, Quantity


def test_true_and_one_are_different_values() -> None:
    flag = Parameter("flag", (False, True), "boolean")
    assert flag.code(True) == 1
    with pytest.raises(KeyError):
        flag.code(1)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([True, False], "boolean"),
        ([1, 2, 16], "power_of_two"),
        ([0, 1, 2], "ordered"),
        ([48, 16], "ordered"),
        (["a", "b"], "categorical"),
    ],
)
def test_the_kind_follows_from_the_values(values: list[bool | int | str], kind: str) -> None:
    assert infer_kind(values) == kind


def test_encoding_puts_the_farthest_values_one_apart() -> None:
    assert Parameter("tile", (16, 32, 256), "power_of_two").encoding.tolist() == [[0.0], [0.25], [1.0]]
    assert Parameter("flag", (False, True), "boolean").encoding.tolist() == [[0.0], [1.0]]
    left, _, right = Parameter("p", ("a", "b", "c"), "categorical").encoding
    assert np.linalg.norm(left - right) == pytest.approx(1.0)
    assert Parameter("one", (7,), "ordered").encoding.tolist() == [[0.0]]


def test_of_many_values_of_a_quantity_each_level_stands_for_as_many_configurations() -> None:
    column = np.random.default_rng(0).permutation(10_000).astype(float)
    quantity = Quantity.of("bytes", column)
    counts = np.bincount(quantity.codes)
    assert len(counts) == len(quantity.levels) == MOST_LEVELS
    assert counts.min() > 0.9 * counts.max()
    assert (np.diff(quantity.levels) > 0).all()
    assert quantity.distances.max() == 1 and (np.diag(quantity.distances) == 0).all()
