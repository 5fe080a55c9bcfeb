"""`evotune certify`."""

from __future__ import annotations

from typing import Annotated

import typer

from evotune import database_url
from evotune.commands import options

app = typer.Typer()


@app.command(epilog="Example: evotune certify 54")
def certify(
    trial: Annotated[int, typer.Argument(parser=options.count, metavar="TRIAL", help="A trial of the leaderboard.")],
    workload: options.WorkloadOption = None,
    db: options.DbOption = database_url.DEFAULT,
) -> None:
    """Run NVIDIA's sanitizers and counters on a trial's build, on a GPU of the kind that measured it."""
    from evotune.display.certification import certification_text
    from evotune.trials.certify import certify_trial
    from evotune_db import Database

    with Database.open(database_url.existing(db)) as database:
        certified = certify_trial(database, trial, workload, typer.echo)
    typer.echo(certification_text(certified))
    if not certified.certification.passed:
        raise typer.Exit(1)
