"""The covariance function of the surrogate: the prior correlation of two configurations.

It is the product over all aspects of (1 - share) + share * Matern 5/2 of the aspect's distance. Expanded, this is a sum
over all sets of aspects, as in Duvenaud, Nickisch and Rasmussen, Additive Gaussian Processes, 2011. With small shares,
effects add up; with large shares, they interact. Parameters have few values, so each contributes a small table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evotune.samplers.aspects import aspects_of
from evotune.samplers.settings import Prior
from evotune.space import Parameter
from evotune.space.quantity import Quantity

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.integer]
# A table of shape (values, values) for each column of codes that has aspects.
Tables = dict[int, Array]

_ROOT_5 = float(np.sqrt(5.0))


@dataclass(frozen=True, eq=False)
class Hyperparameters:
    """For each aspect, the log of its length and the log-odds of its share; the log of the noise's share."""

    log_lengths: Array
    share_odds: Array
    log_noise: float

    @classmethod
    def of(cls, vector: Array) -> Hyperparameters:
        """Create them from one vector: lengths, shares, noise."""
        count = len(vector) // 2
        return cls(vector[:count], vector[count:-1], float(vector[-1]))


class CovarianceFunction:
    """The aspects of all columns of codes.

    `owners[a]` is the column of aspect a, `distances[a]` its table. `sizes[j]` is the number of values of column j.
    """

    def __init__(self, parameters: tuple[Parameter, ...], quantities: tuple[Quantity, ...] = ()) -> None:
        """Collect the aspects of the parameters, then of the quantities, in the order of their columns of codes."""
        pairs = [(j, table) for j, parameter in enumerate(parameters) for table in aspects_of(parameter)]
        behind = enumerate(quantities, start=len(parameters))
        pairs += [(j, quantity.distances) for j, quantity in behind if len(quantity.levels) > 1]
        self.sizes = tuple(len(each.values) for each in parameters) + tuple(len(each.levels) for each in quantities)
        self.owners = [j for j, _ in pairs]
        self.distances = [table for _, table in pairs]

    def prior(self, prior: Prior) -> tuple[Array, Array]:
        """Return the prior means and standard deviations of the vector of hyperparameters."""
        count = len(self.owners)
        means = np.repeat([prior.length_mean, prior.share_mean, prior.noise_mean], [count, count, 1])
        return means, np.repeat(
            [prior.length_deviation, prior.share_deviation, prior.noise_deviation], [count, count, 1]
        )

    def tables(self, hyper: Hyperparameters) -> Tables:
        """Return each column's factor of the correlation, as a table over pairs of its values."""
        tables = {j: np.ones((self.sizes[j], self.sizes[j])) for j in self.owners}
        for a, j in enumerate(self.owners):
            tables[j] *= _factor(self.distances[a], hyper, a)
        return tables

    def slopes(self, hyper: Hyperparameters) -> list[tuple[Array, Array]]:
        """Return the derivatives of the logarithm of each aspect's factor, by log length and by log-odds."""
        return [_slopes(table, hyper, a) for a, table in enumerate(self.distances)]


def correlation(tables: Tables, left: Codes, right: Codes) -> Array:
    """Return the correlations of rows of codes, shapes (m, columns) and (n, columns) -> (m, n)."""
    product = np.ones((len(left), len(right)))
    for j, table in tables.items():
        product *= np.take(table[left[:, j]], right[:, j], axis=1)
    return product


def _factor(distances: Array, hyper: Hyperparameters, a: int) -> Array:
    return np.asarray(1.0 - _share(hyper, a) * (1.0 - _matern(_scaled(distances, hyper, a))))


def _slopes(distances: Array, hyper: Hyperparameters, a: int) -> tuple[Array, Array]:
    scaled, share = _scaled(distances, hyper, a), _share(hyper, a)
    factor = _factor(distances, hyper, a)
    by_length = share * (scaled**2 / 3.0) * (1.0 + scaled) * np.exp(-scaled)
    by_odds = -share * (1.0 - share) * (1.0 - _matern(scaled))
    return by_length / factor, by_odds / factor


def _scaled(distances: Array, hyper: Hyperparameters, a: int) -> Array:
    return np.asarray(_ROOT_5 * np.exp(-hyper.log_lengths[a]) * distances)


def _share(hyper: Hyperparameters, a: int) -> float:
    return float(1.0 / (1.0 + np.exp(-hyper.share_odds[a])))


def _matern(scaled: Array) -> Array:
    """Compute Matern 5/2 (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, eq. 4.17)."""
    return np.asarray((1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled))
