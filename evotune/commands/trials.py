"""More about a trial, found out now: `evotune compare`, `certify` and `diagnose`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from evotune import database_url
from evotune.commands import options
from evotune.commands.options import DetailFormat

app = typer.Typer()


@app.command(epilog="Example: evotune compare 54 17")
def compare(
    first: Annotated[int, typer.Argument(parser=options.count, metavar="TRIAL", help="A trial of the leaderboard.")],
    second: Annotated[
        int | None,
        typer.Argument(
            parser=options.trial_or_baseline,
            metavar="OTHER",
            help="Another one, or `baseline`, the fastest of them.",
            show_default="baseline",
        ),
    ] = None,
    workload: options.WorkloadOption = None,
    format: options.DetailFormatOption = DetailFormat.TABLE,
    db: options.DbOption = database_url.DEFAULT,
) -> None:
    """Time a trial against another one or the baseline: faster, slower, or no difference seen."""
    from evotune.display import serialise
    from evotune.trials.compare import compare_trials, in_words
    from evotune_db import Database

    with Database.open(database_url.existing(db)) as database:
        found = compare_trials(database, first, second, workload)
    if format is DetailFormat.JSON:
        serialise.write_json(found, sys.stdout)
    else:
        typer.echo(in_words(found))


@app.command(epilog="Example: evotune certify 54")
def certify(
    trial: Annotated[int, typer.Argument(parser=options.count, metavar="TRIAL", help="A trial of the leaderboard.")],
    workload: options.WorkloadOption = None,
    db: options.DbOption = database_url.DEFAULT,
) -> None:
    """Run NVIDIA's sanitizers and counters on a trial's build, on a GPU of the kind that measured it."""
    from evotune.trials.certify import certify_trial
    from evotune_db import Database

    with Database.open(database_url.existing(db)) as database:
        if not certify_trial(database, trial, workload, typer.echo):
            raise typer.Exit(1)


@app.command(epilog="Example: evotune diagnose 17")
def diagnose(
    trial: Annotated[int, typer.Argument(parser=options.count, metavar="TRIAL", help="A trial with a wrong result.")],
    db: options.DbOption = database_url.DEFAULT,
) -> None:
    """Trace a trial's wrong result to the stage of the kernel that it comes from, as a search does for the first 16."""
    from evotune.display import terminal
    from evotune.display.findings import diagnoses
    from evotune.trials.diagnose import diagnose_trial
    from evotune_db import Database

    with Database.open(database_url.existing(db)) as database:
        details = diagnose_trial(database, trial)
    for part in diagnoses(details):
        terminal.console(sys.stdout).print(part)
