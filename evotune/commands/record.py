"""What the record holds: `evotune leaderboard`, `show` and `searches`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from evotune import database_url
from evotune.commands import options
from evotune.commands.options import DetailFormat, Format
from evotune.errors import UserError

app = typer.Typer()


@app.command(epilog="Example: evotune leaderboard --kernel attention_fwd --top 5 --format json")
def leaderboard(
    kernel: options.KernelOption = None,
    target: options.TargetOption = None,
    device: options.DeviceOption = None,
    workload: options.WorkloadOption = None,
    search: options.SearchOption = None,
    top: Annotated[int, typer.Option(parser=options.count, metavar="N", help="At most this many.")] = 20,
    format: options.FormatOption = Format.TABLE,
    db: options.DbOption = database_url.DEFAULT,
) -> None:
    """List the trials that passed every gate, the fastest first."""
    from evotune.display.tables import write_leaderboard
    from evotune.trials.select import empty_hint
    from evotune_db import Database
    from evotune_db.records import LeaderboardEntry, LeaderboardFilter

    wanted = LeaderboardFilter(kernel, target, device, workload, search, top=top)
    with Database.open(database_url.existing(db)) as database:
        entries = database.leaderboard(wanted)
        hint = "" if entries else empty_hint(database, wanted)
    write_leaderboard(entries, hint, LeaderboardEntry, format)


@app.command(epilog="Example: evotune show 17")
def show(
    trial: Annotated[
        int | None, typer.Argument(parser=options.count, metavar="TRIAL", help="A trial's number.")
    ] = None,
    search: Annotated[
        int | None, typer.Option(parser=options.count, metavar="ID", help="Show this search instead of a trial.")
    ] = None,
    format: options.DetailFormatOption = DetailFormat.TABLE,
    db: options.DbOption = database_url.DEFAULT,
) -> None:
    """Show everything recorded of one trial; or of a search: its best, and what it has learnt of each parameter."""
    from evotune.display import serialise, terminal
    from evotune.display.trial import print_trial
    from evotune_db import Database

    if trial is None:
        _show_search(search, format, db)
        return
    if search is not None:
        raise UserError(f"show takes a trial or a search, got trial {trial} and --search {search}; leave one out")
    with Database.open(database_url.existing(db)) as database:
        details = database.trial(trial)
    if format is DetailFormat.JSON:
        serialise.write_json(details, sys.stdout)
    else:
        print_trial(details, terminal.console(sys.stdout))


@app.command(epilog="Example: evotune searches --format csv")
def searches(format: options.FormatOption = Format.TABLE, db: options.DbOption = database_url.DEFAULT) -> None:
    """List the searches in the database."""
    from evotune.display.tables import write_searches
    from evotune_db import Database
    from evotune_db.records import SearchSummary

    with Database.open(database_url.existing(db)) as database:
        write_searches(database.searches(), SearchSummary, format)


def _show_search(search: int | None, format: DetailFormat, db: str) -> None:
    from evotune.display import serialise, terminal
    from evotune.display.insight import search_insight
    from evotune.display.search import SearchDetails, print_search
    from evotune_db import Database
    from evotune_db.records import LeaderboardFilter

    if search is None:
        raise UserError("show takes a TRIAL or --search ID, got neither; `evotune searches` lists searches")
    with Database.open(database_url.existing(db)) as database:
        stored = database.load_search(search)
        winners = tuple(database.leaderboard(LeaderboardFilter(search=search, top=1)))
    details = SearchDetails(stored, winners, search_insight(stored))
    if format is DetailFormat.JSON:
        serialise.write_json(details, sys.stdout)
    else:
        print_search(details, terminal.console(sys.stdout))
