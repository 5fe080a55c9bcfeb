"""`evotune import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evotune import database_url
from evotune.commands import options

app = typer.Typer()


@app.command("import", epilog="Example: evotune import results.json --kernel convolution --target sm_86")
def import_t4(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Results of a tuner in T4: .json or .json.gz.")],
    kernel: Annotated[str, typer.Option(metavar="K", help="Kernel that was tuned.")] = "imported",
    target: Annotated[str, typer.Option(metavar="T", help="Target that it was measured on.")] = "imported",
    workload: Annotated[str, typer.Option(metavar="W", help="Workload that it was measured at.")] = "imported",
    db: options.DbOption = database_url.DEFAULT,
) -> None:
    """Record another tool's results (T4) as a search; they never enter the leaderboard, which is for what ran here."""
    from evotune.display.terminal import assignments, microseconds
    from evotune.t4 import import_t4 as import_results
    from evotune_db import Database

    with Database.open(db) as database:
        made = import_results(database, file, kernel, target, workload, lambda text: typer.echo(text, err=True))
    typer.echo(f"search {made.search}: {made.results} results imported, {made.correct} correct")
    if made.best is not None:
        typer.echo(f"best: {microseconds(made.best.time_ms * 1e3)}, {assignments(made.best.configuration)}")
