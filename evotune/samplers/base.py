"""What every sampler of this project shares: it proposes a valid configuration that was not proposed before.

A sampler is a pure function of (valid set, seed, history): no generator state has to be kept for a study to be
resumed with the same next proposal.
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
    """Base of the samplers: an Optuna sampler over a valid set, for a study that minimises one value.

    A trial's value is what was measured, smaller is better; a trial told FAIL is a configuration that failed; the
    user attribute "censored" set to True says that the true value is at least the one told. Proposals are never
    repeated as long as one instance at a time proposes for a study (threads may share it).
    """

    def __init__(self, valid: ValidSet | Space, seed: int = 0) -> None:
        """`seed` >= 0 decides all randomness, together with the history and the trial's number.

        A space is enumerated, which raises SpaceError where its constraints need a device or derived quantities:
        enumerate it for these yourself.
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
        """The number of a valid configuration that `history` does not exclude; there is at least one."""

    def choose(self, history: History, number: int) -> int:
        """The configuration to try as the trial of that number; SpaceExhausted when all have been proposed."""
        if len(history.excluded) >= len(self.valid):
            raise SpaceExhausted(f"all {len(self.valid)} valid configurations have been proposed; widen the space")
        i = self.propose(history, np.random.default_rng([self.seed, number]))
        if i in history.excluded:
            raise AssertionError(f"{type(self).__name__} proposed configuration {i} twice")
        return i

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All parameters of the space."""
        return self._distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next configuration; SpaceExhausted when all have been proposed."""
        self._raise_error_if_multi_objective(study)
        with self._lock:
            i = self.choose(self._history(study, trial.number), trial.number)
            self._pending[trial.number] = i
        return self.valid.configuration(i)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Refused: a single parameter drawn on its own could break a constraint."""
        names = ", ".join(self._distributions)
        raise ValueError(f"a trial may only suggest the parameters of the space ({names}), got {param_name!r}")

    def __getstate__(self) -> dict[str, Any]:
        """Without the lock, which does not pickle."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Take the fields and a lock of one's own."""
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
        """What a trial is about: its parameters, or until it has suggested them all what was proposed for it."""
        if len(trial.params) < len(self._distributions):
            return self._pending.get(trial.number)
        # Once for each trial: with hundreds under way it would be most of what a proposal costs.
        if trial.number not in self._looked_up:
            self._looked_up[trial.number] = self._find(trial.params)
        return self._looked_up[trial.number]

    def _find(self, configuration: Mapping[str, Any]) -> int | None:
        try:
            return self.valid.index(configuration)
        except KeyError:
            return None  # enqueued by hand and not valid here: nothing to learn from
