"""What a kernel derives from configurations, for a surrogate: shared memory or threads of a block, say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Of more different values, each level stands for as many configurations: a surrogate of some hundred outcomes tells no
# more of them apart.
MOST_LEVELS = 16


@dataclass(frozen=True, eq=False)
class Quantity:
    """One quantity over a valid set: `levels` are ascending, `codes[i]` is the place of configuration i among them."""

    name: str
    levels: npt.NDArray[np.float64]
    codes: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, name: str, column: npt.NDArray[np.float64]) -> Quantity:
        """From the quantity of every configuration."""
        levels, codes = np.unique(column, return_inverse=True)
        if len(levels) > MOST_LEVELS:
            within = np.linspace(0, 1, MOST_LEVELS + 1)[1:-1]
            edges = np.unique(np.quantile(column, within, method="higher"))
            places, codes = np.unique(np.searchsorted(edges, column, side="right"), return_inverse=True)
            levels = np.array([np.median(column[codes == place]) for place in range(len(places))])
        return cls(name, levels, codes.astype(np.uint8))

    @property
    def distances(self) -> npt.NDArray[np.float64]:
        """Between levels, in their logarithms, the two farthest ones 1 apart; shape (levels, levels)."""
        logs = np.log1p(self.levels - min(float(self.levels[0]), 0.0))
        extent = float(np.ptp(logs)) or 1.0
        return np.asarray(np.abs(logs[:, np.newaxis] - logs) / extent)
