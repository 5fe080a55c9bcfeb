"""A Gaussian process over a valid set: what is expected of an unseen configuration, and how surely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack

from evotune.samplers.aspects import unevenness
from evotune.samplers.covariance import Hyperparameters, Kernel, Tables, correlation
from evotune.samplers.fitting import JITTER
from evotune.samplers.settings import Prior
from evotune.space import ValidSet
from evotune.space.quantity import Quantity

Array = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]

# Columns are joined into groups of at most so many combinations of values, whose correlations are tabulated.
_MOST_COMBINATIONS = 300
_BLOCK_BYTES = 256 << 10


class Terrain:
    """A valid set as a surrogate sees it: `codes` by parameters, then by `quantities`.

    `trend`: how much slower than others each is expected to be beforehand.
    """

    def __init__(self, valid: ValidSet, prior: Prior, quantities: tuple[Quantity, ...] = ()) -> None:
        """The terrain of one valid set."""
        self.codes = np.column_stack([valid.codes, *(quantity.codes for quantity in quantities)])
        self.kernel = Kernel(valid.parameters, quantities)
        self.trend = np.zeros(len(valid), dtype=np.float32)
        for j, parameter in enumerate(valid.parameters):
            self.trend += (prior.unevenness_cost * unevenness(parameter)).astype(np.float32)[valid.codes[:, j]]
        self.groups = [_Group.of(members, self) for members in _grouped(self.kernel)]


@dataclass(frozen=True, eq=False)
class _Group:
    """Some columns. `combinations`: shape (combinations, members); `places[i]`: that of configuration i."""

    members: list[int]
    combinations: npt.NDArray[np.int64]
    places: npt.NDArray[np.uint16]

    @classmethod
    def of(cls, members: list[int], terrain: Terrain) -> _Group:
        shape = [terrain.kernel.sizes[j] for j in members]
        combinations = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=1)
        places = np.zeros(len(terrain.codes), dtype=np.uint16)
        for j, size in zip(members, shape, strict=True):
            places = places * np.uint16(size) + terrain.codes[:, j].astype(np.uint16)
        return cls(members, combinations, places)

    def tabulate(self, tables: Tables, codes: npt.NDArray[np.integer]) -> Singles:
        """The members' part of the correlation of every combination with rows of codes."""
        product = np.ones((len(self.combinations), len(codes)))
        for column, j in enumerate(self.members):
            product *= tables[j][self.combinations[:, column][:, np.newaxis], codes[:, j]]
        return product.astype(np.float32)


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """A process given observations, in their units. `signal`: variance far from them; `nugget`: the noise's share."""

    terrain: Terrain
    tabulated: list[Singles]
    weights: Singles
    inverse_factor: Singles
    signal: float
    mean: float
    trend: Singles
    nugget: float

    def correlations(self, configurations: Numbers) -> Singles:
        """Of configurations with the observations, shape (m, n)."""
        product = np.ones((len(configurations), len(self.weights)), dtype=np.float32)
        places = [group.places[configurations] for group in self.terrain.groups]
        # As many rows at once as stay in a core's cache while they are multiplied.
        rows = max(1, _BLOCK_BYTES // max(1, product[:1].nbytes))
        factor = np.empty((min(rows, len(product)), len(self.weights)), dtype=np.float32)
        for begin in range(0, len(product), rows):
            block = product[begin : begin + rows]
            for table, place in zip(self.tabulated, places, strict=True):
                # "raise" would make a copy first; every place is in the table.
                np.take(table, place[begin : begin + rows], axis=0, out=factor[: len(block)], mode="clip")
                block *= factor[: len(block)]
        return product

    def means(self, configurations: Numbers, correlations: Singles) -> Array:
        """What is expected of each."""
        found = correlations @ self.weights + self.trend[configurations]
        return found.astype(np.float64) + self.mean

    def deviations(self, correlations: Singles) -> Array:
        """The standard deviation of each."""
        explained = np.square(correlations @ self.inverse_factor.T).sum(axis=1).astype(np.float64)
        return np.asarray(np.sqrt(self.signal * np.maximum(1.0 - explained, 1e-9)))

    def deviation_bounds(self, correlations: Singles) -> Array:
        """Upper bounds of the standard deviations, from the most similar observation alone: cheap."""
        explained = np.square(correlations.max(axis=1)).astype(np.float64) / (1.0 + self.nugget)
        return np.asarray(np.sqrt(self.signal * np.maximum(1.0 - explained, 1e-9)))

    def predict(self, configurations: Numbers) -> tuple[Array, Array]:
        """Mean and standard deviation of each."""
        correlations = self.correlations(configurations)
        return self.means(configurations, correlations), self.deviations(correlations)


def condition(
    terrain: Terrain,
    configurations: Numbers,
    values: Array,
    hyper: Hyperparameters,
    prior: Prior,
    trend: Singles,
    fewer: GaussianProcess | None = None,
) -> GaussianProcess:
    """The process given the values of these configurations, about a weighted `trend` over the whole set.

    `fewer`: the process given the first of them, with the same hyperparameters, of which tables are taken over.
    """
    codes = terrain.codes[configurations]
    tables = terrain.kernel.tables(hyper)
    trend = trend * np.float32(trend_weight(values, trend[configurations], prior))
    residuals = values - trend[configurations]
    mean = float(residuals.mean())
    noise = float(np.exp(hyper.log_noise)) + JITTER
    covariance = correlation(tables, codes, codes) + noise * np.eye(len(values))
    inverse_factor = np.asarray(lapack.dtrtri(np.linalg.cholesky(covariance), lower=1)[0])
    weights = inverse_factor.T @ (inverse_factor @ (residuals - mean))
    signal = ((residuals - mean) @ weights + prior.observations) / (len(values) + prior.observations)
    return GaussianProcess(
        terrain,
        _tabulated(terrain, tables, codes, fewer),
        weights.astype(np.float32),
        inverse_factor.astype(np.float32),
        float(signal),
        mean,
        trend,
        noise,
    )


def _tabulated(
    terrain: Terrain, tables: Tables, codes: npt.NDArray[np.integer], fewer: GaussianProcess | None
) -> list[Singles]:
    if fewer is None:
        return [group.tabulate(tables, codes) for group in terrain.groups]
    more = codes[len(fewer.weights) :]
    return [
        np.concatenate([table, group.tabulate(tables, more)], axis=1)
        for group, table in zip(terrain.groups, fewer.tabulated, strict=True)
    ]


def trend_weight(values: Array, trend: Singles, prior: Prior) -> float:
    """How much of the trend holds: 1 beforehand, moved towards its least-squares slope by what was observed."""
    centred = trend.astype(np.float64) - trend.mean()
    believed = prior.unevenness_observations * prior.unevenness_cost**2
    total = believed + float(centred @ centred)
    return (believed + float(centred @ (values - values.mean()))) / total if total > 0 else 1.0


def _grouped(kernel: Kernel) -> list[list[int]]:
    groups: list[list[int]] = []
    combinations = _MOST_COMBINATIONS + 1
    for j in sorted(set(kernel.owners)):
        combinations *= kernel.sizes[j]
        if combinations > _MOST_COMBINATIONS:
            groups.append([])
            combinations = kernel.sizes[j]
        groups[-1].append(j)
    return groups
