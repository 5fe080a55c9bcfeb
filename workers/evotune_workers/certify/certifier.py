"""Certifying one build on this machine's GPU: sanitizers, repeatability, resources, and hardware counters."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evotune_workers.certify import ncu, sanitizer
from evotune_workers.certify.findings import SANITIZERS, Certification, NoProfile, Profile, Sanitizer, ToolFinding
from evotune_workers.certify.target_job import TargetJob
from evotune_workers.compilers.build import Resources, ToolchainError
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.compilers.run_compiler import CommandResult, run_group
from evotune_workers.system.import_path import import_path
from evotune_workers.system.temporary import temporary_folder

# The same number of launches as in the `repeatability` gate.
RUNS = 100
# Few, since a sanitizer slows a kernel down a hundredfold; two, so that the second runs after another launch.
SANITIZED_LAUNCHES = 2
TIME_LIMIT_SECONDS = 300.0
DIFFERENT = re.compile(r"^evotune different (\d+) of (\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class CertifyJob:
    """A candidate's build at one workload, to be certified on the first visible GPU."""

    kernel_folder: Path
    variant: str
    entry: str
    candidate: Candidate
    workload: str
    seeds: tuple[int, ...]


Report = Callable[[str], None]


def certify(job: CertifyJob, report: Report) -> tuple[Certification, Profile | NoProfile]:
    """Run every tool, and pass the name of each to `report` before it starts.

    Raises ToolchainError when compute-sanitizer is not installed.
    """
    program = find_tool("compute-sanitizer")
    [built] = [built for built in job.candidate.builds if built.workload == job.workload]
    assert built.build.binary is not None and built.build.resources is not None, "only builds that passed are certified"
    with temporary_folder() as folder:
        (folder / "kernel.cubin").write_bytes(built.build.binary)
        target_job = _target_job(job, folder)
        findings = [_sanitize(tool, program, target_job, job.entry, folder, report) for tool in SANITIZERS]
        runs, different, repeated = _repeat(target_job, folder, report)
        certification = Certification(runs, different, (*findings, repeated, _judge_resources(built.build.resources)))
        return certification, _profile(target_job, job.entry, folder, report)


def find_tool(name: str) -> str:
    """Return the path of a tool on PATH, or in CUDA_HOME, CUDA_PATH or /usr/local/cuda.

    Raises ToolchainError when it is in none of them.
    """
    homes = (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda")
    folders = [f"{home}/{place}" for home in homes if home for place in ("bin", "compute-sanitizer")]
    path = shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders))
    if path is None:
        raise ToolchainError(f"certifying needs {name}, found none: install the CUDA toolkit, or put its bin on PATH")
    return path


def _target_job(job: CertifyJob, folder: Path) -> TargetJob:
    return TargetJob(
        kernel_folder=job.kernel_folder,
        variant=job.variant,
        configuration=dict(job.candidate.configuration),
        workload=job.workload,
        cubin=folder / "kernel.cubin",
        seeds=job.seeds[:2],
        launches=SANITIZED_LAUNCHES,
        tails=True,
    )


def _target_command(target_job: TargetJob, folder: Path) -> tuple[str, ...]:
    path = folder / "target_job.pickle"
    path.write_bytes(pickle.dumps(target_job))
    environment = (f"PYTHONPATH={import_path()}", "LC_ALL=C")
    return ("/usr/bin/env", *environment, sys.executable, "-m", "evotune_workers.certify.target", str(path))


def _sanitize(
    tool: Sanitizer, program: str, target_job: TargetJob, entry: str, folder: Path, report: Report
) -> ToolFinding:
    report(tool)
    command = sanitizer.command(tool, _target_command(target_job, folder), entry, program)
    result, seconds = _timed(command, folder)
    return sanitizer.read(tool, result.output, result.returncode, seconds)


def _repeat(target_job: TargetJob, folder: Path, report: Report) -> tuple[int, int, ToolFinding]:
    """Return the number of runs, the number of those with other bits, and the verdict."""
    report("repeatability")
    result, seconds = _timed(_target_command(replace(target_job, launches=RUNS, tails=False), folder), folder)
    counts = DIFFERENT.search(result.output)
    if counts is None or result.returncode != 0:
        return 0, 0, ToolFinding("repeatability", False, 0, "the runs did not come to an end", result.output, seconds)
    different, runs = int(counts[1]), int(counts[2])
    summary = f"{different} of {runs} runs gave other bits"
    return runs, different, ToolFinding("repeatability", different == 0, different, summary, result.output, seconds)


def _judge_resources(resources: Resources) -> ToolFinding:
    """Require that there is no spill and no local memory, which lies on the stack."""
    used = {
        "spill stores": resources.spill_stores,
        "spill loads": resources.spill_loads,
        "stack (local memory)": resources.stack_bytes,
    }
    wrong = {name: size for name, size in used.items() if size != 0}
    summary = ", ".join(f"{size} bytes {name}" for name, size in wrong.items()) or "no spills, no local memory"
    return ToolFinding("resources", not wrong, len(wrong), summary, "", 0.0)


def _profile(target_job: TargetJob, entry: str, folder: Path, report: Report) -> Profile | NoProfile:
    try:
        program = find_tool("ncu")
    except ToolchainError as error:
        return NoProfile(str(error))
    report("counters")
    command = ncu.command(_target_command(replace(target_job, tails=False), folder), entry, 1, program)
    result, _ = _timed(("/usr/bin/env", "LC_ALL=C", *command), folder)
    return ncu.read(result.output, result.returncode)


def _timed(command: Sequence[str], folder: Path) -> tuple[CommandResult, float]:
    started = time.perf_counter()
    return run_group(command, folder, TIME_LIMIT_SECONDS), time.perf_counter() - started
