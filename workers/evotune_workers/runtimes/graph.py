"""Many calls as one CUDA graph: their times are measured without what a launch costs the host."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


class CallGraph:
    """`rounds` times `call(0)` to `call(sets - 1)`, captured once. `outputs` holds a round's outputs, by number.

    `call` is kept: each replay writes to what it holds, a workspace for example, as the captured calls did.
    """

    def __init__(self, call: Callable[[int], torch.Tensor], sets: int, rounds: int) -> None:
        """Captures on the current stream's device; raises what `call` raises."""
        self.outputs: list[torch.Tensor] = []
        self._call = call
        self._graph = torch.cuda.CUDAGraph()
        self._calls = sets * rounds
        self._events = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        # torch.cuda.graph would also collect garbage and empty the cache, which takes longer than all the rest.
        self._graph.capture_begin()
        try:
            self._capture(call, sets, rounds)
        finally:
            self._graph.capture_end()
        self.replay()

    def _capture(self, call: Callable[[int], torch.Tensor], sets: int, rounds: int) -> None:
        """A round's outputs stay alive, so that calls of one round write to memory of their own."""
        self.outputs = [call(number) for number in range(sets)]
        for _ in range(rounds - 1):
            for number in range(sets):
                self.outputs[number] = call(number)

    def replay(self) -> None:
        """Queues all calls."""
        self._graph.replay()

    def replay_us(self) -> float:
        """Microseconds per call by the device's clock."""
        self._events[0].record()
        self._graph.replay()
        self._events[1].record()
        self._events[1].synchronize()
        elapsed_ms: float = self._events[0].elapsed_time(self._events[1])
        return elapsed_ms * 1e3 / self._calls

    def both_clocks_us(self) -> tuple[float, float]:
        """Microseconds per call of one replay: by the device's clock, and by the host's until the device is at rest."""
        torch.cuda.synchronize()
        started = time.perf_counter_ns()
        device_us = self.replay_us()
        torch.cuda.synchronize()
        return device_us, (time.perf_counter_ns() - started) / 1e3 / self._calls
