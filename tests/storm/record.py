"""Check from the database alone that a search that was killed has lost nothing."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, text

from evotune_db import address

Outcomes = dict[int, tuple[Any, ...]]
# These columns never change once a trial has an outcome, nor is a row added to its evidence.
OUTCOME = """
SELECT id, number, configuration_key, state, failed_gate, objective, finished,
  (SELECT count(*) FROM gate_result WHERE trial_id = trial.id AND phase = 'search'),
  (SELECT count(*) FROM timing WHERE trial_id = trial.id AND phase = 'search')
FROM trial WHERE finished IS NOT NULL
"""
# The machine's doing, under the load of compilers; nothing that a kill may come to.
FORGIVEN = ("timing", "plausibility", "confirm")
TWICE = "SELECT trial_id FROM timing GROUP BY trial_id, workload, mode, phase HAVING count(*) > 1"


class Record:
    """A look into the database, by a connection of its own each time."""

    def __init__(self, url: str) -> None:
        """Take the URL of a database that may not be there yet."""
        self._engine = create_engine(address.parse(url), poolclass=NullPool)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def proposed(self) -> int | None:
        """Return the number of trials, or None without a search."""
        if not self.ask("SELECT id FROM search"):
            return None
        return int(self.ask("SELECT count(*) FROM trial")[0][0])

    def outcomes(self) -> Outcomes:
        """Return what is recorded, by trial."""
        return {row[0]: row[1:] for row in self.ask(OUTCOME)}

    def require_kept(self, before: Outcomes) -> Outcomes:
        """Return what is recorded now; AssertionError when something of `before` is missing or has changed."""
        now = self.outcomes()
        for trial, outcome in before.items():
            found = now.get(trial)
            assert found == outcome or _unconfirmed(found), f"trial {trial} was {outcome}, is {found}"
        return now

    def require_free(self) -> None:
        """Somebody else can write at once."""
        with self._engine.connect() as connection:
            connection.execute(text("UPDATE search SET state = state"))
            connection.rollback()

    def require_whole(self, budget: int) -> None:
        """Require that the search ended with exactly its budget, each trial once and with all of its evidence."""
        assert self.ask("SELECT id, state, budget FROM search") == [(1, "finished", budget)]
        assert self.ask("SELECT * FROM lease") == []
        trials = self.ask("SELECT number, configuration_key, state, failed_gate, reason FROM trial ORDER BY number")
        assert [trial[0] for trial in trials] == list(range(budget))
        assert len({trial[1] for trial in trials}) == budget
        blamed = [trial for trial in trials if trial[2] == "failed" and trial[3] not in FORGIVEN]
        assert not blamed and {trial[2] for trial in trials} <= {"passed", "built", "failed"}, blamed
        gates = {outcome[6] for outcome in self.outcomes().values() if outcome[2] == "passed"}
        assert len(gates) <= 1, f"passed trials have been checked as often as each other, got {gates}"
        assert self.ask(TWICE) == []
        with self._engine.connect() as connection:
            _require_sound(connection)


def _unconfirmed(outcome: tuple[Any, ...] | None) -> bool:
    """Return True for a finalist that passed before and was not confirmed."""
    return outcome is not None and outcome[3] == "confirm"


def _require_sound(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        assert connection.execute(text("PRAGMA integrity_check")).scalars().all() == ["ok"]
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
