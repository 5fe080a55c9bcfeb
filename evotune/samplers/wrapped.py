"""Wrap Optuna's own samplers, so that they propose valid configurations, and none twice.

A fresh Optuna sampler makes each proposal, on a study rebuilt from the history, so that it depends only on the seed and
the history. The proposal is moved to the nearest unseen valid configuration. The rebuilt study holds the configurations
that were evaluated, not those that Optuna proposed. A failure gets the worst value so far: Optuna's samplers ignore
failed trials, and would keep proposing their neighbours.
"""

from __future__ import annotations

import abc
import logging
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from evotune.samplers.base import SpaceSampler
from evotune.samplers.history import History
from evotune.space import Parameter, Space, ValidSet


class WrappedSampler(SpaceSampler, abc.ABC):
    """Base of the wrapped samplers.

    Optuna sees the codes of a parameter's values: as integers if `ordinal` is True and the values are ordered, else as
    categories.
    """

    ordinal: ClassVar[bool] = False

    def __init__(self, valid: ValidSet | Space, seed: int = 0) -> None:
        """Store the valid set and the seed, as SpaceSampler does."""
        super().__init__(valid, seed)
        self._code_distributions = {
            p.name: self._code_distribution(p) for p in self.valid.parameters if len(p.values) > 1
        }

    @abc.abstractmethod
    def make(self, seed: int, count: int) -> BaseSampler:
        """Create Optuna's sampler for the next proposal, after `count` earlier ones."""

    def attributes(self, position: int) -> Mapping[str, Any]:
        """Return the system attributes that Optuna's sampler stores with the trial at this position."""
        return {}

    def propose(self, history: History, rng: np.random.Generator) -> int:
        """Return Optuna's proposal, or the unseen valid configuration nearest to it."""
        sampler = self.make(int(rng.integers(2**31)), len(history.excluded))
        trial = self._rebuild(history, sampler).ask(self._code_distributions)
        codes = np.array([[trial.params.get(parameter.name, 0) for parameter in self.valid.parameters]])
        return nearest_unseen(self.valid, codes, history, rng)

    def _code_distribution(self, parameter: Parameter) -> BaseDistribution:
        size = len(parameter.values)
        if self.ordinal and parameter.is_scale:
            return IntDistribution(0, size - 1)
        return CategoricalDistribution(tuple(range(size)))

    def _rebuild(self, history: History, sampler: BaseSampler) -> Study:
        storage, study_id = _storage_with_study()
        worst = float(history.values.max()) if len(history.values) else 1.0
        values = dict(zip(history.measured.tolist(), history.values.tolist(), strict=True))
        for position, i in enumerate(history.told.tolist()):
            storage.create_new_trial(study_id, self._trial(i, values.get(i, worst), position))
        for position, i in enumerate(history.pending.tolist(), start=len(history.told)):
            storage.create_new_trial(study_id, self._trial(i, None, position))
        return Study("rebuilt", storage, sampler=sampler)

    def _trial(self, i: int, value: float | None, position: int) -> FrozenTrial:
        row = {
            parameter.name: int(code)
            for parameter, code in zip(self.valid.parameters, self.valid.codes[i], strict=True)
        }
        return create_trial(
            state=TrialState.RUNNING if value is None else TrialState.COMPLETE,
            value=value,
            params={name: row[name] for name in self._code_distributions},
            distributions=self._code_distributions,
            system_attrs=dict(self.attributes(position)),
        )


def _storage_with_study() -> tuple[InMemoryStorage, int]:
    """Create a storage with one empty study, without the log message that Optuna writes for each new study."""
    logger = logging.getLogger(InMemoryStorage.__module__)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        storage = InMemoryStorage()
        return storage, storage.create_new_study([StudyDirection.MINIMIZE], "rebuilt")
    finally:
        logger.setLevel(level)


def nearest_unseen(valid: ValidSet, codes: npt.NDArray[Any], history: History, rng: np.random.Generator) -> int:
    """Return the index of the unseen configuration nearest to a row of codes, which need not be valid.

    Ties are broken at random.
    """
    i = int(valid.find(codes)[0])
    if i >= 0 and i not in history.excluded:
        return i
    distances = np.square(valid.features - valid.encode(codes)).sum(axis=1)
    distances[~history.unseen(len(valid))] = np.inf
    return int(rng.choice(np.flatnonzero(distances <= distances.min() + 1e-6)))
