"""The sampler's view of a search: an Optuna study in memory, rebuilt from the database on resume."""

from __future__ import annotations

import time
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

    def __init__(self, valid: ValidSet, sampler: str, seed: int) -> None:
        """An empty study."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._valid = valid
        self._distributions: dict[str, BaseDistribution] = {**valid.distributions()}
        self._study = optuna.create_study(sampler=make_sampler(sampler, valid, seed), direction="minimize")

    def ask(self) -> Proposal:
        """The next configuration: valid, and never proposed before in this study."""
        started = time.perf_counter()
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
        self._study.add_trial(
            create_trial(state=TrialState.RUNNING, params=dict(trial.configuration), distributions=self._distributions)
        )
