"""A request for a search: its options, their defaults, and the command that repeats them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from evotune import database_url

DEFAULT_KERNEL = "attention_fwd"
DEFAULT_TARGET = "auto"
DEFAULT_BUDGET = 200
DEFAULT_SAMPLER = "evolution"
# The samplers that need no timings, the default of --build-only first.
BUILD_ONLY_SAMPLERS = ("random", "qmc")
DEFAULT_SEED = 0
# The record's target, workload and gate of a trial that was looked up in a recording and not run.
RECORDED = "recorded"
# The record's sampler of a search that another tool ran. It has no space here, so that it cannot be continued.
IMPORTED = "imported"


@dataclass(frozen=True)
class SearchRequest:
    """Options of `evotune search`.

    `kernel` is a built-in name or a folder; `space` a built-in name or a YAML file, None for the target's own. Without
    `workloads` the kernel's first is searched for. `time_limit` is in seconds. `sampler` None is the default.
    `build_only`: nothing is measured. `replay`: the file of a recording, which is searched instead of a kernel.
    `warm_start`: the first trials are the best of the nearest searches. `gpus`: the number of GPUs that measure, None
    for all. `reuse`: take over outcomes that another search measured under the same conditions.
    `resume` is the id of a stored search. Then `kernel` and `budget` may be None to stay as they were; the other
    settings stay as they were, and have their defaults here.
    """

    db: str
    kernel: str | None = DEFAULT_KERNEL
    space: str | None = None
    target: str = DEFAULT_TARGET
    workloads: tuple[str, ...] = ()
    budget: int | None = DEFAULT_BUDGET
    time_limit: float | None = None
    sampler: str | None = None
    seed: int = DEFAULT_SEED
    ray_address: str | None = None
    gpus: int | None = None
    resume: int | None = None
    build_only: bool = False
    replay: str | None = None
    warm_start: bool = False
    reuse: bool = True


def resume_command(search_id: int, request: SearchRequest) -> str:
    """Return the command that continues an interrupted search."""
    parts = ["evotune search"]
    if request.kernel not in (None, DEFAULT_KERNEL):
        parts.append(shlex.quote(str(request.kernel)))
    parts.append(f"--resume {search_id}")
    if request.ray_address:
        parts.append(f"--ray-address {shlex.quote(request.ray_address)}")
    if request.gpus:
        parts.append(f"--gpus {request.gpus}")
    return " ".join(parts) + database_url.option(request.db)
