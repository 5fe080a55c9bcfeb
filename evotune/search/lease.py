"""Holding a search while it runs: nobody else may run it, and others can tell that this process is alive."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from evotune_db import Database, DatabaseError
from evotune_db.records import SearchRecord, StoredSearch

# Several of these fit into the time after which a silent process has lost its search (evotune_db.lease_status).
RENEW_SECONDS = 15.0


class SearchLease:
    """While entered, the search that was taken is this process's own."""

    def __init__(self, database: Database, tell: Callable[[str], None]) -> None:
        """Holds nothing yet; `tell` is told when the database does not answer for a while."""
        self.database = database
        self._tell = tell
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, daemon=True)

    def start(self, record: SearchRecord) -> int:
        """Records a new search and takes it; returns its id."""
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
        """Sets the search that was taken running again, with this budget; returns its id."""
        self.database.resume_search(search_id, budget)
        return search_id

    def take(self, search_id: int) -> None:
        """Takes a search, once; raises LeaseHeld when another process runs it, NotFoundError when there is none."""
        self.database.acquire_lease(search_id, self._tell)
        self._renewing.start()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Frees the search; one that cannot be freed now is free when this process has ended."""
        self._ended.set()
        if self._renewing.is_alive():
            self._renewing.join()
        with contextlib.suppress(DatabaseError):
            self.database.release_lease()

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            # Whatever is wrong, the search's next write finds out and says so.
            with contextlib.suppress(DatabaseError):
                self.database.renew_lease()
