"""One transaction, and one that is tried until the database answers and then counts once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, cast
from uuid import uuid4

from sqlalchemy import Connection, Engine

from evotune_db.engine import Engines
from evotune_db.errors import ConnectionLost, as_database_errors
from evotune_db.write import lease
from evotune_db.write.retry import Patience, Tell

Result = TypeVar("Result")


def transact(engine: Engine, shown: str, work: Callable[[Connection], Result]) -> Result:
    """What `work` returns, its transaction committed; DatabaseError, and nothing of it kept, when that fails."""
    with as_database_errors(shown), engine.begin() as connection:
        return work(connection)


class Holding:
    """Transactions of the process that runs a search."""

    def __init__(self, engines: Engines, held: lease.Lease, tell: Tell) -> None:
        """`tell` is told when the database does not answer, and when it does again."""
        self.lease = held
        self._engines, self._tell = engines, tell

    def read(self, query: Callable[[Connection], Result]) -> Result:
        """What the query returns."""
        return self._patiently(self._engines.read, query)

    def write(
        self, work: Callable[[Connection], Result], recall: Callable[[Connection], Result] | None = None
    ) -> Result:
        """What `work` returns, done once: where the answer to a commit was lost, that is looked up.

        What is neither an id nor None is not kept with the write: `recall` finds it again, once the work is done.
        """
        return self._patiently(self._engines.write, _Write(self.lease, work, recall))

    def _patiently(self, engine: Engine, work: Callable[[Connection], Result]) -> Result:
        patience = Patience(self._tell)
        while True:
            try:
                result = transact(engine, self._engines.shown, work)
            except ConnectionLost as error:
                if not patience.wait(error):
                    raise
            else:
                patience.succeeded()
                return result


class _Write(Generic[Result]):
    """A write that may be attempted several times."""

    def __init__(
        self, held: lease.Lease, work: Callable[[Connection], Result], recall: Callable[[Connection], Result] | None
    ) -> None:
        self._held, self._work, self._recall, self._id = held, work, recall, uuid4().hex
        self._attempted = False

    def __call__(self, connection: Connection) -> Result:
        done = lease.find_write(connection, self._held, self._id) if self._attempted else None
        if done is not None:
            return cast("Result", done.result) if self._recall is None else self._recall(connection)
        self._attempted = True
        result = self._work(connection)
        lease.note_write(connection, self._held, self._id, self._kept(result))
        return result

    def _kept(self, result: Result) -> int | None:
        if self._recall is not None:
            return None
        assert result is None or isinstance(result, int), "of a search's writes no more than an id is kept"
        return result
