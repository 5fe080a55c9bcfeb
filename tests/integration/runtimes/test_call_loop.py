"""Calls of a CPU build one after the other from C++."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
import torch

from evotune_workers.compilers.cpp import compile_own
from evotune_workers.runtimes.call_loop import CallLoop
from evotune_workers.runtimes.runtime import LaunchError
from evotune_workers.runtimes.turns.sides import _require_given

# Appends what it is called with; refuses a negative number.
SOURCE = """
#include <cstdint>
extern "C" int note(double* place, int64_t number, float factor, int32_t flag, double sum) {
    if (number < 0) return 3;
    place[static_cast<int64_t>(place[0]++) + 1] = number * factor + flag + sum;
    return 0;
}
"""


@pytest.fixture(scope="module")
def note(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("note")
    (folder / "note.cpp").write_text(SOURCE)
    compile_own(folder / "note.cpp", folder / "note.so")
    return ctypes.CDLL(str(folder / "note.so")).note


def loop(note: Any, numbers: list[int], notes: ctypes.Array[ctypes.c_double]) -> CallLoop:
    place = ctypes.c_void_p(ctypes.addressof(notes))
    others = (ctypes.c_float(0.5), ctypes.c_int32(1), ctypes.c_double(0.25))
    return CallLoop(note, len(numbers), lambda number: [place, ctypes.c_int64(numbers[number]), *others])


def test_calls_are_made_in_turn_each_with_its_own_arguments(note: Any) -> None:
    notes = (ctypes.c_double * 10)()
    calls = loop(note, [2, 4, 8], notes)
    calls.prepare(0, 2)
    calls.run(0, 2)
    calls.prepare(2, 5)
    calls.run(2, 5)
    assert list(notes)[:8] == [7, *(number * 0.5 + 1.25 for number in (2, 4, 8, 2, 4, 8, 2))]


def test_a_status_other_than_0_ends_the_calls(note: Any) -> None:
    notes = (ctypes.c_double * 10)()
    calls = loop(note, [2, -1, 8], notes)
    calls.prepare(0, 3)
    with pytest.raises(LaunchError, match="must return 0, got 3"):
        calls.run(0, 3)
    assert notes[0] == 1


def test_a_tensor_that_was_made_for_a_call_is_refused() -> None:
    given = torch.zeros(8)
    _require_given((given[2:], given.view(2, 4)), (given,))
    with pytest.raises(ValueError, match="got another at place 1"):
        _require_given((given, given.clone()), (given,))
