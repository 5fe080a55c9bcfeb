"""A network between a client and a PostgreSQL server that can be cut, or lose one answer."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOCKET = ".s.PGSQL.5432"


class Proxy:
    """Passes bytes on, in both directions, for any number of connections."""

    def __init__(self, folder: Path, server: Path) -> None:
        """Listen in `folder` for connections to the server whose socket is in `server`."""
        self._folder, self._server = folder, server
        self._cut = threading.Event()
        self._lose = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / SOCKET))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, through: str) -> str:
        """Return the URL that leads through this proxy to the same database."""
        return through.replace(str(self._server), str(self._folder))

    def cut(self) -> None:
        """End every connection and take no other."""
        self._cut.set()
        self._close()

    def mend(self) -> None:
        """Take connections again."""
        self._cut.clear()

    def lose_next_commit(self) -> None:
        """Let the server make the next commit, and end its connection before the client hears of it."""
        self._lose.set()

    def close(self) -> None:
        """End every connection and listen no more."""
        self._cut.set()
        self._listener.close()
        self._close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                if self._cut.is_set() or server.connect_ex(str(self._server / SOCKET)):
                    self._end(client, server)
                    continue
                self._open += [client, server]
                threading.Thread(target=self._upstream, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client), daemon=True).start()

    def _upstream(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                if b"COMMIT" in data and self._lose.is_set():
                    self._lose.clear()
                    client.shutdown(socket.SHUT_RDWR)
                    server.sendall(data)
                    return
                server.sendall(data)
        self._end(client, server)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        self._end(source, target)

    def _close(self) -> None:
        self._end(*self._open)
        self._open = []

    @staticmethod
    def _end(*sockets: socket.socket) -> None:
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextmanager
def proxy_to(server: Path) -> Iterator[Proxy]:
    """Run a proxy to the server whose socket is in that folder."""
    folder = Path(tempfile.mkdtemp(prefix="evotune-proxy-", dir="/tmp"))
    proxy = Proxy(folder, server)
    try:
        yield proxy
    finally:
        proxy.close()
        shutil.rmtree(folder)
