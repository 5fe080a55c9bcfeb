"""A quantity that a kernel derives from a configuration, as input of a surrogate: shared memory of a block, say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# More distinct values are binned into levels of about equally many configurations. A surrogate with some hundred
# observations cannot distinguish more.
MOST_LEVELS = 16


@dataclass(frozen=True, eq=False)
class Quantity:
    """One quantity over a valid set: `levels` are ascending, and configuration i has `levels[codes[i]]`."""

    name: str
    levels: npt.NDArray[np.float64]
    codes: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, name: str, column: npt.NDArray[np.float64]) -> Quantity:
        """Create it from the value of every configuration."""
        levels, codes = np.unique(column, return_inverse=True)
        if len(levels) > MOST_LEVELS:
            within = np.linspace(0, 1, MOST_LEVELS + 1)[1:-1]
            edges = np.unique(np.quantile(column, within, method="higher"))
            bins, codes = np.unique(np.searchsorted(edges, column, side="right"), return_inverse=True)
            levels = np.array([np.median(column[codes == code]) for code in range(len(bins))])
        return cls(name, levels, codes.astype(np.uint8))

    @property
    def distances(self) -> npt.NDArray[np.float64]:
        """The distances between the logarithms of levels, shape (levels, levels); the largest is 1."""
        logs = np.log1p(self.levels - min(float(self.levels[0]), 0.0))
        extent = float(np.ptp(logs)) or 1.0
        return np.asarray(np.abs(logs[:, np.newaxis] - logs) / extent)
