"""Databases with tables and without rows, as copies: that takes a tenth of the time that it takes to create tables."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from evotune_db import Database


def make_sqlite(file: Path) -> None:
    """Write an SQLite file that has every table and no row."""
    file.write_bytes(_migrated())


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "evotune.db"
        Database.open(str(file)).close()
        return file.read_bytes()
