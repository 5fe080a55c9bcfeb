"""`evotune search`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from evotune import database_url
from evotune.commands import options
from evotune.commands.set_options import named_options
from evotune.errors import UserError
from evotune.planning import request

if TYPE_CHECKING:
    from evotune.search.reporter import Reporter
    from evotune.search.result import SearchResult

# Options that a stored search keeps when it is resumed.
FIXED_BY_RESUME = ("space", "target", "workload", "sampler", "seed", "build_only", "warm_start", "replay", "no_reuse")
# Options of building and measuring, which a replay does not do.
MEASURING_ONLY = (
    "kernel",
    "space",
    "target",
    "workload",
    "ray_address",
    "gpus",
    "build_only",
    "warm_start",
    "no_reuse",
)

KernelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="KERNEL", help="A built-in name, or a folder with a kernel.py.", show_default=request.DEFAULT_KERNEL
    ),
]
SpaceOption = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Search space: a YAML file or a built-in name.", show_default="the target's own"),
]
TargetOption = Annotated[
    str,
    typer.Option(metavar="T", help="cpu, sm_80, sm_86, sm_89, sm_90, or auto: this machine's GPU, else its CPU."),
]
WorkloadOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Workload to optimise for; may be repeated.", show_default="the kernel's first"),
]
BudgetOption = Annotated[
    int | None,
    typer.Option(
        parser=options.count,
        metavar="N",
        help="Distinct configurations to build.",
        show_default=f"{request.DEFAULT_BUDGET}; with --resume, the search's own",
    ),
]
TimeLimitOption = Annotated[
    float | None, typer.Option(parser=options.seconds, metavar="S", help="Propose no configuration after S seconds.")
]
SamplerOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Proposes configurations: evolution, random, qmc, tpe, nsga2, gp.",
        show_default=f"{request.DEFAULT_SAMPLER}; with --build-only, {request.BUILD_ONLY_SAMPLERS[0]}",
    ),
]
SeedOption = Annotated[
    int,
    typer.Option(parser=options.whole, metavar="N", help="The same seed and the same timings give the same proposals."),
]
RayAddressOption = Annotated[
    str | None, typer.Option(metavar="A", help="Join this Ray cluster instead of a local one.")
]
GpusOption = Annotated[
    int | None,
    typer.Option(
        parser=options.count,
        metavar="N",
        help="Measure on N GPUs; an autoscaling cluster starts them.",
        show_default="all",
    ),
]
ResumeOption = Annotated[int | None, typer.Option(parser=options.count, metavar="ID", help="Continue a stored search.")]
BuildOnlyOption = Annotated[
    bool,
    typer.Option(
        "--build-only",
        help="Compile and record, but do not measure; no device is needed. Example: --target sm_89 --build-only.",
    ),
]
WarmStartOption = Annotated[
    bool,
    typer.Option(
        "--warm-start",
        help="Start from the best trials of the nearest workloads and devices, at most a tenth of the budget.",
    ),
]
ReplayOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="Search a recorded space (CSV or T4 JSON) instead; no compiler or device is needed."
    ),
]
NoReuseOption = Annotated[
    bool,
    typer.Option(
        "--no-reuse", help="Also build and measure configurations that other searches in the database have measured."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON; progress goes to standard error.")]

app = typer.Typer()


@app.command(epilog="Example: evotune search attention_fwd --workload mission --budget 200")
def search(
    context: typer.Context,
    kernel: KernelArgument = None,
    space: SpaceOption = None,
    target: TargetOption = request.DEFAULT_TARGET,
    workload: WorkloadOption = None,
    budget: BudgetOption = None,
    time_limit: TimeLimitOption = None,
    sampler: SamplerOption = None,
    seed: SeedOption = request.DEFAULT_SEED,
    db: options.DbOption = database_url.DEFAULT,
    ray_address: RayAddressOption = None,
    gpus: GpusOption = None,
    resume: ResumeOption = None,
    build_only: BuildOnlyOption = False,
    warm_start: WarmStartOption = False,
    replay: ReplayOption = None,
    no_reuse: NoReuseOption = False,
    json: JsonOption = False,
) -> None:
    """Search for the fastest correct configuration of a kernel, and record every trial."""
    if resume is not None:
        _refuse_fixed_settings(context, resume)
        database_url.existing(db)
    if replay is not None:
        _refuse_measuring_options(context)
    fresh = resume is None
    _search(
        request.SearchRequest(
            db=db,
            kernel=kernel or (request.DEFAULT_KERNEL if fresh else None),
            space=space,
            target=target,
            workloads=tuple(workload or ()),
            budget=budget or (request.DEFAULT_BUDGET if fresh else None),
            time_limit=time_limit,
            sampler=sampler,
            seed=seed,
            ray_address=ray_address,
            gpus=gpus,
            resume=resume,
            build_only=build_only,
            warm_start=warm_start,
            replay=replay,
            reuse=not no_reuse,
        ),
        json,
    )


def _search(wanted: request.SearchRequest, json: bool) -> None:
    from evotune.display import serialise, summary
    from evotune.display.progress import make_reporter
    from evotune.replay.replay_search import is_replay

    reporter = make_reporter(json)
    try:
        result = _replay(wanted, reporter) if is_replay(wanted) else _run(wanted, reporter)
    finally:
        reporter.stopped()
    if json:
        serialise.write_json(summary.as_json(result), sys.stdout)
    else:
        typer.echo(summary.as_text(result, wanted))
    raise typer.Exit(summary.exit_code(result, wanted))


def _replay(wanted: request.SearchRequest, reporter: Reporter) -> SearchResult:
    from evotune.replay.replay_search import run_replay

    return run_replay(wanted, reporter)


def _run(wanted: request.SearchRequest, reporter: Reporter) -> SearchResult:
    from evotune.search.run import run_search

    return run_search(wanted, reporter)


def _refuse_fixed_settings(context: typer.Context, resume: int) -> None:
    names = named_options(context, FIXED_BY_RESUME)
    if names:
        raise UserError(f"--resume continues search {resume} as it was, got {names} too; leave {names} out")


def _refuse_measuring_options(context: typer.Context) -> None:
    names = named_options(context, MEASURING_ONLY)
    if names:
        raise UserError(f"--replay builds and measures nothing, got {names} too; leave {names} out")
