"""The sampler's view of a search: proposals and their values, rebuilt from the database on resume."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import optuna

from evotune.samplers import make_sampler
from evotune.samplers.history import FAILED, History, Observation
from evotune.space import ValidSet
from evotune_db.records import StoredTrial
from evotune_workers.kernel.contract import Configuration


@dataclass(frozen=True)
class Proposal:
    """A configuration to try: `number` counts within the search, `seconds` is the time that the sampler took."""

    number: int
    configuration: Configuration
    seconds: float


class Study:
    """Ask and tell. Values are minimised; a failed trial is told as failed, not as a value.

    Samplers are asked without an Optuna study in between, which would look at every trial again for every parameter of
    every proposal. They propose the same configurations as in a study.
    """

    def __init__(self, valid: ValidSet, sampler: str, seed: int, first: Sequence[Configuration] = ()) -> None:
        """Begin empty. The configurations `first`, distinct and valid, are proposed before the sampler's own."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._valid, self._first = valid, first
        self._sampler = make_sampler(sampler, valid, seed)
        self._tried: list[int | None] = []
        self._pending: dict[int, int] = {}
        self._told: dict[int, Observation] = {}
        self._past: History | None = None
        self._now: History | None = None

    def ask(self) -> Proposal:
        """Return the next configuration: valid, and never proposed before in this study."""
        started = time.perf_counter()
        number = len(self._tried)
        if number < len(self._first):
            configuration = dict(self._first[number])
            self._try(configuration)
        else:
            i = self._sampler.choose(self._history(), number)
            configuration = self._valid.configuration(i)
            self._note(i)
        return Proposal(number, configuration, time.perf_counter() - started)

    def tell(self, number: int, objective: float | None, censored: bool = False) -> None:
        """Tell the value of a proposal; None when it failed."""
        i = self._pending.pop(number, None)
        if i is not None:
            self._told[number] = Observation(i, FAILED if objective is None else objective, censored)
            self._past = self._now = None

    def restore(self, trial: StoredTrial) -> None:
        """Add a stored trial as one that is under way; its value is told in its turn."""
        self._try(trial.configuration)

    def _try(self, configuration: Configuration) -> None:
        """Record an attempt; the sampler ignores configurations that are not valid here."""
        self._note(self._valid.index_or_none(configuration))

    def _note(self, i: int | None) -> None:
        if i is not None:
            now = self._now
            self._now = now.also_pending(i) if now is not None and i not in now.excluded else None
            self._pending[len(self._tried)] = i
        self._tried.append(i)

    def _history(self) -> History:
        if self._past is None:
            self._past = History.of([told for _, told in sorted(self._told.items())], ())
        if self._now is None:
            self._now = self._past.with_pending(list(self._pending.values()))
        return self._now
