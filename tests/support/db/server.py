"""A PostgreSQL server of the tests' own: on a Unix socket, as a user that is not root, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path

import psutil
import psycopg
import pytest

from evotune_db import Database


@dataclass(frozen=True)
class Place:
    """Where a server runs, when not simply here: `enter` is a command that runs another one there, by nsenter.

    Beside its Unix socket, which is found from everywhere, it listens at `address`. `data` is where its data go.
    """

    enter: tuple[str, ...] = ()
    address: str = ""
    data: Path | None = None


HERE = Place()
# Anybody may come in, by the socket and from the same network.
HBA = "local all all trust\nhost all all samenet trust\n"


class Server:
    """A running server; its databases are made one by one."""

    def __init__(self, programs: Path, folder: Path, fsync: bool, place: Place) -> None:
        """Over the server whose socket, and data unless they have a place, are in that folder; starts it."""
        self._programs, self.folder, self._fsync, self._place = programs, folder, fsync, place
        self._numbers = count()
        self.start()

    def url(self, database: str, user: str = "evotune") -> str:
        """Return the URL of a database there, by its socket."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def url_by_network(self, url: str) -> str:
        """Return the URL that leads to the same database by the server's address."""
        return url.split("?")[0].replace("@/", f"@{self._place.address}/")

    def start(self) -> None:
        """Start it, also after `kill`: as soon as the processes of the killed one have ended."""
        settings = {
            "listen_addresses": self._place.address,
            "hba_file": self.folder / "hba",
            "fsync": "on" if self._fsync else "off",
        }
        options = f"-k {self.folder} " + " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        for attempt in reversed(range(50)):
            try:
                self._control("-w", "-l", self.folder / "log", "-o", options, "start")
                return
            except subprocess.CalledProcessError:
                if not attempt:
                    raise
                time.sleep(0.2)

    def stop(self) -> None:
        """End it as a crash would, but for its own processes."""
        self._control("-m", "immediate", "stop")

    def kill(self) -> None:
        """Kill it with SIGKILL and wait for its children, which end by themselves and answer until then."""
        server = psutil.Process(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]))
        children = server.children()
        server.kill()
        while any(_is_running(child) for child in children):
            time.sleep(0.01)

    def new_database(self, like: str = "template1") -> str:
        """Create an empty database, or a copy of that one, and return its URL."""
        name = f"evotune_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {like}".encode())
        return self.url(name)

    @cached_property
    def migrated(self) -> str:
        """The name of a database with every table and no row, to be copied."""
        url = self.new_database()
        Database.open(url).close()
        return url.split("?")[0].rpartition("/")[2]

    def _control(self, *arguments: str | Path) -> None:
        data = self._place.data or self.folder / "data"
        _run(self._place, self._programs / "pg_ctl", "-D", data, *arguments)


def _is_running(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def find_programs() -> Path | None:
    """Return the folder of initdb and postgres, or None when this machine has none."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return installed[-1].parent if installed else None


def programs_or_skip() -> Path:
    """Return the same; a machine without them skips the test, CI must have them."""
    programs = find_programs()
    if programs is None and os.environ.get("CI") != "true":
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    assert programs is not None, "CI must have PostgreSQL: apt-get install postgresql"
    return programs


@contextmanager
def running_server(programs: Path, *, fsync: bool = False, place: Place = HERE) -> Iterator[Server]:
    """Run a new server, and stop and remove it at the end; a test that kills it starts it again.

    Without `fsync` a commit does not wait for the disk: fit for tests, and for no measurement of a commit.
    """
    # Not pytest's folder: the server's user may not look into it, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="evotune-pg-", dir="/tmp"))
    user = _server_user()
    os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        setup = ("-U", "evotune", "--auth=trust", "--no-sync", "--no-locale", "--encoding=UTF8")
        _run(place, programs / "initdb", "-D", place.data or folder / "data", *setup)
        (folder / "hba").write_text(HBA)
        server = Server(programs, folder, fsync, place)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _server_user() -> pwd.struct_passwd:
    """Return the user that runs the server; PostgreSQL refuses root, so for root a user without rights."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    return pwd.getpwnam("nobody")


def _run(place: Place, *command: str | Path) -> None:
    user = _server_user()
    as_user: tuple[str, ...] = ()
    if os.getuid() == 0:
        as_user = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    subprocess.run([*place.enter, *as_user, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")
