"""A candidate's process asks for its references, as the service computes them in another process."""

from __future__ import annotations

import functools
from multiprocessing.connection import Client
from typing import Any

from evotune_workers.child.messages import Address, Raised
from evotune_workers.kernel.contract import Inputs, StructureCase, Workload
from evotune_workers.runtimes.buffer_sets import BufferSets
from evotune_workers.runtimes.references import KEPT_REFERENCES, Reference
from evotune_workers.runtimes.shared import Packed, receive, receive_bytes
from evotune_workers.runtimes.turns.turns import TimedInputs


class ReferenceFailed(RuntimeError):
    """The kernel's Python raised in the process of the references: the text is its traceback."""


class RemoteReferences:
    """The references of a `ReferenceService`; their tensors can be read only."""

    def __init__(self, address: Address) -> None:
        """Connect to the service; raise OSError when its process has ended."""
        self._connection = Client(address.name, authkey=address.key)
        self.reference = functools.lru_cache(KEPT_REFERENCES)(self._reference)
        self.structure = functools.lru_cache(8)(self._structure)

    def reference_of(self, workload: Workload, inputs: Inputs) -> Reference:
        """Return the reference of other inputs."""
        found: Reference = self._ask("reference_of", workload, inputs)
        return found

    def time_baseline(self, workload: Workload, inputs: Inputs) -> float:
        """Return the microseconds of one call of the pinned baseline, timed now."""
        return float(self._ask("time_baseline", workload, inputs))

    def buffer_sets(
        self, workload: Workload, distribution: str, seeds: tuple[int, ...], least_bytes: int
    ) -> BufferSets:
        """Return the buffer sets that the baselines read, too."""
        like = self.reference(workload, distribution, seeds[0]).inputs
        plan = self._ask("sets", TimedInputs(workload.name, distribution, seeds, least_bytes))
        return BufferSets(like, plan, receive_bytes(self._connection))

    def _reference(self, workload: Workload, distribution: str, seed: int) -> Reference:
        found: Reference = self._ask("reference", workload, distribution, seed)
        return found

    def _structure(self, workload: Workload) -> tuple[StructureCase, ...]:
        found: tuple[StructureCase, ...] = self._ask("structure", workload)
        return found

    def _ask(self, name: str, *arguments: Any) -> Any:
        Packed((name, arguments)).send(self._connection)
        found = receive(self._connection)
        if isinstance(found, Raised):
            raise ReferenceFailed(found.traceback)
        return found
