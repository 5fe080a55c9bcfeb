"""Estimate the effect of each parameter and each pair of parameters, with standard errors. They guide mutation.

The model is additive in the log of the objective. Each effect has a normal prior whose standard deviation is that of
all observations (ridge regression: Hoerl and Kennard, 1970). This separates the effects of values that were tried
together as far as the data allow. The effect of a pair is the mean of the residuals that its two parameters leave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt

from evotune.samplers.history import History
from evotune.space import Parameter

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Codes = npt.NDArray[np.integer]

# The weight of the prior, "no effect", in observations.
_PSEUDO_OBSERVATIONS = 1.0


@dataclass(frozen=True, eq=False)
class Effect:
    """The effect of every value of a parameter, shape (values,), or of two parameters, shape (values, values).

    `means`: in standard deviations of the log value, shrunk towards 0; negative is fast. `errors`: their standard
    errors. `counts`: the number of measured configurations. `failures`: the number of failed ones.
    """

    means: Array
    errors: Array
    counts: Counts
    failures: Counts

    @property
    def size(self) -> float:
        """The root mean square of the effects over all measured configurations, less the part due to chance."""
        total = self.counts.sum()
        if not total:
            return 0.0
        observed = float((self.counts * (self.means**2 - self.errors**2)).sum() / total)
        return float(np.sqrt(max(observed, 0.0)))

    @property
    def uncertainty(self) -> float:
        """The mean standard error over all values, measured or not."""
        return float(np.mean(self.errors))


@dataclass(frozen=True, eq=False)
class ParameterEffects:
    """The effects of all parameters, in the order of the space, and of all pairs (j, k) of parameters with j < k.

    `deviation`: the standard deviation of the log values, which is the unit of the effects.
    """

    effects: tuple[Effect, ...]
    pairs: Mapping[tuple[int, int], Effect]
    deviation: float

    @classmethod
    def of(cls, parameters: tuple[Parameter, ...], codes: Codes, history: History) -> ParameterEffects:
        """Estimate the effects from a history, which may be empty. `codes`: those of all configurations."""
        sizes = [len(parameter.values) for parameter in parameters]
        logs = np.log(history.values)
        measured, failed = codes[history.measured], codes[history.failed]
        effects, fitted = _additive(sizes, measured, failed, standardise(logs))
        varied = [j for j, size in enumerate(sizes) if size > 1]
        pairs = {(j, k): _pair((j, k), sizes, measured, failed, fitted) for j, k in combinations(varied, 2)}
        return cls(effects, pairs, float(logs.std()) if len(logs) else 0.0)

    def mutation_weights(self) -> Array:
        """Return each parameter's probability of mutation: higher if its effect is large or uncertain."""
        return _shares(np.array([_interest(effect) for effect in self.effects]))

    def partner_weights(self, j: int) -> Array:
        """Return each parameter's probability of mutation together with `j`, by the effect of the pair."""
        return _shares(self._interests[j])

    @cached_property
    def _interests(self) -> Array:
        """The interest of every pair, shape (parameters, parameters); cached for many mutations."""
        interests = np.zeros((len(self.effects), len(self.effects)))
        for (j, k), effect in self.pairs.items():
            interests[j, k] = interests[k, j] = _interest(effect)
        return interests


def _interest(effect: Effect) -> float:
    return effect.size + effect.uncertainty if effect.means.size > 1 else 0.0


def standardise(values: Array) -> Array:
    """Return values with mean 0 and standard deviation 1, or all 0 if they are all equal."""
    if not len(values):
        return values
    deviation = float(values.std())
    return np.asarray((values - values.mean()) / (deviation if deviation > 0 else 1.0))


@dataclass(frozen=True, eq=False)
class _Fit:
    """The effects of all values of all parameters, concatenated, and the residuals (`left`) with their variance."""

    means: Array
    covariance: Array
    left: Array
    left_variance: float


def _additive(sizes: list[int], measured: Codes, failed: Codes, scores: Array) -> tuple[tuple[Effect, ...], _Fit]:
    """Fit the effects of all parameters together; return them by parameter, and the fit."""
    members = np.concatenate([np.eye(size)[measured[:, j]] for j, size in enumerate(sizes)], axis=1)
    # The residual variance is known only after a fit, so the first fit assumes that effects explain nothing.
    fitted = _fit(members, scores, 1.0)
    fitted = _fit(members, scores, fitted.left_variance)
    starts = np.cumsum([0, *sizes])
    effects = []
    for j, size in enumerate(sizes):
        # Centre the effects: a constant that all values have in common belongs to no parameter.
        own, centre = slice(starts[j], starts[j + 1]), np.eye(size) - 1.0 / size
        errors = np.sqrt(np.maximum(np.diag(centre @ fitted.covariance[own, own] @ centre), 0.0))
        counts, failures = (np.bincount(codes[:, j], minlength=size) for codes in (measured, failed))
        effects.append(Effect(centre @ fitted.means[own], errors, counts, failures))
    return tuple(effects), fitted


def _fit(members: Array, scores: Array, variance: float) -> _Fit:
    """Fit effects with a prior variance of 1 each; the scores have the residual variance `variance`."""
    inverse = np.linalg.inv(members.T @ members + variance * np.eye(members.shape[1]))
    means = inverse @ (members.T @ scores)
    left = scores - members @ means
    # Effective degrees of freedom: Hastie and Tibshirani, Generalized Additive Models, 1990, section 3.5.
    freedom = len(scores) - float(np.trace(inverse @ (members.T @ members)))
    left_variance = (float(left @ left) + _PSEUDO_OBSERVATIONS) / (freedom + _PSEUDO_OBSERVATIONS)
    covariance = np.asarray(variance * inverse, dtype=np.float64)
    return _Fit(np.asarray(means, dtype=np.float64), covariance, np.asarray(left, dtype=np.float64), left_variance)


def _pair(pair: tuple[int, int], sizes: list[int], measured: Codes, failed: Codes, fitted: _Fit) -> Effect:
    j, k = pair
    shape = (sizes[j], sizes[k])
    cells, failed_cells = (codes[:, j].astype(np.int64) * shape[1] + codes[:, k] for codes in (measured, failed))
    counts, failures = (np.bincount(each, minlength=shape[0] * shape[1]) for each in (cells, failed_cells))
    weights = counts + _PSEUDO_OBSERVATIONS
    means = np.bincount(cells, weights=fitted.left, minlength=len(counts)) / weights
    errors = np.sqrt(fitted.left_variance / weights)
    return Effect(means.reshape(shape), errors.reshape(shape), counts.reshape(shape), failures.reshape(shape))


def _shares(weights: Array) -> Array:
    total = weights.sum()
    return np.asarray(weights / total if total > 0 else np.full(len(weights), 1.0 / len(weights)))
