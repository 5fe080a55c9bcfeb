"""Screening candidates: which one is worth an evaluation, by a surrogate of the values and one of the failures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # it ships no types

from evotune.samplers.acquisition import expected_improvement
from evotune.samplers.history import History
from evotune.samplers.insight import standardise
from evotune.samplers.settings import Settings
from evotune.samplers.surrogate import GaussianProcess, Hyperparameters, condition, fit
from evotune.space import ValidSet

Numbers = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]

# Keeps values that are all alike from dividing by zero; 0.1 % of a time is below what is measured.
_LEAST_SPREAD = 1e-3


_BLAS = ThreadpoolController()


class Screen:
    """Chooses among candidates. What it caches are fits, each a function of the outcomes it was made from."""

    def __init__(self, valid: ValidSet, settings: Settings) -> None:
        """A screen for one valid set."""
        self._valid = valid
        self._settings = settings
        self._fits: dict[str, tuple[bytes, Hyperparameters]] = {}

    def best(self, candidates: Numbers, history: History) -> int:
        """The candidate with the largest expected improvement times probability of success."""
        # While builds keep all cores busy, threads that spin on small matrices cost a hundred times the work.
        with _BLAS.limit(limits=1, user_api="blas"):
            return self._best(candidates, history)

    def _best(self, candidates: Numbers, history: History) -> int:
        hyper = self._fit("values", history.measured, history.values)
        kept = _keep(history.values, self._settings.most_observations)
        measured, targets = history.measured[kept], standardise(warp(history.values[kept]))
        process = self._condition(measured, targets, hyper)
        supposed = np.concatenate([history.pending, history.failed[-self._settings.most_observations :]])
        if len(supposed):
            # What is pending counts as having come out as expected, so that nobody else is sent there. A failure
            # counts as average at best: where times fall towards a limit of the device, the next step looks best.
            believed = process.predict(self._valid.features[supposed])[0].astype(np.float64)
            believed[len(history.pending) :] = np.maximum(believed[len(history.pending) :], 0.0)
            process = self._condition(np.append(measured, supposed), np.append(targets, believed), hyper)
        mean, deviation = process.predict(self._valid.features[candidates])
        gains = expected_improvement(float(targets.min()), mean.astype(np.float64), deviation.astype(np.float64))
        shortlist = np.argsort(-gains, kind="stable")[: self._settings.shortlist]
        worth = gains[shortlist] * self._success(candidates[shortlist], history)
        return int(candidates[shortlist[np.argmax(worth)]])

    def _success(self, candidates: Numbers, history: History) -> Array:
        if not len(history.failed):
            return np.ones(len(candidates))
        failed = np.isin(history.told, history.failed).astype(np.float64)
        hyper = self._fit("failures", history.told, failed)
        told, failed = history.told[-self._settings.most_observations :], failed[-self._settings.most_observations :]
        deviation = float(failed.std()) or 1.0
        predicted, _ = self._condition(told, standardise(failed), hyper).predict(self._valid.features[candidates])
        chance = predicted.astype(np.float64) * deviation + failed.mean()
        return np.asarray(np.clip(1.0 - chance, self._settings.least_success, 1.0))

    def _fit(self, what: str, configurations: Numbers, values: Array) -> Hyperparameters:
        known = _last_refit(len(values), self._settings.refit_share)
        key = configurations[:known].tobytes() + values[:known].tobytes()
        if what not in self._fits or self._fits[what][0] != key:
            kept = _keep(values[:known], self._settings.most_observations)
            targets = standardise(warp(values[kept]) if what == "values" else values[kept])
            features, owners = self._valid.features[configurations[kept]], self._valid.feature_parameters
            hyper = fit(features, owners, targets, self._settings.fit_steps, self._settings.prior)
            self._fits[what] = key, hyper
        return self._fits[what][1]

    def _condition(self, configurations: Numbers, targets: Array, hyper: Hyperparameters) -> GaussianProcess:
        features, owners = self._valid.features[configurations], self._valid.feature_parameters
        return condition(features, owners, targets, hyper, self._settings.prior)


def warp(values: Array) -> Array:
    """Log values in units of median over best, the upper half compressed: how slow the slow ones are tells little."""
    logs = np.log(values)
    middle = float(np.median(logs))
    scaled = (logs - middle) / (middle - float(logs.min()) + _LEAST_SPREAD)
    return np.where(scaled > 0, np.log1p(np.maximum(scaled, 0.0)), scaled)


def _last_refit(count: int, share: float) -> int:
    """How many observations the last refit had: one is due whenever that share more is known."""
    refit = 1
    while (following := refit + max(1, int(refit * share))) <= count:
        refit = following
    return refit


def _keep(values: Array, most: int) -> Numbers:
    """Which observations a surrogate keeps: all, or the best half and a spread over the rest; ascending."""
    if len(values) <= most:
        return np.arange(len(values))
    ranked = np.argsort(values, kind="stable")
    rest = ranked[most // 2 :]
    spread = rest[np.linspace(0, len(rest) - 1, most - most // 2).astype(np.int64)]
    return np.sort(np.concatenate([ranked[: most // 2], spread]))
