"""Screening candidates: which one is worth an evaluation, by a surrogate of the values and one of the failures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr
from threadpoolctl import ThreadpoolController

from evotune.samplers.acquisition import expected_improvement
from evotune.samplers.covariance import Hyperparameters
from evotune.samplers.fitting import fit
from evotune.samplers.history import History, Latest
from evotune.samplers.insight import standardise
from evotune.samplers.settings import Settings
from evotune.samplers.surrogate import GaussianProcess, Terrain, condition, trend_weight
from evotune.space import ValidSet

Numbers = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]

# Keeps values that are all alike from dividing by zero; 0.1 % of a time is below what is measured.
_LEAST_SPREAD = 1e-3

_BLAS = ThreadpoolController()


@dataclass(frozen=True, eq=False)
class _Values:
    """What outcomes say of values: a process of those `measured`, and `floors` of those that were stopped early."""

    hyper: Hyperparameters
    measured: Numbers
    targets: Array
    censored: Numbers
    floors: Array
    process: GaussianProcess


@dataclass(frozen=True, eq=False)
class _Failures:
    """What they say of failures; below `middle` a configuration is nearer to a success."""

    process: GaussianProcess
    middle: float


class Screen:
    """Chooses among candidates. What it caches are fits, each a function of the outcomes it was made from."""

    def __init__(self, valid: ValidSet, settings: Settings) -> None:
        """A screen for one valid set."""
        self._settings = settings
        self._terrain = Terrain(valid, settings.prior)
        # Whether a configuration fits and passes, what its kernel derives may tell more plainly than its parameters do;
        # how fast it is, not (docs/sampler.md).
        self._failing = Terrain(valid, settings.prior, valid.quantities) if valid.quantities else self._terrain
        # Nothing is known beforehand about where configurations fail.
        self._level = np.zeros(len(valid), dtype=np.float32)
        self._fits: dict[str, tuple[bytes, Hyperparameters]] = {}
        self._values: Latest[_Values] = Latest()
        self._failures: Latest[_Failures] = Latest()

    def best(self, candidates: Numbers, history: History) -> int:
        """The candidate with the largest expected improvement times probability of success."""
        # While builds keep all cores busy, threads that spin on small matrices cost a hundred times the work.
        with _BLAS.limit(limits=1, user_api="blas"):
            promising, gains = self._gains(candidates, history)
            shortlist = largest(gains, self._settings.shortlist)
            shortlist = shortlist[np.argsort(-gains[shortlist], kind="stable")]
            worth = gains[shortlist] * self._success(promising[shortlist], history)
            return int(promising[shortlist[np.argmax(worth)]])

    def _gains(self, candidates: Numbers, history: History) -> tuple[Numbers, Array]:
        """The most promising candidates and what each is expected to improve."""
        process, best = self._process(history)
        correlations = process.correlations(candidates)
        means = process.means(candidates, correlations)
        if len(candidates) > self._settings.promising:
            bounds = expected_improvement(best, means, process.deviation_bounds(correlations))
            kept = largest(bounds, self._settings.promising)
            candidates, correlations, means = candidates[kept], correlations[kept], means[kept]
        return candidates, expected_improvement(best, means, process.deviations(correlations))

    def _process(self, history: History) -> tuple[GaussianProcess, float]:
        """The surrogate of the values, and the best value in its units."""
        known = self._values.of(history, lambda: self._known(history))
        process = known.process
        # What is pending counts as having come out as expected, so that nobody else is sent there. A failure counts as
        # average at best: where times fall towards a limit of the device, the next step looks best. What was stopped
        # early counts as what is expected of it, but as no faster than it was seen to be.
        failed = history.failed[-self._settings.most_observations :]
        supposed = np.concatenate([history.pending, failed, known.censored])
        floors = np.concatenate([np.full(len(history.pending), -np.inf), np.zeros(len(failed)), known.floors])
        if len(supposed):
            believed = np.maximum(process.means(supposed, process.correlations(supposed)), floors)
            everything = np.append(known.measured, supposed), np.append(known.targets, believed)
            process = self._condition(*everything, known.hyper, process)
        return process, float(known.targets.min())

    def _known(self, history: History) -> _Values:
        hyper = self._fit_values(history)
        kept = _keep(history.values, self._settings.most_observations)
        measured, targets = history.measured[kept], standardise(warp(history.values[kept]))
        exact = self._exact(history.censored[kept])
        process = self._condition(measured[exact], targets[exact], hyper)
        return _Values(hyper, measured[exact], targets[exact], measured[~exact], targets[~exact], process)

    def _exact(self, censored: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Which values are taken for exact: those that are, or all where too few are."""
        few = np.count_nonzero(~censored) < self._settings.fewest_measured
        return np.ones(len(censored), dtype=bool) if few else ~censored

    def _success(self, candidates: Numbers, history: History) -> Array:
        if not len(history.failed):
            return np.ones(len(candidates))
        known = self._failures.of(history, lambda: self._known_failures(history))
        # Nearer to 0, a success, than to 1: far from all outcomes this is about the share that has passed.
        means, deviations = known.process.predict(candidates)
        return np.asarray(np.maximum(ndtr((known.middle - means) / deviations), self._settings.least_success))

    def _known_failures(self, history: History) -> _Failures:
        recent = slice(-self._settings.most_observations, None)
        failed = np.isin(history.told, history.failed).astype(np.float64)
        hyper = self._fit_failures(history, failed)
        spread = float(failed[recent].std()) or 1.0
        process = condition(
            self._failing,
            history.told[recent],
            standardise(failed[recent]),
            hyper,
            self._settings.prior,
            self._level,
        )
        return _Failures(process, (0.5 - failed[recent].mean()) / spread)

    def _condition(
        self, configurations: Numbers, targets: Array, hyper: Hyperparameters, fewer: GaussianProcess | None = None
    ) -> GaussianProcess:
        trend = self._terrain.trend
        return condition(self._terrain, configurations, targets, hyper, self._settings.prior, trend, fewer)

    def _fit_values(self, history: History) -> Hyperparameters:
        known = self._last_refit(len(history.values))
        kept = _keep(history.values[:known], self._settings.most_observations)
        measured = history.measured[kept]
        targets = standardise(warp(history.values[kept]))
        trend = self._terrain.trend[measured]
        targets = targets - trend_weight(targets, trend, self._settings.prior) * trend
        return self._fit("values", self._terrain, measured, targets)

    def _fit_failures(self, history: History, failed: Array) -> Hyperparameters:
        last = self._last_refit(len(failed))
        known = slice(max(0, last - self._settings.most_observations), last)
        return self._fit("failures", self._failing, history.told[known], standardise(failed[known]))

    def _fit(self, what: str, terrain: Terrain, configurations: Numbers, targets: Array) -> Hyperparameters:
        kernel, prior = terrain.kernel, self._settings.prior
        if len(targets) < self._settings.fewest_fitted:
            return Hyperparameters.of(kernel.prior(prior)[0])
        key = configurations.tobytes() + targets.tobytes()
        if what not in self._fits or self._fits[what][0] != key:
            codes = terrain.codes[configurations]
            centred = targets - targets.mean()
            hyper = fit(kernel, codes, centred, self._settings.fit_steps, prior)
            self._fits[what] = key, hyper
        return self._fits[what][1]

    def _last_refit(self, count: int) -> int:
        """How many observations the last refit had."""
        refit = min(count, self._settings.refit_always)
        while (following := refit + max(1, int(refit * self._settings.refit_share))) <= count:
            refit = following
        return refit


def largest(values: Array, most: int) -> Numbers:
    """The places of so many largest values, ascending; of equal ones the first."""
    if len(values) <= most:
        return np.arange(len(values))
    least = np.partition(values, len(values) - most)[len(values) - most]
    above = values > least
    equal = np.flatnonzero(values == least)[: most - np.count_nonzero(above)]
    above[equal] = True
    return np.flatnonzero(above)


def warp(values: Array) -> Array:
    """Log values in units of median over best, the upper half compressed: how slow the slow ones are tells little."""
    logs = np.log(values)
    middle = float(np.median(logs))
    scaled = (logs - middle) / (middle - float(logs.min()) + _LEAST_SPREAD)
    return np.where(scaled > 0, np.log1p(np.maximum(scaled, 0.0)), scaled)


def _keep(values: Array, most: int) -> Numbers:
    """Which observations a surrogate keeps: all, or the best half and a spread over the rest; ascending."""
    if len(values) <= most:
        return np.arange(len(values))
    ranked = np.argsort(values, kind="stable")
    rest = ranked[most // 2 :]
    spread = rest[np.linspace(0, len(rest) - 1, most - most // 2).astype(np.int64)]
    return np.sort(np.concatenate([ranked[: most // 2], spread]))
