"""The base of all samplers: propose a valid configuration that was not proposed before.

A proposal is a pure function of the valid set, the seed, the trial's number and the history. So a resumed study makes
the same next proposal, although no state of a random generator was saved.
"""

from __future__ import annotations

import abc
import math
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from evotune.samplers.history import FAILED, History, Observation
from evotune.space import Space, ValidSet


class SpaceExhausted(RuntimeError):
    """Every valid configuration has been proposed."""


class SpaceSampler(BaseSampler, abc.ABC):
    """An Optuna sampler over a valid set, for a study that minimises one value.

    A trial's value is the measured one, and smaller is better. A trial with state FAIL is a configuration that failed.
    The user attribute "censored", set to True, marks the value as a lower bound of the true one. No proposal is
    repeated as long as one instance at a time proposes for a study. Threads may share the instance.
    """

    def __init__(self, valid: ValidSet | Space, seed: int = 0) -> None:
        """Store the valid set, and the seed (>= 0) from which all random numbers are derived.

        A Space is enumerated without a device. This raises SpaceError if a constraint needs the limits of a device or
        derived quantities: then enumerate it yourself and pass the ValidSet.
        """
        self.valid = valid.enumerate({}) if isinstance(valid, Space) else valid
        self.seed = seed
        self._distributions: dict[str, BaseDistribution] = {**self.valid.distributions()}
        self._lock = threading.Lock()
        self._study_name: str | None = None
        self._told: dict[int, Observation | None] = {}
        self._pending: dict[int, int] = {}
        self._looked_up: dict[int, int | None] = {}
        self._past: History | None = None
        self._past_length = 0

    @abc.abstractmethod
    def propose(self, history: History, rng: np.random.Generator) -> int:
        """Return the index of a valid configuration that `history` does not exclude.

        At least one such configuration exists when this is called.
        """

    def choose(self, history: History, number: int) -> int:
        """Return the index of the configuration to try in trial `number`.

        Raises SpaceExhausted when all configurations have been proposed.
        """
        if len(history.excluded) >= len(self.valid):
            raise SpaceExhausted(f"all {len(self.valid)} valid configurations have been proposed; widen the space")
        i = self.propose(history, np.random.default_rng([self.seed, number]))
        if i in history.excluded:
            raise AssertionError(f"{type(self).__name__} proposed configuration {i} twice")
        return i

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the distributions of all parameters of the space."""
        return self._distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the next configuration. Raises SpaceExhausted when all have been proposed."""
        self._raise_error_if_multi_objective(study)
        with self._lock:
            i = self.choose(self._history(study, trial.number), trial.number)
            self._pending[trial.number] = i
        return self.valid.configuration(i)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Raise ValueError: a single parameter that is drawn on its own could break a constraint."""
        names = ", ".join(self._distributions)
        raise ValueError(f"a trial may only suggest the parameters of the space ({names}), got {param_name!r}")

    def __getstate__(self) -> dict[str, Any]:
        """Return all fields except the lock, which cannot be pickled."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Restore the fields and create a new lock."""
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def _history(self, study: Study, number: int) -> History:
        if study.study_name != self._study_name:
            self._study_name, self._past = study.study_name, None
            self._told, self._pending, self._looked_up = {}, {}, {}
        pending: list[int] = []
        for trial in study.get_trials(deepcopy=False):
            if trial.number in self._told or trial.number == number:
                continue
            if trial.state.is_finished():
                self._told[trial.number] = self._outcome(trial)
                self._pending.pop(trial.number, None)
                self._looked_up.pop(trial.number, None)
            elif (i := self._proposed(trial)) is not None:
                pending.append(i)
        if self._past is None or self._past_length != len(self._told):
            told = [outcome for _, outcome in sorted(self._told.items()) if outcome is not None]
            self._past, self._past_length = History.of(told, ()), len(self._told)
        return self._past.with_pending(pending)

    def _outcome(self, trial: FrozenTrial) -> Observation | None:
        i = self._proposed(trial)
        if i is None:
            return None
        value = trial.values[0] if trial.state == TrialState.COMPLETE and trial.values else math.inf
        return Observation(i, value if math.isfinite(value) else FAILED, trial.user_attrs.get("censored") is True)

    def _proposed(self, trial: FrozenTrial) -> int | None:
        """Return the index of a trial's configuration, None if it is not in the valid set.

        Optuna sets the parameters of a running trial one by one. Until all are set, use the recorded proposal.
        """
        if len(trial.params) < len(self._distributions):
            return self._pending.get(trial.number)
        # Cache the result: with hundreds of running trials, the look-up would dominate the cost of a proposal.
        if trial.number not in self._looked_up:
            self._looked_up[trial.number] = self._find(trial.params)
        return self._looked_up[trial.number]

    def _find(self, configuration: Mapping[str, Any]) -> int | None:
        try:
            return self.valid.index(configuration)
        except KeyError:
            return None  # enqueued by the user and not valid here: the sampler ignores it
