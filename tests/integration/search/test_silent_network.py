"""The network between a search and PostgreSQL goes silent: real hosts, as far as TCP can tell."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from tests.storm.processes import GONE_WITHIN_SECONDS
from tests.storm.record import Outcomes, Record
from tests.support.command import environment
from tests.support.db.server import Place, programs_or_skip, running_server
from tests.support.namespaces import SERVER_ADDRESS, Network, two_hosts
from tests.support.paths import SAXPY
from tests.support.saxpy import SIXTEEN_BUILDS

pytestmark = [pytest.mark.storm, pytest.mark.timeout(600)]

SILENT_SECONDS = 60
# It tries again for 90 s; the attempt that is under way then, and its farewell, come on top.
GIVES_UP_WITHIN_SECONDS = 150
# Enough that the silence begins in the middle.
SPACE = SIXTEEN_BUILDS.replace("mark_low: [0]", "mark_low: [0, 1, 2, 3]")
BUDGET, BEFORE_THE_SILENCE = 64, 12
SEARCH = (str(SAXPY), "--space", "space.yaml", "--target", "cpu", "--build-only", "--budget", str(BUDGET))


class Searching:
    """Searches on one host, with their database on another."""

    def __init__(self, folder: Path, network: Network, url: str, url_by_network: str) -> None:
        """Run searches in the folder; `url` leads to the database past the network."""
        self._folder, self._network, self._url = folder, network, url_by_network
        self._record = Record(url)

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a search that appends its output to the log."""
        command = [*self._network.search.enter, sys.executable, "-m", "evotune", "search", *arguments]
        # A temporary folder of its own has locks of its own: it takes no turns with other searches on this machine.
        own = {"EVOTUNE_CACHE": str(self._folder / "cache"), "TMPDIR": str(self._folder)}
        with (self._folder / "log").open("ab") as log:
            search = subprocess.Popen(
                [*command, "--db", self._url],
                cwd=self._folder,
                env={**environment(), **own},
                stdout=log,
                stderr=log,
            )
        try:
            yield search
        finally:
            search.kill()
            search.wait()

    def said(self) -> str:
        return (self._folder / "log").read_text()

    def cut_in_the_middle(self, search: subprocess.Popen[bytes]) -> Outcomes:
        """Cuts the network once outcomes are recorded; returns them."""
        deadline = time.monotonic() + 120
        while len(self._outcomes()) < BEFORE_THE_SILENCE:
            assert search.poll() is None and time.monotonic() < deadline, self.said()
            time.sleep(0.05)
        self._network.cut()
        return self._record.outcomes()

    def require_silent(self, before: Outcomes) -> None:
        """Nothing has come through, and the server has freed what the search had locked."""
        assert self._record.outcomes() == before and len(before) < BUDGET, self.said()
        assert self._record.ask("SELECT pid, state FROM pg_stat_activity WHERE client_addr IS NOT NULL") == []

    def require_whole(self, before: Outcomes) -> None:
        """Nothing is lost, twice or left."""
        self._record.require_kept(before)
        self._record.require_whole(BUDGET)
        deadline = time.monotonic() + GONE_WITHIN_SECONDS
        while left := self._network.search.others():
            assert time.monotonic() < deadline, left
            time.sleep(0.05)

    def _outcomes(self) -> Outcomes:
        with contextlib.suppress(SQLAlchemyError):
            return self._record.outcomes()
        return {}  # its tables are not there yet


@pytest.fixture
def network() -> Iterator[Network]:
    with two_hosts() as laid:
        yield laid


@pytest.fixture
def searching(network: Network, tmp_path: Path) -> Iterator[Searching]:
    (tmp_path / "space.yaml").write_text(SPACE)
    with running_server(programs_or_skip(), place=Place(network.server.enter, SERVER_ADDRESS)) as server:
        url = server.new_database()
        yield Searching(tmp_path, network, url, server.url_by_network(url))


def test_a_search_outlasts_a_minute_of_silence_and_loses_nothing(network: Network, searching: Searching) -> None:
    with searching.running(*SEARCH) as search:
        before = searching.cut_in_the_middle(search)
        time.sleep(SILENT_SECONDS)
        searching.require_silent(before)
        network.mend()
        assert search.wait(120) == 0, searching.said()
    assert "the database does not answer, trying again for" in searching.said()
    assert "the database answers again after" in searching.said() and "Traceback" not in searching.said()
    searching.require_whole(before)


def test_a_search_that_meets_silence_for_too_long_ends_in_one_line_and_is_gone_on_with(
    network: Network, searching: Searching
) -> None:
    with searching.running(*SEARCH) as search:
        before = searching.cut_in_the_middle(search)
        assert search.wait(GIVES_UP_WITHIN_SECONDS) == 2, searching.said()
    searching.require_silent(before)
    assert searching.said().count("error: ") == 1 and "--resume 1" in searching.said()
    assert "Traceback" not in searching.said()
    network.mend()
    with searching.running("--resume", "1") as resumed:
        assert resumed.wait(120) == 0, searching.said()
    searching.require_whole(before)
