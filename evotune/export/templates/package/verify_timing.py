"""The timing part of the verification: the kernel and every baseline, interleaved in blocks A B B A.

On a GPU, a sample is the replay of a CUDA graph between two events. It does not include the host's time for a call, as
in the claimed measurement. On a CPU, a sample is a loop that is timed by the wall clock.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

# The least duration of a sample, so that the resolution of the clock does not matter.
SAMPLE_US = 5000.0
# Cold: all sets of inputs together are at least this many times as large as the last-level cache.
CACHE_MULTIPLE = 5
# Limits: small inputs and a large cache would need millions of sets and too much memory.
MOST_SETS = 1 << 14
MOST_BYTES = 2 << 30
WARM_UP_CALLS = 3
MOST_BLOCKS = 40
FEWEST_BLOCKS = 10
# Stop when the half-width of the interval is at most this share of the median.
PRECISION = 0.02
RESAMPLES = 1000
# A kernel may be slower than claimed by this factor, because of another call path or a busier machine.
TOLERANCE = 1.10

Inputs = tuple[torch.Tensor, ...]
Call = Callable[[Inputs], torch.Tensor]
Sample = Callable[[], float]


@dataclass(frozen=True)
class Speed:
    """The median microseconds per call of one side, and the ratio of its time to the kernel's with a 95 % interval."""

    median_us: float
    ratio: float
    low: float
    high: float


def compare_speed(
    sides: Mapping[str, Call],
    inputs: Callable[[int], Inputs],
    figures: Mapping[str, Any],
    device: torch.device,
) -> dict[str, Speed]:
    """Time every side, "kernel" among them, on as many sets of inputs as the claimed mode (cold or warm) needs."""
    sets = _input_sets(inputs, _cache_bytes(device) * CACHE_MULTIPLE if figures["mode"] == "cold" else 0, device)
    samples = _samples(sides, sets, device)
    blocks: list[dict[str, float]] = []
    while len(blocks) < MOST_BLOCKS:
        blocks.append(_block(samples))
        if len(blocks) >= FEWEST_BLOCKS and all(_is_precise(_speed(name, blocks)) for name in sides):
            break
    return {name: _speed(name, blocks) for name in sides}


def claim_holds(measured: Mapping[str, Speed], row: Mapping[str, Any], claimed_on: str) -> bool:
    """Print claimed and measured figures; return False if the speed-up is more than 10 % below the claimed one.

    `row` is a workload of the manifest. The speed-up decides and not the time, because both sides run on the same
    machine in the same state.
    """
    figures = row["figures"]
    rival = measured.get(figures["baseline"])
    if rival is None:
        print(f"\ntiming      FAILED: the claim is a speed-up over {figures['baseline']}, which does not run here")
        return False
    title = f"workload {row['workload']['name']}, {row['kernel']}"
    print(f"\n{title:<34}{'claimed':>24}{'measured':>24}")
    print(f"{'kernel, us':<34}{figures['median_us']:>24.1f}{measured['kernel'].median_us:>24.1f}")
    others = {**figures["conditions"].get("baselines_us", {}), figures["baseline"]: figures["baseline_us"]}
    for name, speed in measured.items():
        if name != "kernel":
            claimed = f"{others[name]:.1f}" if name in others else ""
            print(f"{name + ', us':<34}{claimed:>24}{speed.median_us:>24.1f}")
    claimed = _interval(figures["speedup"], figures["speedup_low"], figures["speedup_high"])
    found = _interval(rival.ratio, rival.low, rival.high)
    print(f"{'speed-up over ' + figures['baseline']:<34}{claimed:>24}{found:>24}")
    holds = rival.ratio * TOLERANCE >= float(figures["speedup"])
    verdict = "ok: not more than 10 % below the claim" if holds else "FAILED: more than 10 % below the claim"
    print(f"\ntiming      {verdict} (claimed on {claimed_on})")
    if not holds and rival.high * TOLERANCE >= float(figures["speedup"]):
        print("            the interval is too wide to decide: run it again with no other load on the machine")
    return holds


def _input_sets(inputs: Callable[[int], Inputs], least_bytes: int, device: torch.device) -> list[Inputs]:
    first = tuple(tensor.to(device) for tensor in inputs(1))
    set_bytes = sum(tensor.numel() * tensor.element_size() for tensor in first)
    asked = max(1, math.ceil(least_bytes / set_bytes))
    sets = min(asked, MOST_SETS, max(1, MOST_BYTES // set_bytes))
    if sets < asked:
        print(f"timing      {sets:,} of {asked:,} sets of inputs: some may stay in caches, for all sides alike")
    return [tuple(tensor.clone() for tensor in first) for _ in range(sets)]


def _samples(sides: Mapping[str, Call], sets: list[Inputs], device: torch.device) -> dict[str, Sample]:
    """Return a function that times a sample of each side, with the same number of calls for all.

    The sets of inputs rotate, so that a cold call finds none of its inputs in the caches.
    """
    for call in sides.values():
        for number in range(WARM_UP_CALLS):
            call(sets[number % len(sets)])
    shortest = min(_wall_sample(call, sets, 1, device)() for call in sides.values())
    calls = max(1, math.ceil(SAMPLE_US / shortest))
    if device.type == "cuda":  # a graph has fixed inputs: it must use all sets, so that its replays are cold
        calls = math.ceil(calls / len(sets)) * len(sets)
        return {name: _graph_sample(call, sets, calls) for name, call in sides.items()}
    return {name: _wall_sample(call, sets, calls, device) for name, call in sides.items()}


def _block(samples: Mapping[str, Sample]) -> dict[str, float]:
    """Return the mean microseconds per call of every side, measured once in order and once in reverse order."""
    forward = {name: sample() for name, sample in samples.items()}
    backward = {name: samples[name]() for name in reversed(list(samples))}
    return {name: (forward[name] + backward[name]) / 2 for name in samples}


def _wall_sample(call: Call, sets: list[Inputs], calls: int, device: torch.device) -> Sample:
    """Return a function that measures microseconds per call by the host's clock."""
    rotation = itertools.cycle(sets)

    def sample() -> float:
        _synchronize(device)
        started = time.perf_counter_ns()
        for inputs in itertools.islice(rotation, calls):
            call(inputs)
        _synchronize(device)
        return (time.perf_counter_ns() - started) / 1e3 / calls

    return sample


def _graph_sample(call: Call, sets: list[Inputs], calls: int) -> Sample:
    """Return a function that measures microseconds per call by the GPU's clock."""
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        call(sets[0])  # load the kernel for this stream, which is not possible during a capture
    torch.cuda.synchronize()
    with torch.cuda.graph(graph, stream=stream):
        for number in range(calls):
            call(sets[number % len(sets)])
    graph.replay()
    events = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def sample() -> float:
        events[0].record()
        graph.replay()
        events[1].record()
        events[1].synchronize()
        elapsed_ms: float = events[0].elapsed_time(events[1])
        return elapsed_ms * 1e3 / calls

    return sample


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _speed(name: str, blocks: list[dict[str, float]]) -> Speed:
    """Return the median of the per-block ratios with its percentile-bootstrap interval."""
    ratios = torch.tensor([block[name] / block["kernel"] for block in blocks], dtype=torch.float64)
    draws = torch.randint(len(ratios), (RESAMPLES, len(ratios)), generator=torch.Generator().manual_seed(0))
    low, high = torch.quantile(_median(ratios[draws]), torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    times = torch.tensor([block[name] for block in blocks], dtype=torch.float64)
    return Speed(float(_median(times)), float(_median(ratios)), low, high)


def _median(values: torch.Tensor) -> torch.Tensor:
    return torch.quantile(values, 0.5, dim=-1)


def _is_precise(speed: Speed) -> bool:
    return (speed.high - speed.low) / 2 <= PRECISION * speed.ratio


def _interval(median: float, low: float, high: float) -> str:
    return f"{median:.3f} [{low:.3f}, {high:.3f}]"


def _cache_bytes(device: torch.device) -> int:
    """Return the size of the last-level cache, 32 MiB if the system does not report it."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).L2_cache_size)
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    sizes = [path.read_text().strip() for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    return max((int(size.rstrip("KMG")) * units.get(size[-1], 1) for size in sizes), default=32 << 20)
