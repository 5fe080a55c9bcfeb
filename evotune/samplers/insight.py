"""What each parameter and each pair has done so far, with its uncertainty: it decides what mutation tries.

Effects of values add up in the log of what is minimised, each normal beforehand with the deviation of all that was
observed (ridge regression: Hoerl and Kennard, 1970), so that what was tried together is told apart as far as it can be.
A pair has what its two parameters leave.
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

# The weight of "no effect" against what was observed.
_PSEUDO_OBSERVATIONS = 1.0


@dataclass(frozen=True, eq=False)
class Effect:
    """Of every value of a parameter, shape (values,), or combination of values of two, shape (values, values).

    `means`: in standard deviations of the log value, shrunk towards 0, negative is fast; `errors`: their standard
    errors. `counts`: how many were measured, `failures`: how many failed.
    """

    means: Array
    errors: Array
    counts: Counts
    failures: Counts

    @property
    def size(self) -> float:
        """How much the values differ among what was measured, less what chance alone would do."""
        total = self.counts.sum()
        if not total:
            return 0.0
        observed = float((self.counts * (self.means**2 - self.errors**2)).sum() / total)
        return float(np.sqrt(max(observed, 0.0)))

    @property
    def uncertainty(self) -> float:
        """The mean standard error over all values, tried or not."""
        return float(np.mean(self.errors))


@dataclass(frozen=True, eq=False)
class Insight:
    """The effects of all parameters, by their place in the space, and of all pairs of places, the lower first.

    `deviation` is that of the log values, which effects are in units of.
    """

    effects: tuple[Effect, ...]
    pairs: Mapping[tuple[int, int], Effect]
    deviation: float

    @classmethod
    def of(cls, parameters: tuple[Parameter, ...], codes: Codes, history: History) -> Insight:
        """What the outcomes say of these parameters; there may be none. `codes` are those of all configurations."""
        sizes = [len(parameter.values) for parameter in parameters]
        logs = np.log(history.values)
        measured, failed = codes[history.measured], codes[history.failed]
        effects, fitted = _additive(sizes, measured, failed, standardise(logs))
        varied = [j for j, size in enumerate(sizes) if size > 1]
        pairs = {(j, k): _pair((j, k), sizes, measured, failed, fitted) for j, k in combinations(varied, 2)}
        return cls(effects, pairs, float(logs.std()) if len(logs) else 0.0)

    def mutation_weights(self) -> Array:
        """Probability that mutation takes each parameter: what matters or is unknown is tried more."""
        return _shares(np.array([_interest(effect) for effect in self.effects]))

    def partner_weights(self, j: int) -> Array:
        """Probability that mutation takes each parameter along with `j`: where the pair matters or is unknown."""
        return _shares(self._interests[j])

    @cached_property
    def _interests(self) -> Array:
        """Of every pair, shape (parameters, parameters); asked for by many proposals."""
        interests = np.zeros((len(self.effects), len(self.effects)))
        for (j, k), effect in self.pairs.items():
            interests[j, k] = interests[k, j] = _interest(effect)
        return interests


def _interest(effect: Effect) -> float:
    return effect.size + effect.uncertainty if effect.means.size > 1 else 0.0


def standardise(values: Array) -> Array:
    """Values with mean 0 and standard deviation 1 (all 0 where they are all alike)."""
    if not len(values):
        return values
    deviation = float(values.std())
    return np.asarray((values - values.mean()) / (deviation if deviation > 0 else 1.0))


@dataclass(frozen=True, eq=False)
class _Fit:
    """Effects of all values of all parameters, one after another, and what they leave of the scores."""

    means: Array
    covariance: Array
    left: Array
    left_variance: float


def _additive(sizes: list[int], measured: Codes, failed: Codes, scores: Array) -> tuple[tuple[Effect, ...], _Fit]:
    """The effect of every parameter, fitted together, and the fit."""
    members = np.concatenate([np.eye(size)[measured[:, j]] for j, size in enumerate(sizes)], axis=1)
    # What effects leave is not known before they are fitted: at first they are taken to explain nothing.
    fitted = _fit(members, scores, 1.0)
    fitted = _fit(members, scores, fitted.left_variance)
    starts = np.cumsum([0, *sizes])
    effects = []
    for j, size in enumerate(sizes):
        # A level that all values share belongs to no parameter.
        own, centre = slice(starts[j], starts[j + 1]), np.eye(size) - 1.0 / size
        errors = np.sqrt(np.maximum(np.diag(centre @ fitted.covariance[own, own] @ centre), 0.0))
        counts, failures = (np.bincount(codes[:, j], minlength=size) for codes in (measured, failed))
        effects.append(Effect(centre @ fitted.means[own], errors, counts, failures))
    return tuple(effects), fitted


def _fit(members: Array, scores: Array, variance: float) -> _Fit:
    """Effects with a prior variance of 1 each, for scores that they leave with `variance`."""
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
    places, lost = (codes[:, j].astype(np.int64) * shape[1] + codes[:, k] for codes in (measured, failed))
    counts, failures = (np.bincount(cells, minlength=shape[0] * shape[1]) for cells in (places, lost))
    weights = counts + _PSEUDO_OBSERVATIONS
    means = np.bincount(places, weights=fitted.left, minlength=len(counts)) / weights
    errors = np.sqrt(fitted.left_variance / weights)
    return Effect(means.reshape(shape), errors.reshape(shape), counts.reshape(shape), failures.reshape(shape))


def _shares(weights: Array) -> Array:
    total = weights.sum()
    return np.asarray(weights / total if total > 0 else np.full(len(weights), 1.0 / len(weights)))
