"""Reading what ptxas reports: complete reports are read, incomplete ones refused. The reports are of CUDA 13.0."""

from __future__ import annotations

import pytest

from evotune_workers.compilers.build import Resources
from evotune_workers.compilers.ptxas import read_report

PLAIN = """\
ptxas info    : 1032 bytes gmem, 24 bytes cmem[4]
ptxas info    : Compiling entry function 'attention_fwd' for 'sm_89'
ptxas info    : Function properties for attention_fwd
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 147 registers, used 16 barriers, 424 bytes cmem[0]
ptxas info    : Compile time = 53.107 ms
"""
SPILLING = """\
ptxas warning : Value of threads per SM for entry spill is out of range. .minnctapersm will be ignored
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'spill' for 'sm_89'
ptxas info    : Function properties for spill
    272 bytes stack frame, 492 bytes spill stores, 488 bytes spill loads
ptxas info    : Used 64 registers, used 0 barriers, 272 bytes cumulative stack size, 364 bytes cmem[0]
ptxas info    : Compile time = 24.213 ms
"""
SEVERAL = """\
ptxas info    : 16 bytes gmem, 8 bytes cmem[4]
ptxas info    : Compiling entry function 'entry' for 'sm_89'
ptxas info    : Function properties for entry
    704 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 64 registers, used 0 barriers, 704 bytes cumulative stack size, 364 bytes cmem[0]
ptxas info    : Compile time = 22.108 ms
ptxas info    : Function properties for _Z3fibi
    24 bytes stack frame, 20 bytes spill stores, 20 bytes spill loads
ptxas info    : Function properties for _Z4deepPKfi
    0 bytes stack frame, 824 bytes spill stores, 976 bytes spill loads
ptxas info    : Compiling entry function 'other' for 'sm_89'
ptxas info    : Function properties for other
    16 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads
ptxas info    : Used 12 registers, used 1 barriers, 16 bytes cumulative stack size, 128 bytes smem, 360 bytes cmem[0]
ptxas info    : Compile time = 1.188 ms
ptxas info    : Function properties for _Z3fibi
    24 bytes stack frame, 20 bytes spill stores, 20 bytes spill loads
"""


def test_a_kernel_that_keeps_all_in_registers() -> None:
    assert read_report(PLAIN, "attention_fwd") == Resources(147, 0, 0, 0, 0)


def test_a_kernel_that_spills() -> None:
    assert read_report(SPILLING, "spill") == Resources(64, 492, 488, 272, 0)


def test_functions_that_were_not_inlined_count_once_and_other_entry_functions_do_not() -> None:
    assert read_report(SEVERAL, "entry") == Resources(64, 844, 996, 728, 0)
    assert read_report(SEVERAL, "other") == Resources(12, 848, 1000, 40, 128)


def test_a_cumulative_stack_above_the_sum_of_the_frames_is_what_counts() -> None:
    deeper = SEVERAL.replace("704 bytes cumulative", "1704 bytes cumulative")
    assert read_report(deeper, "entry").stack_bytes == 1704


def test_the_report_of_a_gpu_without_constant_banks() -> None:
    report = PLAIN.replace(", 424 bytes cmem[0]", ", 1024 bytes smem").replace("sm_89", "sm_90a")
    assert read_report(report, "attention_fwd") == Resources(147, 0, 0, 0, 1024)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("ptxas info    : Used 147 registers", "registers of attention_fwd"),
        ("    0 bytes stack frame", "stack frame, spill stores and spill loads of attention_fwd"),
        ("ptxas info    : Function properties", "stack frame, spill stores and spill loads of attention_fwd"),
        ("ptxas info    : Compiling entry function", "entry function attention_fwd once, its report has none"),
    ],
)
def test_a_report_that_lacks_a_line_is_refused_by_the_name_of_what_it_lacks(line: str, field: str) -> None:
    lacking = "".join(kept for kept in PLAIN.splitlines(keepends=True) if not kept.startswith(line))
    assert len(lacking) < len(PLAIN)
    with pytest.raises(ValueError, match=field):
        read_report(lacking, "attention_fwd")


def test_a_function_without_its_spills_is_refused_by_name() -> None:
    lacking = SEVERAL.replace("    0 bytes stack frame, 824 bytes spill stores, 976 bytes spill loads\n", "")
    with pytest.raises(ValueError, match="spill loads of _Z4deepPKfi"):
        read_report(lacking, "entry")


def test_registers_of_another_entry_function_are_not_taken() -> None:
    lacking = SEVERAL.replace("ptxas info    : Used 64 registers", "ptxas info    : Used some registers")
    with pytest.raises(ValueError, match="registers of entry"):
        read_report(lacking, "entry")


def test_an_entry_function_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="entry function scan once, its report has entry, other"):
        read_report(SEVERAL, "scan")


def test_two_reports_on_one_entry_function_are_refused() -> None:
    with pytest.raises(ValueError, match="once"):
        read_report(PLAIN + PLAIN, "attention_fwd")


@pytest.mark.parametrize("text", ["8+16 bytes smem", "1024 bytes smem, 16 bytes smem", "no smem"])
def test_shared_memory_in_words_that_are_not_known_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="'N bytes smem' once"):
        read_report(PLAIN.replace("424 bytes cmem[0]", text), "attention_fwd")
