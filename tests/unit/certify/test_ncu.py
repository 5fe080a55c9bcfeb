"""Reading the counters that ncu prints.

The table has the form, names, units and way of writing numbers of real output from an H200; n/a for a counter that a
chip does not have, and the two error lines, are as users report them.
"""

from __future__ import annotations

import csv
import io
from dataclasses import asdict

import pytest

from evotune_workers.certify import ncu
from evotune_workers.certify.findings import NoProfile, Profile

IDENTITY = {
    **{"ID": "0", "Process ID": "4711", "Process Name": "python3.11", "Host Name": "127.0.0.1"},
    **{"Kernel Name": "attention_fwd", "Context": "1", "Stream": "7", "Block Size": "(384, 1, 1)"},
    **{"Grid Size": "(88, 1, 1)", "Device": "0", "CC": "9.0"},
}
H200 = {
    "gpu__time_duration.sum": ("ns", "5,408"),
    "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active": ("%", "41.50"),
    "sm__pipe_tensor_cycles_active_v2.avg.pct_of_peak_sustained_active": ("", "n/a"),
    "sm__pipe_tensor_op_hmma_cycles_active.avg.pct_of_peak_sustained_active": ("%", "38.25"),
    "smsp__thread_inst_executed_per_inst_executed.ratio": ("", "31.84"),
    "dram__throughput.avg.pct_of_peak_sustained_elapsed": ("%", "2.61"),
    "lts__throughput.avg.pct_of_peak_sustained_elapsed": ("%", "14.07"),
    "sm__warps_active.avg.pct_of_peak_sustained_active": ("%", "18.62"),
    "launch__registers_per_thread": ("register/thread", "128"),
}
BEFORE = """==WARNING== Note: Running with unmodified GPU clocks. Results may be inconsistent.
==PROF== Connected to process 4711 (/usr/bin/python3.11)
the target's own words
==PROF== Profiling "attention_fwd" - 0: 0%....50%....100% - 9 passes
==PROF== Disconnected from process 4711
"""
FORBIDDEN = (
    "==PROF== Connected to process 4711 (/usr/bin/python3.11)\n"
    "==ERROR== ERR_NVGPUCTRPERM - The user does not have permission to access NVIDIA GPU Performance Counters on the "
    "target device 0. For instructions on enabling permissions and to get more information see "
    "https://developer.nvidia.com/ERR_NVGPUCTRPERM\n"
)


Counters = dict[str, tuple[str, str]]


def printed(counters: Counters, launches: int = 1) -> str:
    """Return ncu's table: names, units, and the values of each launch, every field quoted."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    facts = {"device__attribute_display_name": ("", "NVIDIA H200"), **counters}
    writer.writerow([*IDENTITY, *facts])
    writer.writerow([*([""] * len(IDENTITY)), *(unit for unit, _ in facts.values())])
    for _ in range(launches):
        writer.writerow([*IDENTITY.values(), *(value for _, value in facts.values())])
    return text.getvalue()


def read(counters: Counters) -> Profile:
    profile = ncu.read(f"{BEFORE}{printed(counters)}the target, ending\n", 0)
    assert isinstance(profile, Profile), profile
    return profile


def refused(log: str, returncode: int | None = 0) -> str:
    profile = ncu.read(log, returncode)
    assert isinstance(profile, NoProfile)
    assert "\n" not in profile.reason
    return profile.reason


def test_every_figure_is_read_in_its_unit() -> None:
    profile = read(H200)
    assert profile.duration_us == pytest.approx(5.408)
    assert (profile.tensor_active_pct, profile.warp_execution_efficiency_pct) == (41.5, 99.5)
    assert (profile.dram_throughput_pct, profile.l2_throughput_pct) == (2.61, 14.07)
    assert (profile.achieved_occupancy_pct, profile.registers) == (18.62, 128)
    assert profile.metrics["gpu__time_duration.sum"] == {"unit": "ns", "value": "5,408"}
    assert set(profile.metrics) == set(H200)


@pytest.mark.parametrize(
    ("unit", "value", "microseconds"),
    [("nsecond", "5408", 5.408), ("us", "5.41", 5.41), ("usecond", "1,205.00", 1205.0), ("ms", "1.5", 1500.0)],
)
def test_a_duration_is_read_in_whatever_unit_it_is_printed(unit: str, value: str, microseconds: float) -> None:
    assert read({"gpu__time_duration.sum": (unit, value)}).duration_us == pytest.approx(microseconds)


def test_the_tensor_pipe_is_read_under_the_name_that_the_chip_has() -> None:
    ada = {
        **H200,
        "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active": ("", "n/a"),
        "sm__pipe_tensor_cycles_active_v2.avg.pct_of_peak_sustained_active": ("%", "20.00"),
    }
    assert read(ada).tensor_active_pct == 20.0
    half_precision_alone = {name: counter for name, counter in H200.items() if "_cycles_active." not in name}
    half_precision_alone["sm__pipe_tensor_op_hmma_cycles_active.avg.pct_of_peak_sustained_active"] = ("%", "38.25")
    assert read(half_precision_alone).tensor_active_pct == 38.25


@pytest.mark.parametrize("value", ["n/a", "(!) n/a", "", "nan"])
@pytest.mark.parametrize("name", [name for name in H200 if "hmma" not in name and "pipe_tensor" not in name])
def test_a_counter_that_was_not_read_is_none_and_the_others_stand(name: str, value: str) -> None:
    full, lacking = asdict(read(H200)), asdict(read({**H200, name: ("", value)}))
    changed = {field for field in full if full[field] != lacking[field]} - {"metrics"}
    assert len(changed) == 1 and lacking[changed.pop()] is None


def test_a_counter_that_is_missing_from_the_table_is_none() -> None:
    assert read({"gpu__time_duration.sum": ("ns", "10")}).achieved_occupancy_pct is None


def test_counters_that_this_user_may_not_read_are_no_profile_and_say_what_to_do() -> None:
    for returncode in (0, 9):
        told = refused(FORBIDDEN, returncode)
        assert told.startswith("performance counters must be readable, got ERR_NVGPUCTRPERM: load the driver with")


@pytest.mark.parametrize(
    ("log", "returncode", "told"),
    [
        (BEFORE, 0, "ncu must print a table of counters, got none: it names no error"),
        (BEFORE + "==WARNING== No kernels were profiled.\n", 0, "got none: No kernels were profiled."),
        (
            "==ERROR== The application returned an error code (11).\n",
            11,
            "ncu ended with exit code 11: The application returned an error code (11).",
        ),
        ("", None, "ncu was killed for running out of time"),
        (printed(H200), 1, "ncu ended with exit code 1"),
        (printed(H200, launches=2), 0, "ncu must profile one launch, got 2"),
        (printed(H200, launches=0), 0, "ncu must profile one launch, got 0"),
        (printed(H200).splitlines()[0], 0, "ncu must profile one launch, got 0"),
        (printed(H200) + '"1","4711"\n', 0, "must have the same columns, got rows that differ"),
        (printed({"gpu__time_duration.sum": ("ns", "n/a")}), 0, "at least one counter, got n/a for all"),
        (printed({"gpu__time_duration.sum": ("furlong", "3")}), 0, "in one of ns, us, ms, s, nsecond"),
        (printed({"gpu__time_duration.sum": ("", "3")}), 0, "got no unit"),
        (
            printed({"sm__warps_active.avg.pct_of_peak_sustained_active": ("%", "9,00")}),
            0,
            "a counter must read like 1,234.56 (ncu with LC_ALL=C), got 9,00",
        ),
        (
            printed({"dram__throughput.avg.pct_of_peak_sustained_elapsed": ("ratio", "0.1")}),
            0,
            "in one of %, got ratio",
        ),
    ],
)
def test_output_that_is_not_whole_is_no_profile(log: str, returncode: int | None, told: str) -> None:
    assert told in refused(log, returncode)


def test_the_command_profiles_one_launch_of_the_kernel_with_the_devices_own_clocks() -> None:
    words = ncu.command(("python", "-m", "target"), "attention_fwd", launch_skip=3, program="/opt/ncu")
    assert words[:2] == ("/opt/ncu", "--csv") and words[-3:] == ("python", "-m", "target")
    options = dict(zip(words[2:-3:2], words[3:-3:2], strict=True))
    assert options.pop("--metrics").split(",") == list(ncu.METRICS)
    assert options == {
        "--page": "raw",
        "--print-units": "base",
        "--clock-control": "none",
        "--target-processes": "all",
        "--kernel-name": "attention_fwd",
        "--launch-skip": "3",
        "--launch-count": "1",
    }
