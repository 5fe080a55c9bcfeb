"""The `evotune` command: errors become one line and an exit code here, at the edge; what it can do is in `commands`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from evotune.commands import machine, packages, record, search, trials
from evotune.errors import one_line, user_line

BAD_INPUT = 2
# As Typer and Rich have it when they are the ones to notice.
CLOSED_PIPE = 1

app = typer.Typer(name="evotune", rich_markup_mode="rich")
for commands in (search, record, trials, packages, machine):
    app.add_typer(commands.app)


def main() -> None:
    """The `evotune` command."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; bad input is one line on standard error and code 2."""
    try:
        code = typer.main.get_command(app).main(list(arguments), prog_name="evotune", standalone_mode=False)
        sys.stdout.flush()
        return code or 0
    except typer.TyperException as error:
        return _refuse(error.format_message())
    except BrokenPipeError:
        return _leave_closed_pipe()
    except Exception as error:
        line = user_line(error)
        if line is None:
            raise
        return _refuse(line)


@app.callback(invoke_without_command=True, epilog="Example: evotune search --budget 50")
def root(
    context: typer.Context,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Finds the fastest correct configuration of a GPU kernel and keeps the evidence."""
    if show_version:
        typer.echo(f"evotune {version('evotune')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _refuse(text: str) -> int:
    typer.echo(f"error: {one_line(text)}", err=True)
    return BAD_INPUT


def _leave_closed_pipe() -> int:
    """The reader left; what is buffered goes nowhere, or else Python would try once more at exit and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CLOSED_PIPE
