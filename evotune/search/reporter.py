"""Progress of a search as it reports it, without a word about how it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class TrialLine:
    """A finished trial. Its state is `built` in a search that measures nothing.

    `trial` is its id in the database, `number` its place in the search. `speedup` is None unless it was timed.
    `censored`: its timing stopped early, since it was clearly slower than the best. `elapsed_seconds` is the time
    since this run of the search started.
    """

    number: int
    trial: int
    state: Literal["passed", "failed", "built"]
    failed_gate: str | None
    reason: str | None
    speedup: float | None
    censored: bool
    elapsed_seconds: float


@dataclass(frozen=True)
class BestSoFar:
    """The fastest trial yet against the fastest baseline: speed-up with its 95 % interval, times in microseconds."""

    trial: int
    speedup: float
    low: float
    high: float
    baseline: str
    median_us: float
    baseline_us: float
    configuration: Mapping[str, Any]


@dataclass(frozen=True)
class RecordedBest:
    """The fastest trial yet of a recorded space: its recorded time, and the shortest time of the recording."""

    trial: int
    milliseconds: float
    optimum_ms: float
    configuration: Mapping[str, Any]


Best = BestSoFar | RecordedBest


class Reporter(Protocol):
    """Receives the progress of a search, in one thread."""

    def started(self, search_id: int, budget: int, workers: tuple[str, ...], description: str) -> None:
        """Begin to report a search. `budget` counts the trials that this run may build.

        Without `workers` nothing is measured.
        """

    def worker(self, name: str, activity: str) -> None:
        """Report that the worker `name` turns to `activity`, such as `measuring trial 12`."""

    def trial_finished(self, line: TrialLine) -> None:
        """Report the outcome of a trial."""

    def taken_back(self, lines: Sequence[TrialLine]) -> None:
        """Withdraw outcomes that were reported before; their trials will be measured again."""

    def best(self, best: Best) -> None:
        """Report a trial that is faster than all before it, before or after its own `trial_finished`."""

    def best_before(self, best: Best) -> None:
        """Report the best trial of an earlier run that this one continues."""

    def note(self, text: str) -> None:
        """Report one line of text."""

    def stopped(self) -> None:
        """End the report, for whatever reason the search ended. A second call does nothing."""
