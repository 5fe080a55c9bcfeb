"""A Gaussian process over a valid set: predict the mean and the standard deviation of unseen configurations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack

from evotune.samplers.aspects import unevenness
from evotune.samplers.covariance import CovarianceFunction, Hyperparameters, Tables, correlation
from evotune.samplers.fitting import JITTER
from evotune.samplers.settings import Prior
from evotune.space import ValidSet
from evotune.space.quantity import Quantity

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]

# Columns are joined into groups with at most this many combinations of values, whose correlations are tabulated.
_MOST_COMBINATIONS = 300
_BLOCK_BYTES = 256 << 10


class SurrogateInputs:
    """A valid set as input of a surrogate: columns of `codes` for the parameters, then for the `quantities`.

    `trend`: the prior mean of each configuration; a higher value is slower.
    """

    def __init__(self, valid: ValidSet, prior: Prior, quantities: tuple[Quantity, ...] = ()) -> None:
        """Compute codes, covariance function and trend of a valid set."""
        self.codes = np.column_stack([valid.codes, *(quantity.codes for quantity in quantities)])
        self.covariance = CovarianceFunction(valid.parameters, quantities)
        self.trend = np.zeros(len(valid), dtype=np.float32)
        for j, parameter in enumerate(valid.parameters):
            self.trend += (prior.unevenness_cost * unevenness(parameter)).astype(np.float32)[valid.codes[:, j]]
        self.groups = [_Group.of(members, self) for members in _grouped(self.covariance)]


@dataclass(frozen=True, eq=False)
class _Group:
    """Some columns of codes, `members`, with all combinations of their values, shape (combinations, members).

    `positions[i]` is the combination of configuration i.
    """

    members: list[int]
    combinations: npt.NDArray[np.int64]
    positions: npt.NDArray[np.uint16]

    @classmethod
    def of(cls, members: list[int], inputs: SurrogateInputs) -> _Group:
        shape = [inputs.covariance.sizes[j] for j in members]
        combinations = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=1)
        positions = np.zeros(len(inputs.codes), dtype=np.uint16)
        for j, size in zip(members, shape, strict=True):
            positions = positions * np.uint16(size) + inputs.codes[:, j].astype(np.uint16)
        return cls(members, combinations, positions)

    def tabulate(self, tables: Tables, codes: npt.NDArray[np.integer]) -> Float32Array:
        """Return the members' factor of the correlation of every combination with rows of codes."""
        product = np.ones((len(self.combinations), len(codes)))
        for column, j in enumerate(self.members):
            product *= tables[j][self.combinations[:, column][:, np.newaxis], codes[:, j]]
        return product.astype(np.float32)


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """A process conditioned on observations, in their units.

    `signal`: the variance far from all observations. `nugget`: the noise as a share of it.
    """

    inputs: SurrogateInputs
    tabulated: list[Float32Array]
    weights: Float32Array
    inverse_factor: Float32Array
    signal: float
    mean: float
    trend: Float32Array
    nugget: float

    def correlations(self, configurations: Indices) -> Float32Array:
        """Return the correlations of configurations with the observations, shape (m, n)."""
        product = np.ones((len(configurations), len(self.weights)), dtype=np.float32)
        positions = [group.positions[configurations] for group in self.inputs.groups]
        # Multiply as many rows at once as fit into a core's cache.
        rows = max(1, _BLOCK_BYTES // max(1, product[:1].nbytes))
        factor = np.empty((min(rows, len(product)), len(self.weights)), dtype=np.float32)
        for begin in range(0, len(product), rows):
            block = product[begin : begin + rows]
            for table, position in zip(self.tabulated, positions, strict=True):
                # mode="raise" would copy first, and every position is in the table.
                np.take(table, position[begin : begin + rows], axis=0, out=factor[: len(block)], mode="clip")
                block *= factor[: len(block)]
        return product

    def means(self, configurations: Indices, correlations: Float32Array) -> Array:
        """Return the mean of each configuration."""
        found = correlations @ self.weights + self.trend[configurations]
        return found.astype(np.float64) + self.mean

    def deviations(self, correlations: Float32Array) -> Array:
        """Return the standard deviation of each configuration."""
        explained = np.square(correlations @ self.inverse_factor.T).sum(axis=1).astype(np.float64)
        return np.asarray(np.sqrt(self.signal * np.maximum(1.0 - explained, 1e-9)))

    def deviation_bounds(self, correlations: Float32Array) -> Array:
        """Return cheap upper bounds of the standard deviations, from the most similar observation alone."""
        explained = np.square(correlations.max(axis=1)).astype(np.float64) / (1.0 + self.nugget)
        return np.asarray(np.sqrt(self.signal * np.maximum(1.0 - explained, 1e-9)))

    def predict(self, configurations: Indices) -> tuple[Array, Array]:
        """Return the mean and the standard deviation of each configuration."""
        correlations = self.correlations(configurations)
        return self.means(configurations, correlations), self.deviations(correlations)


def condition(
    inputs: SurrogateInputs,
    configurations: Indices,
    values: Array,
    hyper: Hyperparameters,
    prior: Prior,
    trend: Float32Array,
    fewer: GaussianProcess | None = None,
) -> GaussianProcess:
    """Condition the process on the values of these configurations; its prior mean is a weighted `trend`.

    `fewer`: a process with the same hyperparameters, conditioned on the first of these configurations. Its tables are
    reused.
    """
    codes = inputs.codes[configurations]
    tables = inputs.covariance.tables(hyper)
    trend = trend * np.float32(trend_weight(values, trend[configurations], prior))
    residuals = values - trend[configurations]
    mean = float(residuals.mean())
    noise = float(np.exp(hyper.log_noise)) + JITTER
    covariance = correlation(tables, codes, codes) + noise * np.eye(len(values))
    inverse_factor = np.asarray(lapack.dtrtri(np.linalg.cholesky(covariance), lower=1)[0])
    weights = inverse_factor.T @ (inverse_factor @ (residuals - mean))
    signal = ((residuals - mean) @ weights + prior.observations) / (len(values) + prior.observations)
    return GaussianProcess(
        inputs,
        _tabulated(inputs, tables, codes, fewer),
        weights.astype(np.float32),
        inverse_factor.astype(np.float32),
        float(signal),
        mean,
        trend,
        noise,
    )


def _tabulated(
    inputs: SurrogateInputs, tables: Tables, codes: npt.NDArray[np.integer], fewer: GaussianProcess | None
) -> list[Float32Array]:
    if fewer is None:
        return [group.tabulate(tables, codes) for group in inputs.groups]
    more = codes[len(fewer.weights) :]
    return [
        np.concatenate([table, group.tabulate(tables, more)], axis=1)
        for group, table in zip(inputs.groups, fewer.tabulated, strict=True)
    ]


def trend_weight(values: Array, trend: Float32Array, prior: Prior) -> float:
    """Return the weight of the trend: 1 without observations, which move it towards the least-squares slope."""
    centred = trend.astype(np.float64) - trend.mean()
    believed = prior.unevenness_observations * prior.unevenness_cost**2
    total = believed + float(centred @ centred)
    return (believed + float(centred @ (values - values.mean()))) / total if total > 0 else 1.0


def _grouped(covariance: CovarianceFunction) -> list[list[int]]:
    groups: list[list[int]] = []
    combinations = _MOST_COMBINATIONS + 1
    for j in sorted(set(covariance.owners)):
        combinations *= covariance.sizes[j]
        if combinations > _MOST_COMBINATIONS:
            groups.append([])
            combinations = covariance.sizes[j]
        groups[-1].append(j)
    return groups
