"""Namespaces of a test's own: a disk that can fill up, a network that can be cut; nothing of them is seen outside."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import pytest

Kind = Literal["mount", "net"]
# Where a disk is mounted, which only those who enter its namespace see. A short path: Ray makes its sockets below.
DISK = Path("/mnt")
SEARCH_ADDRESS, SERVER_ADDRESS = "10.213.0.1", "10.213.0.2"


@dataclass(frozen=True)
class Rights:
    """Commands that make a namespace and enter it."""

    make: tuple[str, ...]
    enter: tuple[str, ...]


# Root's of the machine, and anybody's where users may have namespaces of their own.
RIGHTS = (
    Rights(("unshare",), ("nsenter",)),
    Rights(
        ("unshare", "--map-current-user", "--keep-caps"),
        ("nsenter", "--user", "--preserve-credentials"),
    ),
)


class Namespace:
    """Kept by a shell inside, which has the rights of root there."""

    def __init__(self, kind: Kind, make: Sequence[str], enter: Sequence[str]) -> None:
        """By a command that runs another one in a new namespace; `enter` lacks what says which."""
        self._kind = kind
        self._shell = subprocess.Popen(
            [*make, f"--{kind}", "sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.process = self._shell.pid
        self.enter = (*enter, f"--{kind}", "--target", str(self.process))
        # The same as files, in the order in which they are entered.
        names = (*(("user",) if "--user" in enter else ()), {"mount": "mnt"}.get(kind, kind))
        self.files = tuple(f"/proc/{self.process}/ns/{name}" for name in names)

    def do(self, command: str) -> None:
        """Run a line of shell inside; AssertionError when it fails."""
        assert self._shell.stdin is not None and self._shell.stdout is not None
        self._shell.stdin.write(f"({command}) >&2 </dev/null; echo $?\n")
        self._shell.stdin.flush()
        assert self._shell.stdout.readline() == "0\n", command

    def others(self) -> list[psutil.Process]:
        """Return the other processes in it, whatever their parents are."""
        return [each for each in psutil.process_iter() if each.pid != self.process and self._holds(each)]

    def close(self) -> None:
        """End every process in it, with the last of which it is gone."""
        self._shell.communicate()

    def _holds(self, process: psutil.Process) -> bool:
        try:
            return self._inode(process.pid) == self._inode(self.process)
        except OSError:
            return False  # it has just ended, or is none of ours

    def _inode(self, process: int) -> int:
        return Path(f"/proc/{process}/ns/{self._kind}").stat().st_ino


class Disk:
    """A small file system at DISK."""

    def __init__(self, inside: Namespace) -> None:
        """Mounted in that namespace already."""
        self.enter, self.files = inside.enter, inside.files
        self._do = inside.do

    def fill(self, *, room_kib: int = 0) -> None:
        """Leaves so much room."""
        # `cat` fails, for want of room.
        self._do(f"cat /dev/zero > {DISK}/full 2> /dev/null || truncate --size=-{room_kib}K {DISK}/full")

    def free(self) -> None:
        """Make room again."""
        self._do(f"rm {DISK}/full")

    def copy_out(self, name: str, to: Path) -> None:
        """Copy files whose names begin like this to a folder outside."""
        self._do(f"cp {DISK}/{name}* {to}")


class Network:
    """Two hosts, `search` and `server`, and a cable between them."""

    def __init__(self, search: Namespace, server: Namespace) -> None:
        """Lays the cable."""
        self.search, self.server = search, server
        search.do("ip link set lo up")
        search.do(f"ip link add name cable type veth peer name cable netns {server.process}")
        for each, address in ((search, SEARCH_ADDRESS), (server, SERVER_ADDRESS)):
            each.do(f"ip address add {address}/24 dev cable && ip link set cable up")
        # As if behind a router: a host that cannot even be found on the own cable is an error within 3 s, not silence.
        search.do(f"ip neighbour replace {SERVER_ADDRESS} dev cable nud permanent lladdr {self._hardware(server)}")

    def cut(self) -> None:
        """Whatever is sent from now on vanishes, and nobody is told."""
        self.server.do("ip link set cable down")

    def mend(self) -> None:
        """As it was."""
        self.server.do("ip link set cable up")

    @staticmethod
    def _hardware(host: Namespace) -> str:
        command = [*host.enter, "ip", "-brief", "link", "show", "cable"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[2]


@contextmanager
def small_disk(size: str, *options: str) -> Iterator[Disk]:
    """Mount an empty disk of that size, with options of `mount`; skip the test where that is forbidden."""
    rights = _rights_or_skip("mount", f"mount -t tmpfs none {DISK}")
    with _namespace("mount", rights.make, rights.enter) as inside:
        inside.do(f"mount -t tmpfs -o {','.join((f'size={size}', *options))} none {DISK}")
        yield Disk(inside)


@contextmanager
def two_hosts() -> Iterator[Network]:
    """Make a network that works; skip the test where that is forbidden."""
    rights = _rights_or_skip("net", "ip link add name cable type veth")
    with ExitStack() as opened:
        search = opened.enter_context(_namespace("net", rights.make, rights.enter))
        # Below the search's user namespace, if it has one: who has rights there may lay a cable between both.
        below = (*rights.enter, "--target", str(search.process)) if "--user" in rights.enter else ()
        server = opened.enter_context(_namespace("net", (*below, *rights.make), rights.enter))
        yield Network(search, server)


@contextmanager
def _namespace(kind: Kind, make: Sequence[str], enter: Sequence[str]) -> Iterator[Namespace]:
    made = Namespace(kind, make, enter)
    try:
        made.do("true")
        yield made
    finally:
        made.close()


def _rights_or_skip(kind: Kind, trial: str) -> Rights:
    """Return the rights that suffice; a machine that forbids them skips the test, CI must not."""
    for rights in RIGHTS:
        if not subprocess.run([*rights.make, f"--{kind}", "sh", "-c", trial], capture_output=True).returncode:
            return rights
    assert os.environ.get("CI") != "true", f"CI must allow namespaces: root, or user namespaces ({trial})"
    pytest.skip(f"needs the right to {trial}")
