"""`evotune verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command(epilog="Example: evotune verify best_attention --skip-timing")
def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `evotune export` wrote.")],
    skip_timing: Annotated[bool, typer.Option("--skip-timing", help="Check the results only.")] = False,
) -> None:
    """Check an exported package and time it against this machine's SDPA; exit code 1 when a claim does not hold."""
    from evotune.export.load import verify_package

    if not verify_package(folder, skip_timing, typer.echo):
        raise typer.Exit(1)
