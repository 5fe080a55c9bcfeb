"""Optuna's quasi-Monte Carlo sampler: a scrambled Sobol sequence."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.samplers import QMCSampler as OptunaQMCSampler
from optuna.trial import FrozenTrial

from evotune.samplers.wrapped import WrappedSampler


class QMCSampler(WrappedSampler):
    """One Sobol sequence a seed; a proposal is its next point."""

    def make(self, seed: int, count: int) -> BaseSampler:
        """The sequence, moved on by `count`; it has to stay one sequence, so the proposal's own seed goes unused."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return _SequenceFrom(self.seed, count, self._shown)


class _SequenceFrom(OptunaQMCSampler):
    """Optuna counts the points in the study's attributes, which a rebuilt study does not have."""

    def __init__(self, seed: int, position: int, shown: Mapping[str, BaseDistribution]) -> None:
        super().__init__(seed=seed, scramble=True)
        self._position = position
        self._shown = shown

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self._shown)

    def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._position
