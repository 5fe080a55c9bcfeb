"""The service of a process that never loads a candidate: references, buffer sets, and the baselines' turns.

Candidates run in processes of their own. Their references are computed here, where nothing that a candidate does to its
process has an effect. Results lie in shared memory that a candidate can only read.
"""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import Callable, Sequence
from itertools import product
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener, wait
from typing import Any

from evotune_workers.child.messages import Address, Raised
from evotune_workers.kernel.contract import Inputs, Kernel, Workload
from evotune_workers.kernel.folder import named_workload
from evotune_workers.runtimes.buffer_sets import BufferPlan, BufferSets, bytes_of, plan_buffers
from evotune_workers.runtimes.references import KEPT_COLLECTIONS, KEPT_REFERENCES, Reference, References
from evotune_workers.runtimes.runtime import Runtime
from evotune_workers.runtimes.shared import Packed, SharedBytes, receive
from evotune_workers.runtimes.turns.team import end_team
from evotune_workers.runtimes.turns.turns import BaselineTurns, Calls, OpenedSide, TimedInputs, Turn
from evotune_workers.runtimes.unseen import Roll, UnseenInputs


class ReferenceService:
    """Answers the processes of candidates, and takes the baselines' turns."""

    def __init__(self, kernel: Kernel, target: str, runtime: Runtime) -> None:
        """Compute everything on demand."""
        self._kernel, self._target, self._runtime = kernel, target, runtime
        self._references = References(kernel, target, runtime)
        self.reference = functools.lru_cache(KEPT_REFERENCES)(self._reference)
        self.structure = functools.lru_cache(8)(self._structure)
        self._sets = functools.lru_cache(KEPT_COLLECTIONS["cpu"])(self._new_sets)
        self._turns: BaselineTurns | None = None
        self._unseen: UnseenInputs | None = None

    def answer(self, question: str, arguments: tuple[Any, ...]) -> tuple[Packed | SharedBytes, ...]:
        """Return what is sent to a candidate's process that asks for this, by the name of a method."""
        if question == "sets":
            plan, memory, _ = self._sets(*arguments)
            return Packed(plan), memory
        answers: dict[str, Callable[..., Packed]] = {
            "reference": self.reference,
            "structure": self.structure,
            "reference_of": lambda *given: Packed(self._references.reference_of(*given)),
            "time_baseline": lambda *given: Packed(self._references.time_baseline(*given)),
        }
        return (answers[question](*arguments),)

    def open(self, inputs: TimedInputs) -> tuple[dict[str, OpenedSide], int, str | None]:
        """Prepare the baselines' turns; return what is known of each, the number of sets, and what limits it."""
        _, _, sets = self._sets(inputs)
        contents = self._contents(inputs)
        workload = named_workload(self._kernel, inputs.workload)
        self._unseen = UnseenInputs(sets, contents)
        baselines = self._kernel.baselines(workload, self._target)
        self._turns = BaselineTurns(baselines, sets, len(contents), self._kernel.empty_output(workload))
        return self._turns.opened(), len(sets), sets.limited

    def take(self, side: str, calls: Calls) -> Turn:
        """Time a sample of a baseline."""
        assert self._turns is not None
        return self._turns.take(side, calls)

    def change(self, numbers: frozenset[int]) -> Roll:
        """Change the inputs of the sets of these numbers."""
        assert self._unseen is not None
        return self._unseen.change(numbers)

    def restore(self) -> None:
        """Give the changed sets their original inputs back."""
        assert self._unseen is not None
        self._unseen.restore()

    def warm_up(self, workloads: Sequence[Workload], seeds: Sequence[int]) -> None:
        """Compute the references of these workloads, and run each baseline."""
        for workload in workloads:
            self.structure(workload)
            for distribution, seed in product(self._kernel.distributions, seeds):
                reference: Reference = self.reference(workload, distribution, seed).value()
            for baseline in self._kernel.baselines(workload, self._target):
                baseline.run(reference.inputs)
        end_team()

    def _reference(self, workload: Workload, distribution: str, seed: int) -> Packed:
        inputs = self._kernel.inputs(workload, distribution, seed)
        return Packed(self._references.reference_of(workload, inputs))

    def _structure(self, workload: Workload) -> Packed:
        return Packed(self._kernel.structure(workload))

    def _contents(self, inputs: TimedInputs) -> list[Inputs]:
        workload = named_workload(self._kernel, inputs.workload)
        found: list[Reference] = [self.reference(workload, inputs.distribution, seed).value() for seed in inputs.seeds]
        return [reference.inputs for reference in found]

    def _new_sets(self, inputs: TimedInputs) -> tuple[BufferPlan, SharedBytes, BufferSets]:
        contents = self._contents(inputs)
        plan = plan_buffers(contents[0], len(contents), inputs.least_bytes, self._runtime.free_bytes(), "cpu")
        memory = SharedBytes(bytes_of(contents[0], plan.sets))
        return plan, memory, BufferSets(contents[0], plan, memory.tensor).fill(contents)


class Clients:
    """The processes of candidates that are connected."""

    def __init__(self, address: Address) -> None:
        """Listen there."""
        self._listener = Listener(address.name, authkey=address.key)
        self._connected: list[Connection] = []

    def serve_until(self, parent: Connection, service: ReferenceService) -> None:
        """Answer candidates until the parent has a request, or has ended."""
        listening = self._listener._listener._socket  # type: ignore[attr-defined]  # no public name for waiting on it
        ready: list[Any] = []
        while parent not in ready:
            ready = wait([parent, listening, *self._connected])
            if listening in ready:
                with contextlib.suppress(AuthenticationError, EOFError, OSError):
                    self._connected.append(self._listener.accept())
            for client in [each for each in self._connected if each in ready]:
                self._serve(client, service)

    def _serve(self, client: Connection, service: ReferenceService) -> None:
        try:
            for part in _answers(service, *receive(client)):
                part.send(client)
        except (EOFError, OSError):  # it has ended, or was killed
            self._connected.remove(client)
            client.close()


def _answers(service: ReferenceService, question: str, arguments: tuple[Any, ...]) -> tuple[Packed | SharedBytes, ...]:
    try:
        return service.answer(question, arguments)
    except Exception:  # whatever the kernel's Python raises: the candidate that asks must get an answer
        return (Packed(Raised(traceback.format_exc())),)
    finally:
        end_team()  # its threads would take cores from the candidate that asks
