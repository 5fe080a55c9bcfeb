"""Measure the host's overhead of a call of an exported CUDA kernel over the bare launch.

    python benchmarks/export_overhead.py DIR [--batch 1 --heads 8 --length 512]

DIR is a folder that `evotune export` wrote for a GPU. Both sides queue the same kernel on the same stream, and the
host's clock times them without waiting for the GPU. The bare launch is cuda.core's, prepared in advance. The function
is called as a user calls it, and allocates its output each time. Both run with contiguous tensors, and with views of a
joint projection, whose launch has more arguments. The goal is 5 us for both.

The function's own launch by cuda.bindings, which is faster than cuda.core's, and SDPA are also timed. All calls are
interleaved in turns, and the overhead is the median over turns: a busy host slows down all calls of a turn alike. The
least times are shown beside the medians: what else the host does only adds to a time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

import evotune

# By default, torch's compiler starts a process for each core, and these import torch while calls are timed.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
# Fewer calls than the launches that fit into a queue (1,024), so that the host never waits.
CALLS, TURNS, WARM_UP = 200, 50, 5
BARE, FUNCTION = "bare launch", "attention_fwd"
BARE_VIEWS, FUNCTION_VIEWS = f"{BARE}, views", f"{FUNCTION}, views"
OWN = "its own launch"


@dataclass(frozen=True)
class HostTimes:
    """The host's microseconds for a call in each turn, by the name of the call; tensors are contiguous unless views."""

    turns: Mapping[str, Sequence[float]]

    @property
    def overhead_us(self) -> float:
        """The overhead over the bare launch with contiguous tensors."""
        return self._beyond(FUNCTION, BARE)

    @property
    def overhead_views_us(self) -> float:
        """The overhead over the bare launch with views of a joint projection."""
        return self._beyond(FUNCTION_VIEWS, BARE_VIEWS)

    def median_us(self, name: str) -> float:
        """Return the median over all turns."""
        return statistics.median(self.turns[name])

    def _beyond(self, name: str, bare: str) -> float:
        return statistics.median(ours - theirs for ours, theirs in zip(self.turns[name], self.turns[bare], strict=True))

    def __str__(self) -> str:
        """Format a line for each call, and the overheads."""
        lines = [f"{name:<28}{self.median_us(name):8.2f} us (least {min(self.turns[name]):.2f})" for name in self.turns]
        lines.append(f"{'beyond the bare launch':<28}{self.overhead_us:8.2f} us (goal: 5)")
        lines.append(f"{'beyond it, views':<28}{self.overhead_views_us:8.2f} us (goal: 5)")
        return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name, default in (("batch", 1), ("heads", 8), ("length", 512)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    times = host_times(options.folder, options.batch, options.heads, options.length)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, Python {sys.version.split()[0]}")
    print(times)


def host_times(folder: Path, batch: int, heads: int, length: int) -> HostTimes:
    """Time calls at the dtype and head size of the package's first workload."""
    attention_fwd = evotune.load(folder)
    function: Any = import_module(attention_fwd.__module__)
    if function.DEVICE_TYPE != "cuda":
        sys.exit(f"the package must be for a GPU, got one for {function.MANIFEST['target']}")
    if not torch.cuda.is_available():
        sys.exit("this machine must have a GPU that torch can use, got none")
    workload = function.MANIFEST["workloads"][0]["workload"]
    shape, dtype = (batch, heads, length, workload["head_dim"]), getattr(torch, workload["dtype"])
    q, k, v = (torch.randn(shape, dtype=dtype, device="cuda") for _ in range(3))
    joint = torch.randn(batch, length, 3, heads, workload["head_dim"], dtype=dtype, device="cuda")
    views = tuple(tensor.transpose(1, 2) for tensor in joint.unbind(2))
    compiled = torch.compile(attention_fwd, fullgraph=True)
    with torch.no_grad():
        packed_launch, views_launch = bare_launch(function, q, k, v), bare_launch(function, *views)
        calls: dict[str, Callable[[], object]] = {
            BARE: packed_launch.by_core,
            OWN: packed_launch.launch.queue,
            FUNCTION: lambda: attention_fwd(q, k, v),
            BARE_VIEWS: views_launch.by_core,
            FUNCTION_VIEWS: lambda: attention_fwd(*views),
            "attention_fwd, compiled": lambda: compiled(q, k, v),
            "SDPA": lambda: scaled_dot_product_attention(q, k, v),
        }
        turns: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(TURNS):
            for name, call in calls.items():
                turns[name].append(host_us(call))
    return HostTimes(turns)


def host_us(call: Callable[[], object]) -> float:
    """Return the host's microseconds for one call, the mean of many."""
    for _ in range(WARM_UP):
        call()
    torch.cuda.synchronize()
    started = time.perf_counter_ns()
    for _ in range(CALLS):
        call()
    ended = time.perf_counter_ns()
    torch.cuda.synchronize()
    return (ended - started) / 1e3 / CALLS


class BareLaunch:
    """The same launch as in a call of the function, prepared in advance; all launches write to one output.

    The object must exist until no launch is queued any more.
    """

    def __init__(self, launch: Any, arguments: Sequence[Any], out: torch.Tensor) -> None:
        """Prepare the launch for cuda.core; `launch` was queued once, and was made with `arguments`."""
        from cuda.core import LaunchConfig, Stream
        from cuda.core import launch as launch_by_core

        program, grid, threads, shared_bytes, pointers, values = arguments
        config = LaunchConfig(grid=tuple(grid), block=threads, shmem_size=shared_bytes)
        # cuda.h: CU_STREAM_LEGACY (1), the handle of the default stream that is not null.
        stream = Stream.from_handle(program.stream or 1)
        self._out = out
        self.launch = launch
        self.by_core: Callable[[], object] = partial(
            launch_by_core, stream, config, program.kernel, *launch.slots[:pointers], *values
        )


def bare_launch(function: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> BareLaunch:
    """Take the launch from a new plan of one call; exit if the call has no single launch."""
    launching: Any = import_module(f"{function.__name__.rpartition('.')[0]}.launching")
    made: list[tuple[Any, tuple[Any, ...]]] = []
    real = launching.Launch

    def make(*arguments: Any) -> object:
        made.append((real(*arguments), arguments))
        return made[-1][0]

    launching.Launch = make
    try:
        out: torch.Tensor = function._plan(q, k, v, False, None)(q, k, v)
    finally:
        launching.Launch = real
    if not made:
        sys.exit(f"a kernel must serve the shape, SDPA serves {list(q.shape)}; change --batch, --heads or --length")
    [(launch, arguments)] = made
    if launch.slots[launching.POINTERS - 1]:
        sys.exit("a kernel must have no workspace to be launched by itself, this one has; export another trial")
    return BareLaunch(launch, arguments, out)


if __name__ == "__main__":
    main()
