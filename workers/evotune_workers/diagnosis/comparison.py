"""Comparison of a stage's values with the exact ones: size, number and position of the errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evotune_workers.kernel.contract import StageValues

if TYPE_CHECKING:
    import torch

# A map has at most this many characters on a side; in a larger one, a character stands for several tiles.
MAP_SIDE = 64
# Number of different maps shown, over all slices: more would distract from the first.
MAPS_SHOWN = 4
RIGHT, WRONG = ".", "X"


@dataclass(frozen=True)
class Comparison:
    """Errors of a stage's values; an error is NaN or infinite where a value is.

    `wrong` counts the wrong values, `first_wrong` is the index of the first. `max_error` and `limit` are those of the
    value closest to its limit, or furthest past it.
    """

    max_error: float
    limit: float
    rms_error: float
    wrong: int
    first_wrong: tuple[int, ...] | None
    tile_map: str


def compare(values: StageValues, tile: tuple[int, int]) -> Comparison:
    """Compare every value; `tile` is the tile of the map."""
    error = (values.found - values.expected).abs()
    # The difference of two infinities is NaN.
    error = error.masked_fill(values.found == values.expected, 0.0)
    limits = values.limits.expand_as(error)
    bad = ~(error <= limits)
    wrong, worst = int(bad.sum()), _worst(error, limits)
    return Comparison(
        max_error=float(error.flatten()[worst]),
        limit=float(limits.flatten()[worst]),
        rms_error=float(error.pow(2).mean().sqrt()),
        wrong=wrong,
        first_wrong=_first(bad) if wrong else None,
        tile_map=tile_map(bad, tile) if wrong else "",
    )


def tile_map(bad: torch.Tensor, tile: tuple[int, int]) -> str:
    """Draw the tiles of the last two dimensions that hold a wrong value: a character per tile, a line per row of tiles.

    Slices, counted over the leading dimensions, share a map if theirs are equal; slices without a wrong value are left
    out. The first line gives the number of values per character.
    """
    slices = bad.reshape(-1, *_two_dimensions(bad.shape))
    size = tuple(_size(length, side) for length, side in zip(slices.shape[1:], tile, strict=True))
    maps: dict[str, list[int]] = {}
    for number, marks in enumerate(_any_in_tiles(slices, size).tolist()):
        text = "\n".join("".join(WRONG if mark else RIGHT for mark in row) for row in marks)
        if WRONG in text:
            maps.setdefault(text, []).append(number)
    return "\n".join([f"{WRONG}: wrong; a character is {size[0]} x {size[1]} values", *_shown(maps, len(slices))])


def _shown(maps: dict[str, list[int]], slices: int) -> list[str]:
    lines = []
    for text, numbers in list(maps.items())[:MAPS_SHOWN]:
        if slices > 1:
            lines.append(f"{_ranges(numbers)} of {slices}:")
        lines.append(text)
    left = len(maps) - MAPS_SHOWN
    return [*lines, f"and {left} other maps"] if left > 0 else lines


def _worst(error: torch.Tensor, limits: torch.Tensor) -> int:
    excess = error - limits
    return int(excess.masked_fill(excess.isnan(), math.inf).argmax())


def _first(bad: torch.Tensor) -> tuple[int, ...]:
    flat = int(bad.flatten().byte().argmax())
    return tuple(int(place) for place in np.unravel_index(flat, tuple(bad.shape)))


def _two_dimensions(shape: Sequence[int]) -> tuple[int, int]:
    rows, columns = (1, 1, *shape)[-2:]
    return rows, columns


def _size(length: int, tile: int) -> int:
    """Return the values per character: the tile's side, or a multiple of it where the map would be too large."""
    return tile * max(1, math.ceil(length / (tile * MAP_SIDE)))


def _any_in_tiles(slices: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    count, rows, columns = slices.shape
    down, across = -(-rows // size[0]), -(-columns // size[1])
    padded = slices.new_zeros(count, down * size[0], across * size[1])
    padded[:, :rows, :columns] = slices
    return padded.view(count, down, size[0], across, size[1]).any(dim=4).any(dim=2)


def _ranges(numbers: Sequence[int]) -> str:
    """Return numbers as ranges: `0-3, 5` for 0, 1, 2, 3, 5."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
