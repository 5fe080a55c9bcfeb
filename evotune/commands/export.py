"""`evotune export`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evotune import database_url
from evotune.commands import options
from evotune.commands.set_options import named_options
from evotune.errors import UserError

if TYPE_CHECKING:
    from evotune.export import Served
    from evotune_db.records import LeaderboardFilter

# Options of a package, which a T4 file does not have.
PACKAGE_ONLY = ("kernel", "target", "device", "trial", "arch", "within")

app = typer.Typer()


@app.command(epilog="Example: evotune export --kernel attention_fwd --workload mission --out best_attention")
def export(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new or empty folder; for T4, a new file.")],
    kernel: options.KernelOption = None,
    target: options.TargetOption = None,
    device: options.DeviceOption = None,
    workload: options.WorkloadOption = None,
    search: options.SearchOption = None,
    trial: Annotated[int | None, typer.Option(parser=options.count, metavar="ID", help="Export this trial.")] = None,
    arch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A", help="Build a CUDA kernel for this architecture too, such as sm_89; may be repeated."
        ),
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(
            parser=options.fraction,
            metavar="P",
            help="Serve all matching workloads by the fewest configurations within P, such as 3%, of each one's best.",
        ),
    ] = None,
    format: Annotated[
        options.ExportFormat,
        typer.Option(
            "--format",
            parser=options.choice(options.ExportFormat),
            metavar="package|t4",
            help="A package, or all results of the --search as a T4 file of auto-tuning results.",
        ),
    ] = options.ExportFormat.PACKAGE,
    db: options.DbOption = database_url.DEFAULT,
) -> None:
    """Export the best matching trial, the named one, or a portfolio, as a Python package that verifies itself."""
    from evotune_db.records import LeaderboardFilter

    if format is options.ExportFormat.T4:
        _refuse_package_options(context)
        _export_t4(out, search, workload, db)
    else:
        _export_package(out, LeaderboardFilter(kernel, target, device, workload, search, trial), within, arch or (), db)


def _export_package(
    out: Path, wanted: LeaderboardFilter, within: float | None, architectures: Sequence[str], db: str
) -> None:
    from evotune.export import export_package
    from evotune.trials.select import select_portfolio, select_served
    from evotune_db import Database

    if within is not None and wanted.trial is not None:
        raise UserError(f"--within chooses the trials itself, got --trial {wanted.trial} too; leave one of them out")
    with Database.open(database_url.existing(db)) as database:
        served = [select_served(database, wanted)] if within is None else select_portfolio(database, wanted, within)
    export_package(served, out, architectures)
    for each in served:
        typer.echo(f"{each.entry.workload}: {_serves(each)}")
    typer.echo(f"exported to {out}; check and time it: evotune verify {shlex.quote(str(out))}")


def _serves(served: Served) -> str:
    from evotune.display.leaderboard import proof
    from evotune.display.terminal import speedup

    if served.by_sdpa:
        return "SDPA, which was faster than every trial"
    entry = served.entry
    behind = f", {served.loss:.1%} behind trial {served.best.trial}" if served.loss > 0 else ""
    ratio = speedup(entry.speedup, entry.speedup_low, entry.speedup_high)
    return f"trial {entry.trial}, {ratio} over {entry.baseline}, {proof(entry)}{behind}"


def _refuse_package_options(context: typer.Context) -> None:
    names = named_options(context, PACKAGE_ONLY)
    if names:
        raise UserError(
            f"--format t4 exports the results of one search as they are, got {names} too; leave {names} out"
        )


def _export_t4(out: Path, search: int | None, workload: str | None, db: str) -> None:
    from evotune.t4 import write_t4
    from evotune_db import Database

    if search is None:
        raise UserError("--format t4 exports the results of one search, got none; name it with --search")
    with Database.open(database_url.existing(db)) as database:
        count = write_t4(database, search, workload, out)
    typer.echo(f"{count} results of search {search} exported to {out}")
