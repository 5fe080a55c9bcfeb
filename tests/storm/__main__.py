"""Kills the parts of a small search at random moments, goes on with it, and checks that nothing was lost.

    python -m tests.storm --kills 100 --database postgresql
    python -m tests.storm --kills 100 --database sqlite --build-only

Real processes, compiler, Ray and database. Every ninth kill or so ends the search, which is then resumed; what is left
of its budget is done at the end without a kill. Exits with 1, and says which, when something does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from tests.storm import processes
from tests.storm.record import Outcomes, Record
from tests.support.db.server import Server, find_programs, running_server
from tests.support.forked.process import ForkedProcess, start
from tests.support.paths import IMPORT_PATH, SAXPY

SPACE = f"""
kernel: saxpy
variant: cpu
parameters:
  unroll: [1, 2, 4, 8, 16]
  mark_high: {list(range(20))}
  mark_low: {list(range(20))}
  threads: [1]
  fault: {{values: [none], kind: categorical}}
"""
# Never reached: the last run is told to end with a few trials more than there are.
LARGE_BUDGET, FEW = 1500, 2
END_SECONDS = 120.0
REFUSED = 2


@dataclass
class Storm:
    """One search in a folder of its own, and what was seen of it."""

    folder: Path
    url: str
    build_only: bool
    server: Server | None
    dice: random.Random
    kept: Outcomes = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def blow(self, kills: int, fatal_every: int) -> None:
        """Kill so many times, then let the search end; AssertionError when something does not hold."""
        while sum(self.counts.values()) < kills:
            left = kills - sum(self.counts.values())
            self._run_and_kill(min(left, fatal_every))
        record = Record(self.url)
        budget = (self._proposed() or 0) + FEW
        ended = self._start(budget)
        code = ended.wait(END_SECONDS)
        assert code == 0, f"the last run ended with {code}: {self._said()}"
        processes.require_none()
        record.require_kept(self.kept)
        record.require_whole(budget)
        self._require_clean()
        print(f"{budget} trials, {kills} kills: {self.counts}", flush=True)

    def _run_and_kill(self, kills: int) -> None:
        """All but the last kill are survived."""
        search = self._start(LARGE_BUDGET)
        if kills > 1:
            self._await_progress(search)
        for _ in range(kills - 1):
            time.sleep(self.dice.uniform(0.1, 0.8))
            self._kill_survived(search)
            assert search.poll() is None, f"the search ended: {self._said()}"
            self._look()
        time.sleep(self.dice.uniform(0, 2.0 if kills > 1 else 8.0))
        self._kill_fatally(search)
        processes.require_none()
        self._look()
        if self._proposed() is not None:
            Record(self.url).require_free()

    def _kill_survived(self, search: ForkedProcess) -> None:
        if self.server is not None and self.dice.random() < 0.4:
            return self._kill_server(self.server)
        if not self.build_only:
            # A configuration is tried again a few times only: whatever its child dies of may be its own doing.
            self._await_progress(search)
            time.sleep(self.dice.uniform(0, 2.0))
        # However short the storm, what measures is killed once.
        kinds = ["worker"] if self.build_only else ["child", "worker"] if "child" in self.counts else ["child"]
        kind = self.dice.choice(kinds)
        deadline = time.monotonic() + 30
        while not processes.kill_one(kind):
            assert time.monotonic() < deadline, f"no {kind} was seen in 30 s: {self._said()}"
            time.sleep(0.01)
        return self._count(kind)

    def _kill_server(self, server: Server) -> None:
        server.kill()
        time.sleep(self.dice.uniform(0.1, 1.5))
        processes.reap()  # a new one waits for its end
        server.start()
        self._count("postgres")

    def _kill_fatally(self, search: ForkedProcess) -> None:
        kind = self.dice.choice(["orchestrator", "orchestrator", "raylet", "gcs"])
        if kind == "orchestrator" or not processes.kill_one(kind):
            kind = "orchestrator"
            os.kill(search.pid, signal.SIGKILL)
        code = search.wait(END_SECONDS)
        assert code in (REFUSED, -signal.SIGKILL), f"{kind} killed, exit code {code}: {self._said()}"
        self._count(kind)

    def _await_progress(self, search: ForkedProcess) -> None:
        """Until an outcome is recorded that was not there before."""
        deadline = time.monotonic() + END_SECONDS
        while self._proposed() is None or len(Record(self.url).outcomes()) <= len(self.kept):
            assert search.poll() is None and time.monotonic() < deadline, f"no progress: {self._said()}"
            time.sleep(0.1)

    def _start(self, budget: int) -> ForkedProcess:
        new = [str(SAXPY), "--space", "space.yaml", "--target", "cpu", "--sampler", "random"]
        what = new + ["--build-only"] * self.build_only if self._proposed() is None else ["--resume", "1"]
        (self.folder / "space.yaml").write_text(SPACE)
        arguments = ("search", *what, "--budget", str(budget), "--db", self.url)
        log, variables = self.folder / "log", self._variables()
        return start("evotune", *arguments, folder=self.folder, variables=variables, log=log)

    def _variables(self) -> dict[str, str]:
        (self.folder / "tmp").mkdir(exist_ok=True)
        folders = {"TMPDIR": str(self.folder / "tmp"), "EVOTUNE_CACHE": str(self.folder / "cache")}
        own = {**folders, "PYTHONPATH": IMPORT_PATH}
        return {**os.environ, **own}

    def _proposed(self) -> int | None:
        """Return the number of trials; None without a search, since a first run may be killed before there is one."""
        with contextlib.suppress(SQLAlchemyError):
            return Record(self.url).proposed()
        return None

    def _look(self) -> None:
        if self._proposed() is not None:
            self.kept = Record(self.url).require_kept(self.kept)

    def _count(self, kind: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def _said(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def _require_clean(self) -> None:
        left = {path.name for path in (self.folder / "tmp").iterdir()} - LOCKS
        left |= {path.name for path in (self.folder / "cache" / "unfinished").iterdir()}
        assert not left, f"temporary files were left: {left}"


# The locks of the machine's CPU are made once and stay.
LOCKS = {"evotune-cpu-machine.lock", "evotune-cpu-turnstile.lock"}


@contextlib.contextmanager
def storm(kind: str, build_only: bool, seed: int) -> Iterator[Storm]:
    """Yield a storm in a new folder, on a new database of that kind."""
    # A socket's path must be short: not pytest's folder.
    with (
        tempfile.TemporaryDirectory(prefix="st-", dir="/tmp") as name,
        database(kind, Path(name)) as (url, server),
        processes.orphans_adopted(),
    ):
        yield Storm(Path(name), url, build_only, server, random.Random(seed))


@contextlib.contextmanager
def database(kind: str, folder: Path) -> Iterator[tuple[str, Server | None]]:
    """Yield the URL of a new database, and its server if it has one."""
    if kind == "sqlite":
        yield str(folder / "evotune.db"), None
        return
    programs = find_programs()
    assert programs is not None, "PostgreSQL is not installed: apt-get install postgresql"
    with running_server(programs) as server:
        yield server.new_database(), server


def main() -> None:
    """One storm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--fatal-every", type=int, default=9, help="how many kills end the search")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with storm(options.database, options.build_only, options.seed) as made:
        made.blow(options.kills, options.fatal_every)


if __name__ == "__main__":
    main()
