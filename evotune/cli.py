"""The `evotune` command, which turns errors into one line and an exit code; `commands` has a file for each command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from evotune.commands import (
    certify,
    compare,
    diagnose,
    doctor,
    export,
    import_t4,
    leaderboard,
    search,
    searches,
    show,
    verify,
)
from evotune.errors import one_line, user_line

BAD_INPUT = 2
# The exit code that Typer and Rich use for a closed pipe, too.
CLOSED_PIPE = 1

app = typer.Typer(name="evotune", rich_markup_mode="rich")
# In the order of `evotune --help`.
for command in (search, leaderboard, show, searches, compare, certify, diagnose, export, verify, import_t4, doctor):
    app.add_typer(command.app)


def main() -> None:
    """Run the command line of this process and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; bad input is one line on standard error and code 2."""
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
    """Find the fastest correct configuration of a GPU kernel and keep the evidence."""
    if show_version:
        typer.echo(f"evotune {version('evotune')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _refuse(text: str) -> int:
    typer.echo(f"error: {one_line(text)}", err=True)
    return BAD_INPUT


def _leave_closed_pipe() -> int:
    """Discard buffered output after its reader has left; Python would otherwise fail to write it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CLOSED_PIPE
