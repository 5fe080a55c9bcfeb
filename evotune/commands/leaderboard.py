"""`evotune leaderboard`."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from evotune import database_url
from evotune.commands import options
from evotune.display.formats import Format, write_list

app = typer.Typer()


@app.command(epilog="Example: evotune leaderboard --kernel attention_fwd --top 5 --format json")
def leaderboard(
    kernel: options.KernelOption = None,
    target: options.TargetOption = None,
    device: options.DeviceOption = None,
    workload: options.WorkloadOption = None,
    search: options.SearchOption = None,
    top: Annotated[int, typer.Option(parser=options.count, metavar="N", help="List at most N trials.")] = 20,
    format: options.FormatOption = Format.TABLE,
    db: options.DbOption = database_url.DEFAULT,
) -> None:
    """List the trials that passed every gate, the fastest first."""
    from evotune.display.leaderboard import print_leaderboard
    from evotune.trials.select import empty_hint
    from evotune_db import Database
    from evotune_db.records import LeaderboardEntry, LeaderboardFilter

    wanted = LeaderboardFilter(kernel, target, device, workload, search, top=top)
    with Database.open(database_url.existing(db)) as database:
        entries = database.leaderboard(wanted)
        hint = "" if entries else empty_hint(database, wanted)
    write_list(entries, LeaderboardEntry, format, partial(print_leaderboard, hint=hint))
