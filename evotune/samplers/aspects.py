"""Aspects in which the values of a parameter can be similar, each as a table of distances between 0 and 1.

The surrogate learns the weight of each aspect. Two sizes can be close to each other, and they can have factors of two
in common. A block of 48 is close to one of 64 in size. It has as many factors of two as one of 80. Its odd factor
differs from both.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evotune.space import Parameter

Array = npt.NDArray[np.float64]

# Beyond 64, further factors of two improve no alignment: a warp has 32 or 64 lanes.
_MOST_TWOS = 6


def aspects_of(parameter: Parameter) -> list[Array]:
    """Return tables of distances between values, each of shape (values, values); none if there is one value only."""
    size = len(parameter.values)
    if size < 2:
        return []
    if not parameter.is_scale:
        return [1.0 - np.eye(size)]
    scale = parameter.encoding[:, 0].astype(np.float64)
    columns = [scale, *_divisibility(parameter)]
    return [np.abs(column[:, np.newaxis] - column) for column in columns if np.ptp(column) > 0]


def unevenness(parameter: Parameter) -> Array:
    """Return the unevenness of each value: 0 for a power of two, near 1 for a large odd factor.

    It is 0 for all values of a parameter that is not ordered.
    """
    if not _divisible(parameter):
        return np.zeros(len(parameter.values))
    return np.array([1.0 - 1.0 / _odd_factor(int(value)) for value in parameter.values])


def _divisibility(parameter: Parameter) -> list[Array]:
    if not _divisible(parameter):
        return []
    twos = [min(_twos(int(value)), _MOST_TWOS) / _MOST_TWOS for value in parameter.values]
    return [np.array(twos), unevenness(parameter)]


def _divisible(parameter: Parameter) -> bool:
    """Return True if divisibility can matter: two values act as a switch, and powers of two have no odd factor."""
    return parameter.kind == "ordered" and len(parameter.values) > 2


def _twos(value: int) -> int:
    """Return the number of factors of two in a value, 0 for the value 0."""
    return (value & -value).bit_length() - 1 if value else 0


def _odd_factor(value: int) -> int:
    return abs(value) >> _twos(value) if value else 1
