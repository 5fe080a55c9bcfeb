"""Record a search and print the number of each stored trial: `python -m tests.support.db.writer DATABASE TRIALS`."""

from __future__ import annotations

import os
import subprocess
import sys

from evotune_db import Database
from tests.support.db.examples import SEARCH, passed, record
from tests.support.paths import ROOT


def start_writer(database: str, trials: int) -> subprocess.Popen[str]:
    """Start such a process."""
    paths = os.pathsep.join(str(ROOT / folder) for folder in (".", "db"))
    command = [sys.executable, "-m", "tests.support.db.writer", database, str(trials)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths})


def main(address: str, trials: int) -> None:
    with Database.open(address) as database:
        search = database.start_search(SEARCH)
        for number in range(trials):
            record(database, search, number, passed())
            print(number, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
