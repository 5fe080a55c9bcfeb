"""The file of a database, and its address without the password, wherever that stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from evotune import database_url
from evotune_db import address


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("runs/evotune.db", Path("runs/evotune.db")),
        ("~/evotune.db", Path.home() / "evotune.db"),
        ("sqlite:///evotune.db", Path("evotune.db")),
        ("sqlite:////var/evotune.db", Path("/var/evotune.db")),
        ("sqlite+pysqlite:///evotune.db?timeout=3", Path("evotune.db")),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("postgresql://host/evotune", None),
    ],
)
def test_the_file_of_a_database_url_is_found(url: str, file: Path | None) -> None:
    assert database_url.sqlite_file(url) == file


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("evotune.db", "evotune.db"),
        ("sqlite:///evotune.db?timeout=3", "sqlite:///evotune.db?timeout=3"),
        ("postgresql://host/evotune?sslmode=require", "postgresql://host/evotune?sslmode=require"),
        ("postgresql://ann@host/evotune", "postgresql://ann@host/evotune"),
        ("postgresql://ann:secret@host:5432/evotune", "postgresql://ann:***@host:5432/evotune"),
        ("postgresql://ann:sec/ret@host/evotune", "postgresql://ann:***@host/evotune"),
        ("postgresql://ann:sec@ret@host/evotune", "postgresql://ann:***@host/evotune"),
        (
            "postgresql://host/evotune?user=ann&password=secret&sslmode=require",
            "postgresql://host/evotune?user=ann&password=***&sslmode=require",
        ),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert database_url.shown(url) == shown
    assert "sec" not in address.shown(url), "the database's own errors are as careful"
