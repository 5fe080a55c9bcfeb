"""A kernel on a device through a killable child: builds loaded into it, and gates run on them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evotune_workers.child.messages import Load, Prepare, Request, RunGate
from evotune_workers.child.sandbox import BuildRefused, ChildDied, ChildTimeout, Sandbox, Sandboxes, sandboxes_for
from evotune_workers.compilers.build import macro_text
from evotune_workers.compilers.candidate import Candidate, WorkloadBuild
from evotune_workers.gates.allowed_imports import forbidden_import
from evotune_workers.gates.gate import DIED, Gate, GateCriteria, GateResult
from evotune_workers.kernel.device import Device
from evotune_workers.kernel.folder import load_kernel, named_workload
from evotune_workers.runtimes.build_spec import BuildSpec
from evotune_workers.system.temporary import temporary_folder

LOAD_LIMIT_SECONDS = 60.0
IDENTITY = "identity"
# The name of the side that a trial's build has in the child.
CANDIDATE = "candidate"

Sides = Mapping[str, tuple[Candidate, WorkloadBuild]]


class GateFailed(Exception):
    """A gate failed, which ends the trial. `results` are the gate's, with the failing one (`verdict`) among them."""

    def __init__(self, results: tuple[GateResult, ...]) -> None:
        """Take the first result that did not pass as the verdict."""
        self.results = results
        self.verdict = next(result for result in results if not result.passed)
        super().__init__(f"{self.verdict.gate}: {self.verdict.reason}")


class ChildLost(GateFailed):
    """The child died, perhaps through the fault of an earlier configuration."""


class Refuted(GateFailed):
    """The figures that a gate measured break its rule, and would break it again."""


def refuse(gate: str, reason: str, workload: str | None = None) -> GateFailed:
    """Return the failure of a gate by one verdict without figures."""
    return GateFailed((GateResult(gate, False, reason, workload),))


class Session:
    """One kernel on one device, through a child. Builds stay loaded until the next `loaded` or the end of the child."""

    def __init__(self, kernel_folder: Path, device: Device, sandboxes: Sandboxes | None = None) -> None:
        """Use these processes, or start some; raises KernelError when the kernel does not load."""
        self._sandboxes = sandboxes or sandboxes_for(kernel_folder, device)
        self._of_builds: dict[str, Sandbox] = {}
        self.seeds: tuple[int, ...] = ()
        self.kernel = load_kernel(kernel_folder)
        self.device = device
        self._baseline_us: dict[str, float] = {}

    @property
    def conditions(self) -> dict[str, Any]:
        """The part of the child's set-up that affects timings."""
        return {**self._sandboxes.shared.conditions, **self._sandboxes.shared.environment}

    @contextlib.contextmanager
    def loaded(self, sides: Sides, variant: str, seeds: tuple[int, ...]) -> Iterator[None]:
        """Load builds in the child, by side name; their files are removed afterwards.

        Raises GateFailed for a build that takes more from the process than a kernel may, before it is loaded.
        """
        with temporary_folder() as folder:
            specs, self.seeds = {}, seeds
            for place, (side, (candidate, built)) in enumerate(sides.items()):
                assert built.build.binary is not None
                self._refuse_forbidden_imports(built, built.build.binary)
                library = folder / f"{place}.so"
                library.write_bytes(built.build.binary)
                specs[side] = BuildSpec(candidate.configuration, built.workload, variant, library, seeds)
            with self._processes(specs):
                self._load(specs)
                yield

    @contextlib.contextmanager
    def _processes(self, sides: Collection[str]) -> Iterator[None]:
        """Give each side its process; those of builds alone end with the context."""
        self._of_builds = {side: self._sandboxes.for_build() for side in sides}
        try:
            yield
        finally:
            for sandbox in self._of_builds.values():
                if sandbox is not self._sandboxes.shared:
                    sandbox.close()
            self._of_builds = {}

    def _load(self, specs: dict[str, BuildSpec]) -> None:
        """Load all builds into the shared process, or each into its own."""
        together = [specs] if self._sandboxes.address is None else [{side: spec} for side, spec in specs.items()]
        for each in together:
            self.ask("launch", Load(each), LOAD_LIMIT_SECONDS, side=next(iter(each)))
        self._baseline_us = {side: self.ask("launch", Prepare(side), LOAD_LIMIT_SECONDS, side=side) for side in specs}

    def run_gate(self, gate: Gate, side: str, built: WorkloadBuild) -> tuple[GateResult, ...]:
        """Return the gate's results, all passed; raises GateFailed otherwise."""
        started = time.perf_counter()
        limit = gate.limit_seconds(self._baseline_us[side])
        observations = self.ask(gate.name, RunGate(gate.name, side), limit, gate.if_it_dies, side)
        if not observations:
            raise refuse(gate.name, "the gate must return figures, got none", built.workload)
        criteria = self.criteria(built)
        seconds = (time.perf_counter() - started) / len(observations)
        results = tuple(replace(gate.judge(observation, criteria), seconds=seconds) for observation in observations)
        if not all(result.passed for result in results):
            raise Refuted(results)
        return results

    def _refuse_forbidden_imports(self, built: WorkloadBuild, binary: bytes) -> None:
        """Refuse a library with forbidden imports; the driver links a cubin to printf, malloc and assert only."""
        forbidden = forbidden_import(binary) if self.device.kind == "cpu" else None
        if forbidden is not None:
            raise refuse(IDENTITY, forbidden, built.workload)

    def criteria(self, built: WorkloadBuild) -> GateCriteria:
        """Return the criteria of the gates, from the kernel and the request; none of it comes from the child."""
        cost = self.kernel.cost(named_workload(self.kernel, built.workload))
        return GateCriteria(
            macros={name: macro_text(value) for name, value in built.macros.items()},
            max_factor=self.kernel.numerics.max_factor,
            rms_factor=self.kernel.numerics.rms_factor,
            floor_us=cost.flops / self.device.peak_flops * 1e6,
            moved_bytes=cost.bytes,
        )

    def ask(
        self, gate: str, request: Request, time_limit: float, if_it_dies: str = DIED, side: str | None = None
    ) -> Any:
        """Return the answer of a side's process, or of the shared one.

        Its death, its silence or a refusal fails the current gate.
        """
        sandbox = self._sandboxes.shared if side is None else self._of_builds[side]
        try:
            return sandbox.ask(request, time_limit)
        except ChildDied as died:
            raise ChildLost((GateResult(gate, False, f"{if_it_dies}: {died}"),)) from died
        except ChildTimeout as timeout:
            raise refuse(gate, f"the process running it hung and was killed: {timeout}") from timeout
        except BuildRefused as refused:
            raise refuse(gate, str(refused)) from refused

    def renew(self) -> None:
        """End the process that builds share, which one of them may have damaged: the next request gets a fresh one."""
        if self._sandboxes.address is None:
            self._sandboxes.shared.renew()

    def close(self) -> None:
        """End every process."""
        self._sandboxes.shared.close()
        for sandbox in list(self._of_builds.values()):
            sandbox.close()
