"""Certifying one build on this machine's GPU: sanitizers, equal bits, resources, and hardware counters."""

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
from evotune_workers.certify.watched import Watched
from evotune_workers.compilers.build import Resources, ToolchainError
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.compilers.run_compiler import Ran, run_group
from evotune_workers.kernel.device import import_path
from evotune_workers.system.temporary import scratch_folder

# As the `repeatability` gate.
RUNS = 100
# A sanitizer slows a kernel down a hundredfold; two launches show what the second does after the first.
WATCHED_LAUNCHES = 2
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
    """Runs every tool, reporting which; raises ToolchainError when compute-sanitizer is not installed."""
    program = find_tool("compute-sanitizer")
    [built] = [built for built in job.candidate.builds if built.workload == job.workload]
    assert built.build.binary is not None and built.build.resources is not None, "only builds that passed are certified"
    with scratch_folder() as folder:
        (folder / "kernel.cubin").write_bytes(built.build.binary)
        watched = _watched(job, folder)
        findings = [_sanitize(tool, program, watched, job.entry, folder, report) for tool in SANITIZERS]
        runs, different, repeated = _repeat(watched, folder, report)
        certification = Certification(runs, different, (*findings, repeated, _judge_resources(built.build.resources)))
        return certification, _profile(watched, job.entry, folder, report)


def find_tool(name: str) -> str:
    """Its path: on PATH, or in CUDA_HOME or /usr/local/cuda; ToolchainError without it."""
    homes = (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda")
    folders = [f"{home}/{place}" for home in homes if home for place in ("bin", "compute-sanitizer")]
    path = shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders))
    if path is None:
        raise ToolchainError(f"certifying needs {name}, found none: install the CUDA toolkit, or put its bin on PATH")
    return path


def _watched(job: CertifyJob, folder: Path) -> Watched:
    return Watched(
        kernel_folder=job.kernel_folder,
        variant=job.variant,
        configuration=dict(job.candidate.configuration),
        workload=job.workload,
        cubin=folder / "kernel.cubin",
        seeds=job.seeds[:2],
        launches=WATCHED_LAUNCHES,
        tails=True,
    )


def _target(watched: Watched, folder: Path) -> tuple[str, ...]:
    path = folder / "watched.pickle"
    path.write_bytes(pickle.dumps(watched))
    environment = (f"PYTHONPATH={import_path()}", "LC_ALL=C")
    return ("/usr/bin/env", *environment, sys.executable, "-m", "evotune_workers.certify.target", str(path))


def _sanitize(tool: Sanitizer, program: str, watched: Watched, entry: str, folder: Path, report: Report) -> ToolFinding:
    report(tool)
    command = sanitizer.command(tool, _target(watched, folder), entry, program)
    ran, seconds = _timed(command, folder)
    return sanitizer.read(tool, ran.output, ran.returncode, seconds)


def _repeat(watched: Watched, folder: Path, report: Report) -> tuple[int, int, ToolFinding]:
    """Runs, how many had other bits, and the verdict."""
    report("repeatability")
    ran, seconds = _timed(_target(replace(watched, launches=RUNS, tails=False), folder), folder)
    told = DIFFERENT.search(ran.output)
    if told is None or ran.returncode != 0:
        return 0, 0, ToolFinding("repeatability", False, 0, "the runs did not come to an end", ran.output, seconds)
    different, runs = int(told[1]), int(told[2])
    summary = f"{different} of {runs} runs gave other bits"
    return runs, different, ToolFinding("repeatability", different == 0, different, summary, ran.output, seconds)


def _judge_resources(resources: Resources) -> ToolFinding:
    """No spill and no local memory: the stack is where local memory lies."""
    used = {
        "spill stores": resources.spill_stores,
        "spill loads": resources.spill_loads,
        "stack (local memory)": resources.stack_bytes,
    }
    wrong = {name: size for name, size in used.items() if size != 0}
    summary = ", ".join(f"{size} bytes {name}" for name, size in wrong.items()) or "no spills, no local memory"
    return ToolFinding("resources", not wrong, len(wrong), summary, "", 0.0)


def _profile(watched: Watched, entry: str, folder: Path, report: Report) -> Profile | NoProfile:
    try:
        program = find_tool("ncu")
    except ToolchainError as error:
        return NoProfile(str(error))
    report("counters")
    command = ncu.command(_target(replace(watched, tails=False), folder), entry, 1, program)
    ran, _ = _timed(("/usr/bin/env", "LC_ALL=C", *command), folder)
    return ncu.read(ran.output, ran.returncode)


def _timed(command: Sequence[str], folder: Path) -> tuple[Ran, float]:
    started = time.perf_counter()
    return run_group(command, folder, TIME_LIMIT_SECONDS), time.perf_counter() - started
