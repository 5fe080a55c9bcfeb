"""Watching the head of a cluster that a search has joined.

When the head is lost, a call that needs it waits for a minute inside Ray, which then ends this process without an
exception. So the search checks the head before such calls, and gives it up sooner than Ray does.
"""

from __future__ import annotations

import socket
import time

from evotune_workers.cluster.connection import ClusterError

LOOK_SECONDS = 1.0
CONNECT_SECONDS = 1.0
# Half of Ray's own minute (gcs_rpc_server_reconnect_timeout_s), so that Ray finds a head again that came back.
LOST_SECONDS = 30.0


class Head:
    """The head at a cluster's address."""

    def __init__(self, address: str) -> None:
        """Watch the head at `address` (host:port), which answered a moment ago."""
        self._address = address
        self._looked = self._answered = time.monotonic()

    def in_touch(self) -> bool:
        """Return True if it answered within the last second; raises ClusterError when it has not for LOST_SECONDS."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            if self._listens():
                self._answered = now
        if now - self._answered > LOST_SECONDS:
            raise ClusterError(
                f"the cluster's head must answer at {self._address}, it has not for {LOST_SECONDS:.0f} s:"
                " start it again, or join another cluster"
            )
        return self._answered == self._looked

    def _listens(self) -> bool:
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
        except OSError:
            return False
        return True
