"""The URL of the database: its default, its file if it has one, and its form for messages."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from evotune.errors import UserError

VARIABLE = "EVOTUNE_DB"
DEFAULT = "./evotune.db"
PASSWORD_IN_QUERY = re.compile(r"(?<=password=)[^&]*")


def existing(url: str) -> str:
    """Return `url`; UserError when it is an SQLite file that does not exist, which reading must not create."""
    file = sqlite_file(url)
    if file is not None and not file.exists():
        raise UserError(
            f"a database must exist to be read, got {shown(url)}: no such file; make one with `evotune search`, "
            f"or name another with --db or {VARIABLE}"
        )
    return url


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite database, given as a path or a URL; None for a server or a database in memory."""
    if "://" not in url:
        return Path(url).expanduser()
    if not url.startswith("sqlite"):
        return None
    path = url.partition(":///")[2].partition("?")[0]
    return Path(path) if path and path != ":memory:" else None


def shown(url: str) -> str:
    """Return `url` with its password hidden, whether it stands before the last @ or in the query."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    user, at, place = rest.rpartition("@")
    name, colon, _ = user.partition(":")
    hidden = f"{name}:***@" if colon else f"{user}{at}"
    return f"{scheme}://{hidden}{PASSWORD_IN_QUERY.sub('***', place)}"


def option(url: str) -> str:
    """Return ` --db URL` for a printed command, or nothing when that database is the default here."""
    default = os.environ.get(VARIABLE) or DEFAULT
    return "" if url == default else f" --db {shlex.quote(shown(url))}"
