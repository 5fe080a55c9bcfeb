"""`evotune searches`."""

from __future__ import annotations

import typer

from evotune import database_url
from evotune.commands import options
from evotune.display.formats import Format, write_list

app = typer.Typer()


@app.command(epilog="Example: evotune searches --format csv")
def searches(format: options.FormatOption = Format.TABLE, db: options.DbOption = database_url.DEFAULT) -> None:
    """List the searches in the database."""
    from evotune.display.searches import print_searches
    from evotune_db import Database
    from evotune_db.records import SearchSummary

    with Database.open(database_url.existing(db)) as database:
        recorded = database.searches()
    write_list(recorded, SearchSummary, format, print_searches)
