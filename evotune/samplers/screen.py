"""Choose the candidate to evaluate, by one surrogate of the values and one of the failures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr
from threadpoolctl import ThreadpoolController

from evotune.samplers.acquisition import expected_improvement
from evotune.samplers.covariance import Hyperparameters
from evotune.samplers.effects import standardise
from evotune.samplers.fitting import fit
from evotune.samplers.history import History, HistoryCache
from evotune.samplers.settings import Settings
from evotune.samplers.surrogate import GaussianProcess, SurrogateInputs, condition, trend_weight
from evotune.space import ValidSet

Indices = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]

# Avoids a division by zero where all values are equal; 0.1 % of a time is less than a timing can resolve.
_LEAST_SPREAD = 1e-3

_BLAS = ThreadpoolController()


@dataclass(frozen=True, eq=False)
class _ValueModel:
    """The model of the values: a process conditioned on exact ones, and lower bounds (`floors`) of censored ones."""

    hyper: Hyperparameters
    measured: Indices
    targets: Array
    censored: Indices
    floors: Array
    process: GaussianProcess


@dataclass(frozen=True, eq=False)
class _FailureModel:
    """The model of the failures; a prediction below `middle` is nearer to a success than to a failure."""

    process: GaussianProcess
    middle: float


class Screen:
    """Chooses among candidates. It caches fits, each a function of the outcomes that it was computed from."""

    def __init__(self, valid: ValidSet, settings: Settings) -> None:
        """Prepare the inputs of both models for one valid set."""
        self._settings = settings
        self._value_inputs = SurrogateInputs(valid, settings.prior)
        # Derived quantities, such as shared memory, predict failures better than parameters alone. They do not improve
        # the prediction of times (docs/sampler.md).
        self._failure_inputs = (
            SurrogateInputs(valid, settings.prior, valid.quantities) if valid.quantities else self._value_inputs
        )
        # There is no prior expectation of the configurations that fail.
        self._no_trend = np.zeros(len(valid), dtype=np.float32)
        self._fits: dict[str, tuple[bytes, Hyperparameters]] = {}
        self._values: HistoryCache[_ValueModel] = HistoryCache()
        self._failures: HistoryCache[_FailureModel] = HistoryCache()

    def best(self, candidates: Indices, history: History) -> int:
        """Return the candidate with the largest expected improvement times probability of success."""
        # Builds keep all cores busy. BLAS threads that spin on small matrices would then take 100 times as long.
        with _BLAS.limit(limits=1, user_api="blas"):
            promising, gains = self._gains(candidates, history)
            shortlist = largest(gains, self._settings.shortlist)
            shortlist = shortlist[np.argsort(-gains[shortlist], kind="stable")]
            worth = gains[shortlist] * self._success(promising[shortlist], history)
            return int(promising[shortlist[np.argmax(worth)]])

    def _gains(self, candidates: Indices, history: History) -> tuple[Indices, Array]:
        """Return the most promising candidates and the expected improvement of each."""
        process, best = self._process(history)
        correlations = process.correlations(candidates)
        means = process.means(candidates, correlations)
        if len(candidates) > self._settings.promising:
            bounds = expected_improvement(best, means, process.deviation_bounds(correlations))
            kept = largest(bounds, self._settings.promising)
            candidates, correlations, means = candidates[kept], correlations[kept], means[kept]
        return candidates, expected_improvement(best, means, process.deviations(correlations))

    def _process(self, history: History) -> tuple[GaussianProcess, float]:
        """Return the surrogate of the values, and the best value in its units."""
        known = self._values.get(history, lambda: self._known(history))
        process = known.process
        # A pending configuration takes its predicted value, so that the next proposal goes elsewhere. A failure takes
        # at least the average: where times fall towards a limit of the device, the step beyond it would look best. A
        # censored value takes its prediction, but at least its lower bound.
        failed = history.failed[-self._settings.most_observations :]
        supposed = np.concatenate([history.pending, failed, known.censored])
        floors = np.concatenate([np.full(len(history.pending), -np.inf), np.zeros(len(failed)), known.floors])
        if len(supposed):
            believed = np.maximum(process.means(supposed, process.correlations(supposed)), floors)
            everything = np.append(known.measured, supposed), np.append(known.targets, believed)
            process = self._condition(*everything, known.hyper, process)
        return process, float(known.targets.min())

    def _known(self, history: History) -> _ValueModel:
        hyper = self._fit_values(history)
        kept = _keep(history.values, self._settings.most_observations)
        measured, targets = history.measured[kept], standardise(warp(history.values[kept]))
        exact = self._exact(history.censored[kept])
        process = self._condition(measured[exact], targets[exact], hyper)
        return _ValueModel(hyper, measured[exact], targets[exact], measured[~exact], targets[~exact], process)

    def _exact(self, censored: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return a mask of the values to use as exact ones: those not censored, or all if these are too few."""
        few = np.count_nonzero(~censored) < self._settings.fewest_measured
        return np.ones(len(censored), dtype=bool) if few else ~censored

    def _success(self, candidates: Indices, history: History) -> Array:
        if not len(history.failed):
            return np.ones(len(candidates))
        known = self._failures.get(history, lambda: self._known_failures(history))
        # The probability of being nearer to 0 (success) than to 1. Far from all outcomes, it is about the pass rate.
        means, deviations = known.process.predict(candidates)
        return np.asarray(np.maximum(ndtr((known.middle - means) / deviations), self._settings.least_success))

    def _known_failures(self, history: History) -> _FailureModel:
        recent = slice(-self._settings.most_observations, None)
        failed = np.isin(history.told, history.failed).astype(np.float64)
        hyper = self._fit_failures(history, failed)
        spread = float(failed[recent].std()) or 1.0
        process = condition(
            self._failure_inputs,
            history.told[recent],
            standardise(failed[recent]),
            hyper,
            self._settings.prior,
            self._no_trend,
        )
        return _FailureModel(process, (0.5 - failed[recent].mean()) / spread)

    def _condition(
        self, configurations: Indices, targets: Array, hyper: Hyperparameters, fewer: GaussianProcess | None = None
    ) -> GaussianProcess:
        trend = self._value_inputs.trend
        return condition(self._value_inputs, configurations, targets, hyper, self._settings.prior, trend, fewer)

    def _fit_values(self, history: History) -> Hyperparameters:
        known = self._last_refit(len(history.values))
        kept = _keep(history.values[:known], self._settings.most_observations)
        measured = history.measured[kept]
        targets = standardise(warp(history.values[kept]))
        trend = self._value_inputs.trend[measured]
        targets = targets - trend_weight(targets, trend, self._settings.prior) * trend
        return self._fit("values", self._value_inputs, measured, targets)

    def _fit_failures(self, history: History, failed: Array) -> Hyperparameters:
        last = self._last_refit(len(failed))
        known = slice(max(0, last - self._settings.most_observations), last)
        return self._fit("failures", self._failure_inputs, history.told[known], standardise(failed[known]))

    def _fit(self, model: str, inputs: SurrogateInputs, configurations: Indices, targets: Array) -> Hyperparameters:
        covariance, prior = inputs.covariance, self._settings.prior
        if len(targets) < self._settings.fewest_fitted:
            return Hyperparameters.of(covariance.prior(prior)[0])
        key = configurations.tobytes() + targets.tobytes()
        if model not in self._fits or self._fits[model][0] != key:
            codes = inputs.codes[configurations]
            centred = targets - targets.mean()
            hyper = fit(covariance, codes, centred, self._settings.fit_steps, prior)
            self._fits[model] = key, hyper
        return self._fits[model][1]

    def _last_refit(self, count: int) -> int:
        """Return the number of observations that the last refit used."""
        refit = min(count, self._settings.refit_always)
        while (following := refit + max(1, int(refit * self._settings.refit_share))) <= count:
            refit = following
        return refit


def largest(values: Array, most: int) -> Indices:
    """Return the indices of the `most` largest values, ascending; among equal values, the first ones."""
    if len(values) <= most:
        return np.arange(len(values))
    least = np.partition(values, len(values) - most)[len(values) - most]
    above = values > least
    equal = np.flatnonzero(values == least)[: most - np.count_nonzero(above)]
    above[equal] = True
    return np.flatnonzero(above)


def warp(values: Array) -> Array:
    """Return log values, scaled by the distance from best to median, with the slower half compressed.

    The exact time of a slow configuration says little about the fast ones.
    """
    logs = np.log(values)
    middle = float(np.median(logs))
    scaled = (logs - middle) / (middle - float(logs.min()) + _LEAST_SPREAD)
    return np.where(scaled > 0, np.log1p(np.maximum(scaled, 0.0)), scaled)


def _keep(values: Array, most: int) -> Indices:
    """Return the indices of the observations to keep, ascending: all, or the best half and a spread over the rest."""
    if len(values) <= most:
        return np.arange(len(values))
    ranked = np.argsort(values, kind="stable")
    rest = ranked[most // 2 :]
    spread = rest[np.linspace(0, len(rest) - 1, most - most // 2).astype(np.int64)]
    return np.sort(np.concatenate([ranked[: most // 2], spread]))
