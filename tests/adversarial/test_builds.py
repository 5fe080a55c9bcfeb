"""Builds other than requested, and the functions that a build may import from its process."""

from __future__ import annotations

import ctypes
import io
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from evotune.display.progress import LineReporter
from evotune.search.recorder import Recorder
from evotune.search.study import Study
from evotune.space import load_space
from evotune_db import Database
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.compilers.cpp import FLAGS, compiler_command
from evotune_workers.compilers.imports import read_imports
from evotune_workers.gates.allowed_imports import forbidden_import
from evotune_workers.kernel.device import cpu_device
from evotune_workers.kernel.folder import load_kernel
from evotune_workers.measuring.child_session import Session
from tests.support.db.examples import SEARCH

from .trial import FOLDER, SEEDS, build_fault, verdict

KERNEL = load_kernel(FOLDER)
SPACE = """
kernel: adversarial_attention
variant: cpu
parameters:
  fault: {values: [ignores_its_configuration], kind: categorical}
  tile_m: [16]
  tile_n: [16, 64]
"""
CONTAINERS = r"""
#include <cmath>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>
extern "C" float entry(int n, float x) {
    static const std::map<int, std::string> names{{1, "one"}};
    std::vector<float> values(n, std::exp(x));
    std::unordered_map<int, float> kept{{n, x}};
    if (n < 0) throw std::invalid_argument(names.at(1));
#pragma omp parallel for
    for (int i = 0; i < n; ++i) values[i] += std::tanh(kept.at(n));
    return *std::make_unique<float>(values.at(n - 1));
}
"""


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """Return one process for all tests."""
    made = Session(FOLDER, cpu_device())
    yield made
    made.close()


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a library that uses containers, mathematics and OpenMP."""
    return library(tmp_path_factory.mktemp("containers"), CONTAINERS)


def small(fault: str, **tiles: int) -> Candidate:
    return build_fault(KERNEL, fault, "cpu", "cpu", "small", **tiles)


def test_a_build_that_ignores_its_configuration_is_one_binary_and_the_parameter_is_named(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    valid = load_space(tmp_path / "space.yaml").enumerate({}, lambda _: {})
    told = io.StringIO()
    with Database.open(str(tmp_path / "evotune.db")) as database:
        search = database.start_search(SEARCH)
        recorder = Recorder(database, search, Study(valid, "random", 1), LineReporter(Console(file=told)), {})
        first, second = (proposed(recorder, number) for number in range(len(valid)))
        assert recorder.built(first)
        recorder.built_only(first)
        assert not recorder.built(second)
        recorder.flush()
        assert "same binary as trial 1: tile_n changed nothing" in told.getvalue()
        assert database.trial(2).same_binary_as == 1


def proposed(recorder: Recorder, number: int) -> Candidate:
    [proposal] = recorder.propose(1)
    tile_n = proposal.configuration["tile_n"]
    return replace(small("ignores_its_configuration", tile_n=int(tile_n)), number=number)


@pytest.mark.parametrize("earlier", [{"fault": "constant"}, {"fault": "none", "tile_n": 64}], ids=lambda e: str(e))
def test_the_binary_of_an_earlier_trial_is_refused_by_its_own_record(
    session: Session, earlier: dict[str, int | str]
) -> None:
    asked = small("none")
    tiles = {name: int(value) for name, value in earlier.items() if name != "fault"}
    other = small(str(earlier["fault"]), **tiles)
    built = replace(asked.builds[0], build=other.builds[0].build)
    met = verdict(session, replace(asked, builds=(built,)), "cpu", SEEDS)
    name, value = list(earlier.items())[-1]
    assert (met.gate, met.passed) == ("identity", False)
    assert f"must be built with {name.upper()}=" in (met.reason or "")
    assert f"its own record says {value}" in (met.reason or "")


def test_a_library_that_exports_the_clock_serves_only_itself(session: Session, tmp_path: Path) -> None:
    candidate = small("exports_the_clock")
    binary = candidate.builds[0].build.binary
    assert binary is not None
    (tmp_path / "kernel.so").write_bytes(binary)
    assert ctypes.CDLL(str(tmp_path / "kernel.so")).clock_gettime(0, None) == 0
    met = verdict(session, candidate, "cpu", SEEDS)
    assert met.passed and met.gate == "plausibility", f"{met.gate}: {met.reason}"
    assert met.figures["wall_us"] > 0


def test_containers_mathematics_and_openmp_are_nobodys_business(containers: bytes) -> None:
    assert forbidden_import(containers) is None


@pytest.mark.parametrize(
    ("line", "used"),
    [
        ("#include <thread>\nvoid f() { std::thread([] {}).detach(); }", "pthread_create|_ZNSt6thread"),
        ('#include <fstream>\nint f() { return std::ifstream("result").get(); }', "_ZNSi3getEv|basic_ifstream"),
        ('#include <cstdio>\nvoid f() { std::puts("here"); }', "puts"),
        ("#include <ctime>\nlong f() { return std::time(nullptr); }", "time"),
        ("#include <unistd.h>\nlong f() { return syscall(231, 0); }", "syscall"),
    ],
)
def test_threads_files_clocks_and_system_calls_are_refused(tmp_path: Path, line: str, used: str) -> None:
    reason = forbidden_import(library(tmp_path, line))
    assert reason is not None and re.search(f"it uses .*(?:{used})", reason)


def test_two_builds_side_by_side_have_tables_of_their_own(tmp_path: Path) -> None:
    values = []
    for value in (1, 2):
        folder = tmp_path / str(value)
        folder.mkdir()
        library(folder, f'inline float table[2] = {{{value}, 0}};\nextern "C" float first() {{ return table[0]; }}')
        first = ctypes.CDLL(str(folder / "source.so")).first
        first.restype = ctypes.c_float
        values.append(first())
    assert values == [1, 2]


def test_imports_are_read_with_the_library_that_they_come_from(containers: bytes) -> None:
    found = {each.name: each.library for each in read_imports(containers)}
    assert found["tanhf"] == "libm.so.6" and found["GOMP_parallel"] == "libgomp.so.1"
    assert found["_Znwm"] == "libstdc++.so.6" and found["_ITM_registerTMCloneTable"] is None


@pytest.mark.parametrize("binary", [b"", b"\x7fELF\x02\x01", b"\x7fELF\x02\x01" + bytes(100)])
def test_what_is_no_whole_library_is_refused(binary: bytes) -> None:
    assert "a shared library must" in (forbidden_import(binary) or "")


def library(folder: Path, source: str) -> bytes:
    (folder / "source.cpp").write_text(source)
    command = [*compiler_command(), *FLAGS, "source.cpp", "-o", "source.so"]
    subprocess.run(command, cwd=folder, check=True)
    return (folder / "source.so").read_bytes()
