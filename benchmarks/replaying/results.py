"""Format the figures of each sampler as Markdown tables with standard errors, and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.replaying.metrics import FORMS, Estimate, Figure, figures_of, over_spaces
from benchmarks.replaying.runs import Run
from evotune.replay import Recording

# The figures by which samplers are compared space by space.
COMPARED = ("score", "% at 200")
VERSUS_BEST = ("figure", "space", "ours", "best peer", "", "ours - peer", "")


@dataclass(frozen=True)
class Result:
    """One sampler's figures, over all spaces and for each; `milliseconds`: the mean cost of a proposal, if known."""

    sampler: str
    overall: Mapping[str, Estimate]
    spaces: Mapping[str, Mapping[str, Estimate]]
    milliseconds: float | None = None

    @classmethod
    def of(cls, sampler: str, recordings: Sequence[Recording], runs: Sequence[Sequence[Run]]) -> Result:
        """Summarise the runs of a sampler, a list for each recording."""
        figures = {
            recording.name: figures_of(recording, np.stack([run.curve for run in mine]))
            for recording, mine in zip(recordings, runs, strict=True)
        }
        seconds = [run.seconds.mean() for mine in runs for run in mine]
        spaces = {space: _estimates(mine) for space, mine in figures.items()}
        return cls(sampler, _estimates(over_spaces(list(figures.values()))), spaces, 1e3 * float(np.mean(seconds)))


def table(results: Sequence[Result], peers: Sequence[Result]) -> str:
    """Return a row for each sampler: means over spaces; peers with figures on the same spaces come last."""
    names = list(results[0].overall)
    same = [
        peer for peer in peers if peer.spaces.keys() == results[0].spaces.keys() and peer.overall.keys() == set(names)
    ]
    rows = [
        [
            each.sampler,
            *(each.overall[name].written(FORMS[name]) for name in names),
            "" if each.milliseconds is None else f"{each.milliseconds:.0f}",
        ]
        for each in [*results, *same]
    ]
    return _markdown(["sampler", *names, "ms a proposal"], rows)


def versus_best(ours: Result, peers: Sequence[Result]) -> list[list[str]]:
    """Return a row for each compared figure and each space that a peer has: ours, the best peer's, the difference.

    The last cell is `ahead` or `behind` if the difference is larger than its standard error, else `level`.
    """
    return [
        _row(space, name, figures[name], [peer for peer in peers if name in peer.spaces.get(space, {})])
        for name in COMPARED
        for space, figures in ours.spaces.items()
        if name in figures and any(name in peer.spaces.get(space, {}) for peer in peers)
    ]


def versus_best_table(results: Sequence[Result], peers: Sequence[Result]) -> str:
    """Compare the first sampler with the best of all others; return "" if there is no other."""
    rows = versus_best(results[0], [*results[1:], *peers])
    return _markdown(VERSUS_BEST, rows) if rows else ""


def write_json(results: Sequence[Result], path: Path) -> None:
    """Write all figures."""
    path.write_text(json.dumps([asdict(each) for each in results], allow_nan=False, indent=1) + "\n")


def read_json(path: Path) -> list[Result]:
    """Read the samplers of a file that write_json wrote."""
    return [
        Result(
            one["sampler"],
            _read(one["overall"]),
            {space: _read(figures) for space, figures in one["spaces"].items()},
            one.get("milliseconds"),
        )
        for one in json.loads(path.read_text())
    ]


def _row(space: str, name: str, own: Estimate, peers: Sequence[Result]) -> list[str]:
    best = max(peers, key=lambda peer: peer.spaces[space][name].mean)
    other = best.spaces[space][name]
    lead = Estimate(own.mean - other.mean, math.hypot(own.standard_error, other.standard_error))
    cells = [one.written(FORMS[name]) for one in (own, other, lead)]
    return [name, space, cells[0], cells[1], best.sampler, cells[2], _verdict(lead)]


def _verdict(lead: Estimate) -> str:
    if abs(lead.mean) <= lead.standard_error:
        return "level"
    return "ahead" if lead.mean > 0 else "behind"


def _estimates(figures: Sequence[Figure]) -> dict[str, Estimate]:
    return {figure.name: Estimate(figure.mean, figure.standard_error) for figure in figures}


def _read(figures: Mapping[str, Mapping[str, float]]) -> dict[str, Estimate]:
    return {name: Estimate(**one) for name, one in figures.items()}


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
