"""The head of a cluster that a search has joined, and whether it is still there.

Ray waits a minute for a head that it lost, within whatever call happens to need it, and then ends this process without
an exception. So the head is looked for before such calls, and is given up for lost sooner than by Ray.
"""

from __future__ import annotations

import socket
import time

from evotune_workers.cluster.connection import ClusterError

LOOK_SECONDS = 1.0
CONNECT_SECONDS = 1.0
# Half of Ray's own minute (gcs_rpc_server_reconnect_timeout_s): a head that was only out of reach is found again.
LOST_SECONDS = 30.0


class Head:
    """What answers at a cluster's address."""

    def __init__(self, address: str) -> None:
        """It answered a moment ago. `address`: host and port."""
        self._address = address
        self._looked = self._answered = time.monotonic()

    def in_touch(self) -> bool:
        """Whether it answers, as of a second ago at most. Raises ClusterError when it has not for LOST_SECONDS."""
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
