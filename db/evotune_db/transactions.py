"""Run work in one transaction; under a lease, repeat it until the database answers and let it count once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, cast
from uuid import uuid4

from sqlalchemy import Connection, Engine

from evotune_db.engine import Engines
from evotune_db.errors import ConnectionLost, as_database_errors
from evotune_db.retry import Notify, Retry
from evotune_db.write import lease

Result = TypeVar("Result")


def transact(engine: Engine, shown: str, work: Callable[[Connection], Result]) -> Result:
    """Return the result of `work`, its transaction committed; when it fails, raise DatabaseError and keep nothing."""
    with as_database_errors(shown), engine.begin() as connection:
        return work(connection)


class LeasedTransactions:
    """Transactions of the process that has the lease of a search."""

    def __init__(self, engines: Engines, held: lease.Lease, notify: Notify) -> None:
        """`notify` gets a line when the database does not answer, and when it answers again."""
        self.lease = held
        self._engines, self._notify = engines, notify

    def read(self, query: Callable[[Connection], Result]) -> Result:
        """Return the result of the query."""
        return self._retry(self._engines.read, query)

    def write(
        self, work: Callable[[Connection], Result], recall: Callable[[Connection], Result] | None = None
    ) -> Result:
        """Do `work` once and return its result; a commit without an answer is looked up before the next attempt.

        The lease's row keeps a result that is an id or None. For any other result `recall` must find it again, once
        the work is done.
        """
        return self._retry(self._engines.write, _Write(self.lease, work, recall))

    def _retry(self, engine: Engine, work: Callable[[Connection], Result]) -> Result:
        retry = Retry(self._notify)
        while True:
            try:
                result = transact(engine, self._engines.shown, work)
            except ConnectionLost as error:
                if not retry.wait(error):
                    raise
            else:
                retry.succeeded()
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
        assert result is None or isinstance(result, int), "the lease's row keeps no result but an id"
        return result
