"""Every gate over hundreds of configurations of each space, across workloads, dtypes, ragged sizes and causal masks.

`EVOTUNE_GPU_CONFIGURATIONS` says how many of each space (300 by default); they are built on all cores first.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pytest

from evotune.planning.locate import space_file
from evotune.space import load_space
from evotune_workers.compilers.builder import BuildJob, build_candidate
from evotune_workers.compilers.candidate import Candidate
from evotune_workers.gates.gate import GateResult
from evotune_workers.gates.running import RUNNING_GATES
from evotune_workers.kernel import Configuration
from evotune_workers.kernel.device import Device
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.measuring.child_session import GateFailed, Session

from .conftest import ATTENTION, SEEDS

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

WORKLOADS = ("mission", "causal", "ragged", "wide", "mission_bf16")
COUNT = int(os.environ.get("EVOTUNE_GPU_CONFIGURATIONS", "300"))


@pytest.mark.parametrize("space", ["l4", "h200"])
def test_every_gate_passes_over_the_space(space: str, gpu: Device) -> None:
    if space == "h200" and gpu.target != "sm_90":
        pytest.skip("clusters and 227 KB of shared memory need compute capability 9.0")
    jobs = [
        BuildJob(number, configuration, "sm80", gpu.target, (WORKLOADS[number % len(WORKLOADS)],))
        for number, configuration in enumerate(sample(space, gpu))
    ]
    with ProcessPoolExecutor() as pool:
        candidates = list(pool.map(partial(build_candidate, ATTENTION), jobs))
    session = Session(ATTENTION, gpu)
    failures = [(each, refused) for each in candidates if (refused := refusal(session, each))]
    session.close()
    told = "\n".join(f"{refused.gate}: {refused.reason}\n    {describe(each)}" for each, refused in failures)
    assert not failures, f"{len(failures)} of {len(candidates)} refused:\n{told}"


def sample(space: str, gpu: Device) -> list[Configuration]:
    """Draw configurations that are valid at every workload, the same in every run."""
    kernel = load_kernel(ATTENTION)
    variant, shapes = kernel.variant("sm80"), [named_workload(kernel, name) for name in ("mission", "wide")]

    def derived(configuration: Configuration) -> dict[str, int]:
        each = [variant.derived(configuration, shape) for shape in shapes]
        return {name: max(quantities[name] for quantities in each) for name in each[0]}

    valid = load_space(space_file("attention_fwd", space)).enumerate(gpu.limits, derived)
    chosen = np.random.default_rng(7).choice(len(valid), min(COUNT, len(valid)), replace=False)
    return [valid.configuration(int(index)) for index in chosen]


def refusal(session: Session, candidate: Candidate) -> GateResult | None:
    """Return the result of the gate that refuses it, or None when all pass."""
    [built] = candidate.builds
    if built.build.failure is not None:
        return GateResult("build", False, built.build.failure)
    try:
        with session.loaded({"candidate": (candidate, built)}, "sm80", SEEDS):
            for gate in RUNNING_GATES:
                session.run_gate(gate, "candidate", built)
    except GateFailed as failed:
        session.renew()
        return failed.verdict
    return None


def describe(candidate: Candidate) -> str:
    values = " ".join(f"{name}={value}" for name, value in candidate.configuration.items())
    return f"{candidate.builds[0].workload} {values}"
