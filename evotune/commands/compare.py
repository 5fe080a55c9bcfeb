"""`evotune compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from evotune import database_url
from evotune.commands import options
from evotune.display.formats import DetailFormat, write_details

app = typer.Typer()


@app.command(epilog="Example: evotune compare 54 17")
def compare(
    first: Annotated[int, typer.Argument(parser=options.count, metavar="TRIAL", help="A trial of the leaderboard.")],
    second: Annotated[
        int | None,
        typer.Argument(
            parser=options.trial_or_baseline,
            metavar="OTHER",
            help="Another trial, or `baseline`, the fastest baseline.",
            show_default="baseline",
        ),
    ] = None,
    workload: options.WorkloadOption = None,
    format: options.DetailFormatOption = DetailFormat.TABLE,
    db: options.DbOption = database_url.DEFAULT,
) -> None:
    """Time a trial against another one or the baseline: faster, slower, or no difference seen."""
    from evotune.display.comparison import print_comparison
    from evotune.trials.compare import compare_trials
    from evotune_db import Database

    with Database.open(database_url.existing(db)) as database:
        found = compare_trials(database, first, second, workload)
    write_details(found, format, print_comparison)
