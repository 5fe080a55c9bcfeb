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
    """Follows one Sobol sequence for each seed; a proposal is its next point."""

    def make(self, seed: int, count: int) -> BaseSampler:
        """Create a sampler at position `count` of the sequence.

        It uses the study's seed, not the proposal's: all proposals must belong to one sequence.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return _SequenceFrom(self.seed, count, self._code_distributions)


class _SequenceFrom(OptunaQMCSampler):
    """Optuna's sampler at a fixed position.

    Optuna counts the points in the study's attributes, which a rebuilt study does not have.
    """

    def __init__(self, seed: int, position: int, shown: Mapping[str, BaseDistribution]) -> None:
        super().__init__(seed=seed, scramble=True)
        self._position = position
        self._code_distributions = shown

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self._code_distributions)

    def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._position
