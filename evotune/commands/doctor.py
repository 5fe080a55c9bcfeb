"""`evotune doctor`."""

from __future__ import annotations

import typer

from evotune import database_url
from evotune.commands import options
from evotune.display.formats import Format, write_list

app = typer.Typer()


@app.command(epilog="Example: evotune doctor --format json")
def doctor(format: options.FormatOption = Format.TABLE, db: options.DbOption = database_url.DEFAULT) -> None:
    """List what this machine has and lacks, with a remedy for each lack."""
    from evotune.display.checks import print_checks
    from evotune.doctor.checks import Check, cpu_target_works, examine

    checks = examine(db)
    write_list(checks, Check, format, print_checks)
    if not cpu_target_works(checks):
        raise typer.Exit(1)
