"""Lease on a search while it runs: no other process may run it, and others can tell that this one is alive."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from evotune_db import Database, DatabaseError
from evotune_db.records import SearchRecord, StoredSearch

# A process that is silent for several times as long has lost its search (evotune_db.lease_status).
RENEW_SECONDS = 15.0


class SearchLease:
    """While entered, the search that was taken belongs to this process."""

    def __init__(self, database: Database, tell: Callable[[str], None]) -> None:
        """Begin without a search; `tell` receives a line when the database does not answer for a while."""
        self.database = database
        self._tell = tell
        self._stop = threading.Event()
        self._renewing = threading.Thread(target=self._renew, daemon=True)

    def start(self, record: SearchRecord) -> int:
        """Record a new search and take it; return its id."""
        search_id = self.database.start_search(record)
        self.take(search_id)
        return search_id

    def load(self, search_id: int | None) -> StoredSearch | None:
        """Take the search to resume and load it, when no other process can add to it; None for a new search."""
        if search_id is None:
            return None
        self.take(search_id)
        return self.database.load_search(search_id)

    def resume(self, search_id: int, budget: int) -> int:
        """Set the search that was taken running again, with this budget; return its id."""
        self.database.resume_search(search_id, budget)
        return search_id

    def take(self, search_id: int) -> None:
        """Take a search, once. Raises LeaseHeld when another process runs it, NotFoundError when there is none."""
        self.database.acquire_lease(search_id, self._tell)
        self._renewing.start()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free the search; one that cannot be freed now is free when this process has ended."""
        self._stop.set()
        if self._renewing.is_alive():
            self._renewing.join()
        with contextlib.suppress(DatabaseError):
            self.database.release_lease()

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            # The search's next write meets the same error and reports it.
            with contextlib.suppress(DatabaseError):
                self.database.renew_lease()
