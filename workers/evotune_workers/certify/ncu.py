"""Nsight Compute's command line: the counters to read, the command, and the table that it prints.

Sources: counters from NVIDIA, Nsight Compute, Profiling Guide, "Metrics Reference"; options from the Nsight Compute CLI
guide; the table as printed on an H200. A counter that a chip does not have is n/a; hence several names for one figure.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from itertools import dropwhile, takewhile

from evotune_workers.certify.findings import NoProfile, Profile

LANES_PER_WARP = 32
DURATION = ("gpu__time_duration.sum",)
TENSOR_ACTIVE = (
    # In this order: GA100 and GH100, Ada, GH100's full name, half precision alone.
    "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active",
    "sm__pipe_tensor_cycles_active_v2.avg.pct_of_peak_sustained_active",
    "sm__pipe_tensor_type_hmma_hgmma_qgmma_imma_igmma_bmma_bgmma_cycles_active.avg.pct_of_peak_sustained_active",
    "sm__pipe_tensor_op_hmma_cycles_active.avg.pct_of_peak_sustained_active",
)
LANES_IN_USE = ("smsp__thread_inst_executed_per_inst_executed.ratio",)
DRAM = ("dram__throughput.avg.pct_of_peak_sustained_elapsed",)
L2 = ("lts__throughput.avg.pct_of_peak_sustained_elapsed", "lts__t_sectors.avg.pct_of_peak_sustained_elapsed")
OCCUPANCY = ("sm__warps_active.avg.pct_of_peak_sustained_active",)
REGISTERS = ("launch__registers_per_thread",)
METRICS = (*DURATION, *TENSOR_ACTIVE, *LANES_IN_USE, *DRAM, *L2, *OCCUPANCY, *REGISTERS)

# Older releases write units in full.
MICROSECONDS = {
    **{"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6},
    **{"nsecond": 1e-3, "usecond": 1.0, "msecond": 1e3, "second": 1e6},
}
PERCENT = {"%": 1.0}
NUMBER = re.compile(r"-?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?")
NOT_READ = ("", "n/a", "(!) n/a", "nan", "inf")
COMPLAINTS = ("==ERROR==", "==WARNING== No kernels")
FORBIDDEN = "ERR_NVGPUCTRPERM"
HOW_TO_ALLOW = (
    f"performance counters must be readable, got {FORBIDDEN}: load the driver with "
    "NVreg_RestrictProfilingToAdminUsers=0, or run as a user with CAP_SYS_ADMIN"
)

Counters = Mapping[str, Mapping[str, str]]


def command(
    target_command: Sequence[str], kernel_name: str, launch_skip: int = 0, program: str = "ncu"
) -> tuple[str, ...]:
    """Return the command that profiles one launch of exactly that kernel, after `launch_skip` other launches of it.

    Each pass begins with empty caches, as in a cold timing; clocks are not locked. Run it with LC_ALL=C, since the
    locale decides the format of numbers.
    """
    return (
        *(program, "--csv", "--page", "raw", "--print-units", "base", "--metrics", ",".join(METRICS)),
        *("--clock-control", "none", "--target-processes", "all"),
        *("--kernel-name", kernel_name, "--launch-skip", str(launch_skip), "--launch-count", "1"),
        *target_command,
    )


def read(log: str, returncode: int | None) -> Profile | NoProfile:
    """Read the counters from the output of ncu and its target; `returncode` is None for a run that was killed."""
    if FORBIDDEN in log:
        return NoProfile(HOW_TO_ALLOW)
    if returncode != 0:
        ended = "was killed for running out of time" if returncode is None else f"ended with exit code {returncode}"
        return NoProfile(f"ncu {ended}: {_complaint(log)}")
    try:
        return _profile(_counters(log))
    except (ValueError, csv.Error) as error:
        return NoProfile(str(error))


def _counters(log: str) -> Counters:
    """Return unit and value of every counter; raise ValueError unless the table is complete and has one launch.

    The table has a row of names, a row of units, and a row of values for each launch.
    """
    table = dropwhile(_is_no_header, log.splitlines())
    rows = list(csv.reader(takewhile(_is_row, table), strict=True))
    if not rows:
        raise ValueError(f"ncu must print a table of counters, got none: {_complaint(log)}")
    if len({len(row) for row in rows}) != 1:
        raise ValueError("every row of ncu's table must have the same columns, got rows that differ")
    if len(rows) != 3:
        raise ValueError(f"ncu must profile one launch, got {max(len(rows) - 2, 0)}")
    names, units, values = rows
    columns = zip(names, units, values, strict=True)
    return {name: {"unit": unit, "value": value} for name, unit, value in columns if _is_counter(name)}


def _is_no_header(line: str) -> bool:
    return not line.startswith('"ID",')


def _is_row(line: str) -> bool:
    return line.startswith('"')


def _is_counter(name: str) -> bool:
    """Return True if a column holds a counter; others name the launch or describe the device."""
    return "__" in name and not name.startswith("device__")


def _complaint(log: str) -> str:
    """Return the first error of ncu, or its warning that no kernel matches the filter."""
    lines = (line.split(maxsplit=1)[-1] for line in log.splitlines() if line.startswith(COMPLAINTS))
    return next(lines, "it names no error")


def _profile(counters: Counters) -> Profile:
    lanes, registers = _figure(counters, LANES_IN_USE), _figure(counters, REGISTERS)
    figures = {
        "duration_us": _figure(counters, DURATION, MICROSECONDS),
        "tensor_active_pct": _figure(counters, TENSOR_ACTIVE, PERCENT),
        "warp_execution_efficiency_pct": None if lanes is None else 100 * lanes / LANES_PER_WARP,
        "dram_throughput_pct": _figure(counters, DRAM, PERCENT),
        "l2_throughput_pct": _figure(counters, L2, PERCENT),
        "achieved_occupancy_pct": _figure(counters, OCCUPANCY, PERCENT),
    }
    if all(figure is None for figure in figures.values()):
        raise ValueError("ncu must read at least one counter, got n/a for all")
    return Profile(**figures, registers=None if registers is None else round(registers), metrics=counters)


def _figure(counters: Counters, names: Sequence[str], units: Mapping[str, float] | None = None) -> float | None:
    """Return the first of these counters that the device has, in the unit whose factor is 1; None if it has none.

    Raises ValueError for a value that is not a number, or has another unit.
    """
    read = (name for name in names if name in counters and counters[name]["value"] not in NOT_READ)
    name = next(read, None)
    if name is None:
        return None
    value, unit = counters[name]["value"], counters[name]["unit"]
    if not NUMBER.fullmatch(value):
        raise ValueError(f"a counter must read like 1,234.56 (ncu with LC_ALL=C), got {value} for {name}")
    if units is not None and unit not in units:
        raise ValueError(f"{name} must be in one of {', '.join(units)}, got {unit or 'no unit'}")
    return float(value.replace(",", "")) * (1.0 if units is None else units[unit])
