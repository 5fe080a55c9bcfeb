"""Buffer of outcomes on their way to the database: written together, since that is cheaper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evotune.search.study import Proposal
from evotune_db import Database, DatabaseError
from evotune_db.errors import ConnectionLost, LeaseLost
from evotune_db.records import OutcomeRecord


@dataclass(frozen=True)
class OpenTrial:
    """A trial without an outcome: its id in the database, and its proposal."""

    id: int
    proposal: Proposal


@dataclass(frozen=True)
class BufferedOutcome:
    """The outcome of a trial that is yet to be written; `censored` when its timing stopped early."""

    trial: OpenTrial
    outcome: OutcomeRecord
    censored: bool


class OutcomeBuffer:
    """Collects outcomes, and trials that workers have begun to measure, until they are written."""

    def __init__(self, database: Database) -> None:
        """Begin empty."""
        self._database = database
        self._outcomes: list[BufferedOutcome] = []
        self._measuring: list[int] = []

    def __bool__(self) -> bool:
        """Return True if something is to be written."""
        return bool(self._outcomes or self._measuring)

    def add(self, outcome: BufferedOutcome) -> None:
        """Add an outcome."""
        self._outcomes.append(outcome)

    def add_measuring(self, trials: Sequence[int]) -> None:
        """Add the ids of trials that workers have begun to measure."""
        self._measuring += trials

    def write(self) -> Iterator[BufferedOutcome]:
        """Write everything, and yield each outcome that the database has then.

        Raises ConnectionLost, LeaseLost, or the database's first refusal of an outcome, after the others are written.
        """
        outcomes, self._outcomes = self._outcomes, []
        measuring, self._measuring = self._measuring, []
        try:
            self._write(outcomes, measuring)
        except (ConnectionLost, LeaseLost):
            raise
        except DatabaseError:
            yield from self._write_one_by_one(outcomes, measuring)
        else:
            yield from outcomes

    def _write(self, outcomes: Sequence[BufferedOutcome], measuring: Sequence[int]) -> None:
        self._database.record_outcomes([(each.trial.id, each.outcome) for each in outcomes], measuring=measuring)

    def _write_one_by_one(
        self, outcomes: Sequence[BufferedOutcome], measuring: Sequence[int]
    ) -> Iterator[BufferedOutcome]:
        """Write each on its own, so that a refused one costs no other its place in the record."""
        refusals = []
        for some, begun in (*(((each,), ()) for each in outcomes), *(((), (trial,)) for trial in measuring)):
            try:
                self._write(some, begun)
            except (ConnectionLost, LeaseLost):
                raise
            except DatabaseError as refusal:
                refusals.append(refusal)
            else:
                yield from some
        if refusals:
            raise refusals[0]
