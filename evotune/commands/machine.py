"""`evotune doctor`."""

from __future__ import annotations

import typer

from evotune import database_url
from evotune.commands import options
from evotune.commands.options import Format

app = typer.Typer()


@app.command(epilog="Example: evotune doctor --format json")
def doctor(format: options.FormatOption = Format.TABLE, db: options.DbOption = database_url.DEFAULT) -> None:
    """Tell what this machine has and lacks, each lack with its remedy."""
    from evotune.display.tables import write_list
    from evotune.doctor.checks import Check, cpu_target_works, examine, print_checks

    checks = examine(db)
    write_list(checks, Check, format, print_checks)
    if not cpu_target_works(checks):
        raise typer.Exit(1)
