"""An outcome as large as that of a trial on a GPU: as many checks, and as many samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from evotune_db.records import (
    BuildRecord,
    DeviceRecord,
    GateRecord,
    KernelRecord,
    OutcomeRecord,
    SearchRecord,
    SpaceRecord,
    TimingRecord,
)

# A trial of attention_fwd at one workload: three seeds of five distributions, and a row for each other check.
GATES = 35
BLOCKS = 12
SIDES = ("candidate", "sdpa_flash", "sdpa_cudnn")
DEVICE = DeviceRecord("GPU-1", "Device of sm_89", "cuda", {"driver": "580.1", "limits": {"multiprocessors": 58}})


def search(budget: int) -> SearchRecord:
    """A search like those that are there."""
    return SearchRecord(
        kernel=KernelRecord("attention_fwd", "0" * 64),
        space=SpaceRecord("gpu", "1" * 64, "parameters: {}", 400_000),
        target="sm_89",
        workloads=("mission",),
        sampler="evolution",
        seed=0,
        budget=budget,
        options={},
        versions={"evotune": "0.1.0"},
    )


def configuration(number: int) -> Mapping[str, int]:
    """A new one for each number."""
    return {**{f"parameter_{n}": n for n in range(19)}, "number": number}


def passed(number: int) -> OutcomeRecord:
    """Built, checked, timed cold and warm, and faster or slower than the baseline."""
    key = f"{number:064d}"
    speedup = 0.5 + number % 97 / 50
    return OutcomeRecord(
        "passed",
        objective=1 / speedup,
        device=DEVICE,
        builds=(BuildRecord(key, "sm_89", ("-O3",), "nvcc 13.0", 2.0, True, "ptxas info" * 30, key, 128, 0, 0, 0, 0),),
        gates=tuple(_gate(place) for place in range(GATES)),
        timings=(_timing(key, "cold", speedup), _timing(key, "warm", speedup)),
    )


def _gate(place: int) -> GateRecord:
    return GateRecord("numerics", True, None, "mission", "peaky", place, 1e-3, 2e-3, 1e-4, 2e-4, 0.01, {"groups": 8})


def _timing(key: str, mode: Literal["cold", "warm"], speedup: float) -> TimingRecord:
    return TimingRecord(
        workload="mission",
        phase="search",
        mode=mode,
        build_key=key,
        baseline="sdpa_cudnn",
        median_us=9.6 / speedup,
        p50_us=9.6 / speedup,
        p90_us=9.7 / speedup,
        p99_us=9.8 / speedup,
        baseline_us=9.6,
        speedup=speedup,
        speedup_low=0.99 * speedup,
        speedup_high=1.01 * speedup,
        blocks=BLOCKS,
        dropped_blocks=0,
        censored=False,
        samples={side: [[9.6 + block, 9.7 + block] for block in range(BLOCKS)] for side in SIDES},
        conditions={"clock_mhz": [1980] * BLOCKS, "power_w": [400.0] * BLOCKS, "buffer_sets": 200},
    )
