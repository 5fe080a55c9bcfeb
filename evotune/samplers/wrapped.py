"""Optuna's own samplers made to propose valid, unrepeated configurations.

Each proposal is made by a fresh Optuna sampler on a study rebuilt from the history, so that it depends on nothing but
(seed, history). What it proposes is moved to the nearest unseen valid configuration, and it learns from what was
really evaluated. Failures are told as the worst value so far: Optuna's samplers forget a failed trial, and would go on
proposing its neighbours.
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
    """Base of the wrapped samplers. A parameter is presented by its codes, as integers where `ordinal`."""

    ordinal: ClassVar[bool] = False

    def __init__(self, valid: ValidSet | Space, seed: int = 0) -> None:
        """See SpaceSampler."""
        super().__init__(valid, seed)
        self._shown = {p.name: self._show(p) for p in self.valid.parameters if len(p.values) > 1}

    @abc.abstractmethod
    def make(self, seed: int, count: int) -> BaseSampler:
        """Optuna's sampler for the next proposal, after `count` earlier ones."""

    def attributes(self, position: int) -> Mapping[str, Any]:
        """What Optuna's sampler notes at the trial that was told at this position."""
        return {}

    def propose(self, history: History, rng: np.random.Generator) -> int:
        """Optuna's proposal, or the unseen valid configuration nearest to it."""
        sampler = self.make(int(rng.integers(2**31)), len(history.excluded))
        trial = self._rebuild(history, sampler).ask(self._shown)
        codes = np.array([[trial.params.get(parameter.name, 0) for parameter in self.valid.parameters]])
        return nearest_unseen(self.valid, codes, history, rng)

    def _show(self, parameter: Parameter) -> BaseDistribution:
        size = len(parameter.values)
        if self.ordinal and parameter.is_scale:
            return IntDistribution(0, size - 1)
        return CategoricalDistribution(tuple(range(size)))

    def _rebuild(self, history: History, sampler: BaseSampler) -> Study:
        storage, study_id = _quiet_storage()
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
            params={name: row[name] for name in self._shown},
            distributions=self._shown,
            system_attrs=dict(self.attributes(position)),
        )


def _quiet_storage() -> tuple[InMemoryStorage, int]:
    """A storage with one empty study, which Optuna would otherwise announce in the log at every proposal."""
    logger = logging.getLogger(InMemoryStorage.__module__)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        storage = InMemoryStorage()
        return storage, storage.create_new_study([StudyDirection.MINIMIZE], "rebuilt")
    finally:
        logger.setLevel(level)


def nearest_unseen(valid: ValidSet, codes: npt.NDArray[Any], history: History, rng: np.random.Generator) -> int:
    """The unseen configuration nearest to a row of codes, valid or not; ties at random."""
    i = int(valid.find(codes)[0])
    if i >= 0 and i not in history.excluded:
        return i
    distances = np.square(valid.features - valid.encode(codes)).sum(axis=1)
    distances[~history.unseen(len(valid))] = np.inf
    return int(rng.choice(np.flatnonzero(distances <= distances.min() + 1e-6)))
