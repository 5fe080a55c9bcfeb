"""The sampler's view of a search: an Optuna study in memory, rebuilt from the database on resume."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState, create_trial

from evotune.samplers import make_sampler
from evotune.space import ValidSet
from evotune_db.records import StoredTrial
from evotune_workers.kernel import Configuration


@dataclass(frozen=True)
class Proposal:
    """A configuration to try: `number` counts within the search, `seconds` is what the sampler took."""

    number: int
    configuration: Configuration
    seconds: float


class Study:
    """Ask and tell. Values are minimised; a failed trial is told as failed, not as a value."""

    def __init__(self, valid: ValidSet, sampler: str, seed: int, first: Sequence[Configuration] = ()) -> None:
        """An empty study. `first` are proposed before any that the sampler chooses: distinct, and valid."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._first = first
        self._distributions: dict[str, BaseDistribution] = {**valid.distributions()}
        self._study = optuna.create_study(sampler=make_sampler(sampler, valid, seed), direction="minimize")

    def ask(self) -> Proposal:
        """The next configuration: valid, and never proposed before in this study."""
        started = time.perf_counter()
        number = len(self._study.get_trials(deepcopy=False))
        if number < len(self._first):
            self._begin(self._first[number])
            return Proposal(number, dict(self._first[number]), time.perf_counter() - started)
        trial = self._study.ask(self._distributions)
        return Proposal(trial.number, dict(trial.params), time.perf_counter() - started)

    def tell(self, number: int, objective: float | None, censored: bool = False) -> None:
        """The outcome of a proposal; None when it failed."""
        if objective is None:
            self._study.tell(number, state=TrialState.FAIL)
            return
        if censored:
            trial = self._study.get_trials(deepcopy=False)[number]
            self._study._storage.set_trial_user_attr(trial._trial_id, "censored", True)
        self._study.tell(number, objective)

    def restore(self, trial: StoredTrial) -> None:
        """Adds a stored trial as one that is running; what it came to is told in its turn."""
        self._begin(trial.configuration)

    def _begin(self, configuration: Configuration) -> None:
        self._study.add_trial(
            create_trial(state=TrialState.RUNNING, params=dict(configuration), distributions=self._distributions)
        )
