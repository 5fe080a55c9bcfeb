"""What values of a parameter can have in common, as distances, each between 0 and 1: a surrogate learns which counts.

Sizes are near each other or not; they also share factors of two or do not. A block of 48 behaves like one of 64 in the
first respect, like one of 80 in the second and like neither in how it divides a power of two.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evotune.space import Parameter

Array = npt.NDArray[np.float64]

# Beyond 64, another factor of two aligns nothing more: a warp has 32 or 64 lanes.
_MOST_TWOS = 6


def aspects_of(parameter: Parameter) -> list[Array]:
    """Tables of distances between values, each of shape (values, values); none for a parameter of one value."""
    size = len(parameter.values)
    if size < 2:
        return []
    if not parameter.is_scale:
        return [1.0 - np.eye(size)]
    scale = parameter.encoding[:, 0].astype(np.float64)
    columns = [scale, *_divisibility(parameter)]
    return [np.abs(column[:, np.newaxis] - column) for column in columns if np.ptp(column) > 0]


def unevenness(parameter: Parameter) -> Array:
    """0 for a power of two, near 1 for a value with a large odd factor; 0 for all where it is no matter of size."""
    if not _divisible(parameter):
        return np.zeros(len(parameter.values))
    return np.array([1.0 - 1.0 / _odd_factor(int(value)) for value in parameter.values])


def _divisibility(parameter: Parameter) -> list[Array]:
    if not _divisible(parameter):
        return []
    twos = [min(_twos(int(value)), _MOST_TWOS) / _MOST_TWOS for value in parameter.values]
    return [np.array(twos), unevenness(parameter)]


def _divisible(parameter: Parameter) -> bool:
    """Two values are a switch, and powers of two are all even."""
    return parameter.kind == "ordered" and len(parameter.values) > 2


def _twos(value: int) -> int:
    """How often 2 divides a value; 0 is not divided."""
    return (value & -value).bit_length() - 1 if value else 0


def _odd_factor(value: int) -> int:
    return abs(value) >> _twos(value) if value else 1
