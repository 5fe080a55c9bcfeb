"""Many calls as one CUDA graph, whose time does not contain the host's cost of a launch."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


class CallGraph:
    """A captured graph of `rounds` times `call(0)` to `call(sets - 1)`; `outputs` holds a round's outputs, by number.

    The graph keeps `call` alive, since each replay writes to the memory that it holds, such as a workspace.
    """

    def __init__(self, call: Callable[[int], torch.Tensor], sets: int, rounds: int) -> None:
        """Capture the calls on the current stream's device; raise what `call` raises."""
        self.outputs: list[torch.Tensor] = []
        self._call = call
        self._graph = torch.cuda.CUDAGraph()
        self._calls = sets * rounds
        self._events = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        # torch.cuda.graph would also collect garbage and empty the cache, which takes longer than everything else here.
        self._graph.capture_begin()
        try:
            self._capture(call, sets, rounds)
        finally:
            self._graph.capture_end()
        self.replay()

    def _capture(self, call: Callable[[int], torch.Tensor], sets: int, rounds: int) -> None:
        """Make all calls; a round's outputs stay alive, so that its calls write to separate memory."""
        self.outputs = [call(number) for number in range(sets)]
        for _ in range(rounds - 1):
            for number in range(sets):
                self.outputs[number] = call(number)

    def replay(self) -> None:
        """Queue all calls."""
        self._graph.replay()

    def replay_us(self) -> float:
        """Replay once and return microseconds per call by the device's clock."""
        self._events[0].record()
        self._graph.replay()
        self._events[1].record()
        self._events[1].synchronize()
        elapsed_ms: float = self._events[0].elapsed_time(self._events[1])
        return elapsed_ms * 1e3 / self._calls

    def both_clocks_us(self) -> tuple[float, float]:
        """Replay once; return microseconds per call by the device's clock, and by the host's.

        The host's time ends when the device is idle.
        """
        torch.cuda.synchronize()
        started = time.perf_counter_ns()
        device_us = self.replay_us()
        torch.cuda.synchronize()
        return device_us, (time.perf_counter_ns() - started) / 1e3 / self._calls
