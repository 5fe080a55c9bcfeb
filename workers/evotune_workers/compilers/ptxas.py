"""The resource report of ptxas (`-Xptxas -v`): resources of the entry function and of the functions it may call.

Format as of CUDA 13.0 (NVCC documentation, "Printing Code Generation Statistics"). Functions that were not inlined
follow the entry functions that call them, and have no line of their own for registers:

    ptxas info    : Compiling entry function 'scan' for 'sm_89'
    ptxas info    : Function properties for scan
        16 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads
    ptxas info    : Used 40 registers, used 1 barriers, 16 bytes cumulative stack size, 1024 bytes smem
    ptxas info    : Function properties for _Z6helperi
        0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from evotune_workers.compilers.build import Resources

ENTRY = re.compile(r"^ptxas info\s*: Compiling entry function '([^']+)'.*$", re.MULTILINE)
USED = re.compile(r"^ptxas info\s*: Used (\d+) registers(.*)$", re.MULTILINE)
FUNCTION = re.compile(r"^ptxas info\s*: Function properties for (\S+)\n(.*)$", re.MULTILINE)
FRAME = re.compile(r"\s*(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")


@dataclass(frozen=True)
class _Frame:
    """Bytes of a function's stack frame and of its spills."""

    stack: int
    spill_stores: int
    spill_loads: int


def read_report(log: str, entry: str) -> Resources:
    """Return the resources of `entry`; spills and stack include every function that was not inlined.

    It may call all of these. `stack_bytes` is the sum of the frames, or the cumulative size if that is larger; it is
    an upper bound unless a function recurses. Other entry functions do not count. ValueError names the field, or the
    entry function, that is missing.
    """
    report = log.replace("\r\n", "\n")
    pieces = ENTRY.split(report)
    entries = pieces[1::2]
    if entries.count(entry) != 1:
        named = ", ".join(entries) or "none"
        raise ValueError(f"ptxas must report on the entry function {entry} once, its report has {named}")
    used = USED.search(pieces[2::2][entries.index(entry)])
    if used is None:
        raise ValueError(f"ptxas must report the registers of {entry}, got no such line")
    frames = _frames(report, entry, entries)
    return Resources(
        registers=int(used[1]),
        spill_stores=sum(frame.spill_stores for frame in frames),
        spill_loads=sum(frame.spill_loads for frame in frames),
        stack_bytes=max(sum(frame.stack for frame in frames), _bytes(used[2], "cumulative stack size")),
        shared_bytes=_bytes(used[2], "smem"),
    )


def _frames(report: str, entry: str, entries: list[str]) -> list[_Frame]:
    """Return the frames of `entry` and of all functions that are no entry functions.

    A function that is listed more than once counts with its largest figures.
    """
    found: dict[str, list[_Frame]] = {entry: []}
    for name, line in FUNCTION.findall(report):
        if name == entry or name not in entries:
            found.setdefault(name, []).append(_frame(name, line))
    if not found[entry]:
        raise ValueError(f"ptxas must report stack frame, spill stores and spill loads of {entry}, got no such line")
    return [
        _Frame(
            stack=max(frame.stack for frame in frames),
            spill_stores=max(frame.spill_stores for frame in frames),
            spill_loads=max(frame.spill_loads for frame in frames),
        )
        for frames in found.values()
    ]


def _frame(name: str, line: str) -> _Frame:
    match = FRAME.fullmatch(line)
    if match is None:
        raise ValueError(f"ptxas must report stack frame, spill stores and spill loads of {name}, got {line.strip()!r}")
    return _Frame(*map(int, match.groups()))


def _bytes(used: str, name: str) -> int:
    """Return the bytes of one kind of memory in a `Used` line; ptxas omits the kinds of which nothing is used."""
    items = [item.strip() for item in used.split(",") if item.rstrip().endswith(name)]
    if not items:
        return 0
    match = re.fullmatch(rf"(\d+) bytes {name}", items[0])
    if match is None or len(items) > 1:
        raise ValueError(f"ptxas must report 'N bytes {name}' once, got {', '.join(items)!r}")
    return int(match[1])
