"""`evotune diagnose`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from evotune import database_url
from evotune.commands import options

app = typer.Typer()


@app.command(epilog="Example: evotune diagnose 17")
def diagnose(
    trial: Annotated[int, typer.Argument(parser=options.count, metavar="TRIAL", help="A trial with a wrong result.")],
    db: options.DbOption = database_url.DEFAULT,
) -> None:
    """Trace a trial's wrong result to a stage of the kernel; a search does so for its first 16 wrong results."""
    from evotune.display.findings import diagnoses
    from evotune.display.terminal import console
    from evotune.trials.diagnose import diagnose_trial
    from evotune_db import Database

    with Database.open(database_url.existing(db)) as database:
        details = diagnose_trial(database, trial)
    target = console(sys.stdout)
    for part in diagnoses(details):
        target.print(part)
