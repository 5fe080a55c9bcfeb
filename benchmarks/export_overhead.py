"""What a call of an exported CUDA kernel costs the host beyond the bare launch.

python benchmarks/export_overhead.py DIR [--batch 1 --heads 8 --length 512]

DIR is a folder that `evotune export` wrote for a GPU. Both sides queue the same kernel on the same stream and are timed
by the host's clock without waiting for the GPU: the bare one is cuda.core's launch with everything made beforehand; the
other is the function as a user calls it, its output allocated each time; of contiguous tensors, and of views of a joint
projection, whose launch has more arguments. The goal is 5 us for both. SDPA is there to compare. All take turns, and
what a call costs beyond its launch is the median over turns: a host that others use is slower for a while, for all.
A kernel with a workspace is refused: the function allocates that, too, so there is no launch without it to compare to.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

import evotune

# Fewer than the launches that a queue holds (1,024), so that the host never waits.
CALLS, TURNS, WARM_UP = 200, 50, 5
BARE, FUNCTION = "bare launch", "attention_fwd"
BARE_VIEWS, FUNCTION_VIEWS = f"{BARE}, views", f"{FUNCTION}, views"
# Of the arguments of a launch: after stream, config, kernel, q, k, v and output. Its memory is gone after the call.
WORKSPACE = 7


@dataclass(frozen=True)
class HostTimes:
    """Microseconds of the host's time for a call: of each turn by what was called, contiguous tensors unless views."""

    turns: Mapping[str, Sequence[float]]

    @property
    def overhead_us(self) -> float:
        """Beyond the bare launch, of contiguous tensors."""
        return self._beyond(FUNCTION, BARE)

    @property
    def overhead_views_us(self) -> float:
        """The same of views of a joint projection."""
        return self._beyond(FUNCTION_VIEWS, BARE_VIEWS)

    def median_us(self, name: str) -> float:
        """Over all turns."""
        return statistics.median(self.turns[name])

    def _beyond(self, name: str, bare: str) -> float:
        return statistics.median(ours - theirs for ours, theirs in zip(self.turns[name], self.turns[bare], strict=True))

    def __str__(self) -> str:
        """A line for each."""
        lines = [f"{name:<28}{self.median_us(name):8.2f} us" for name in self.turns]
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
    """At the dtype and head size of the first workload of the package."""
    attention_fwd = evotune.load(folder)
    function: Any = import_module(attention_fwd.__module__)
    if function.DEVICE_TYPE != "cuda":
        sys.exit(f"the package must be for a GPU, got one for {function.MANIFEST['target']}")
    if not torch.cuda.is_available():
        sys.exit("a GPU must be there and usable by torch, got none")
    workload = function.MANIFEST["workloads"][0]["workload"]
    shape, dtype = (batch, heads, length, workload["head_dim"]), getattr(torch, workload["dtype"])
    q, k, v = (torch.randn(shape, dtype=dtype, device="cuda") for _ in range(3))
    joint = torch.randn(batch, length, 3, heads, workload["head_dim"], dtype=dtype, device="cuda")
    views = tuple(tensor.transpose(1, 2) for tensor in joint.unbind(2))
    compiled = torch.compile(attention_fwd, fullgraph=True)
    with torch.no_grad():
        calls: dict[str, Callable[[], object]] = {
            BARE: bare_launch(function, q, k, v),
            FUNCTION: lambda: attention_fwd(q, k, v),
            BARE_VIEWS: bare_launch(function, *views),
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
    """Microseconds of the host's time for one call, the mean of many."""
    for _ in range(WARM_UP):
        call()
    torch.cuda.synchronize()
    started = time.perf_counter_ns()
    for _ in range(CALLS):
        call()
    ended = time.perf_counter_ns()
    torch.cuda.synchronize()
    return (ended - started) / 1e3 / CALLS


def bare_launch(function: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> Callable[[], object]:
    """The very launch that the function ends in: its arguments are taken from one call, planned afresh."""
    launching: Any = import_module(f"{function.__name__.rpartition('.')[0]}.launching")
    kept: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
    real = launching.load_program

    def load_program(*arguments: object) -> object:
        program = real(*arguments)
        return replace(program, launch=lambda *given: kept.append((program.launch, given)))

    launching.load_program = load_program
    try:
        out: torch.Tensor = function._plan(q, k, v, False, None)(q, k, v)
    finally:
        launching.load_program = real
    if not kept:
        sys.exit(f"a kernel must serve the shape, SDPA serves {list(q.shape)}; choose another by --batch and the like")
    [(launch, given)] = kept
    if given[WORKSPACE]:
        sys.exit("a kernel must have no workspace to be launched by itself, this one has; export another trial")

    def call() -> torch.Tensor:
        launch(*given)
        return out  # which stays allocated

    return call


if __name__ == "__main__":
    main()
