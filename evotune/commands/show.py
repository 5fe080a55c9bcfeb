"""`evotune show`."""

from __future__ import annotations

from typing import Annotated

import typer

from evotune import database_url
from evotune.commands import options
from evotune.display.formats import DetailFormat, write_details
from evotune.errors import UserError

app = typer.Typer()


@app.command(epilog="Example: evotune show 17")
def show(
    trial: Annotated[
        int | None, typer.Argument(parser=options.count, metavar="TRIAL", help="A trial's number.")
    ] = None,
    search: Annotated[
        int | None, typer.Option(parser=options.count, metavar="ID", help="Show this search instead of a trial.")
    ] = None,
    format: options.DetailFormatOption = DetailFormat.TABLE,
    db: options.DbOption = database_url.DEFAULT,
) -> None:
    """Show everything recorded of one trial; or of a search, its best trials and the effect of each parameter."""
    if trial is not None and search is not None:
        raise UserError(f"show takes a trial or a search, got trial {trial} and --search {search}; leave one out")
    if trial is not None:
        _show_trial(trial, format, db)
    elif search is not None:
        _show_search(search, format, db)
    else:
        raise UserError("show takes a TRIAL or --search ID, got neither; `evotune searches` lists searches")


def _show_trial(trial: int, format: DetailFormat, db: str) -> None:
    from evotune.display.trial import print_trial
    from evotune_db import Database

    with Database.open(database_url.existing(db)) as database:
        details = database.trial(trial)
    write_details(details, format, print_trial)


def _show_search(search: int, format: DetailFormat, db: str) -> None:
    from evotune.display.search import print_search
    from evotune.trials.parameter_effects import search_details
    from evotune_db import Database

    with Database.open(database_url.existing(db)) as database:
        details = search_details(database, search)
    write_details(details, format, print_search)
