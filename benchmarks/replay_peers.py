"""Samplers that were run before, or elsewhere, beside those of this run: space by space, against the best of them.

benchmarks/results/replay_peers.json holds the peers on the 13 public recordings, measured on 2026-11-21: 20 seeds, 200
evaluations, one at a time; Kernel Tuner 1.5.0, Optuna 5.0.0; `Helion-like` and `local search` are re-implementations.
The file has the form that --json writes, without the curves.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.replay_metrics import Estimate

PEERS_FILE = Path(__file__).parent / "results" / "replay_peers.json"
# What samplers are compared by, space by space, and how it is written.
COMPARED = {"score": ".3f", "% at 200": ".1f"}


@dataclass(frozen=True)
class Peer:
    """A sampler's figures by name, over all spaces and on each."""

    sampler: str
    overall: Mapping[str, Estimate]
    spaces: Mapping[str, Mapping[str, Estimate]]


def load_peers(path: Path) -> list[Peer]:
    """The samplers of a file that --json wrote."""
    return [
        Peer(
            one["sampler"],
            _estimates(one["overall"]),
            {space: _estimates(figures) for space, figures in one["spaces"].items()},
        )
        for one in json.loads(path.read_text())
    ]


def against_best(ours: Peer, peers: Sequence[Peer]) -> list[list[str]]:
    """A row for each space that somebody else was run on too, for each figure of COMPARED: ours, the best peer's.

    The last cell tells whether ours is `ahead` or `behind` by more than the standard error of the difference.
    """
    return [
        _row(space, name, figures[name], peers)
        for name in COMPARED
        for space, figures in ours.spaces.items()
        if name in figures and any(space in peer.spaces for peer in peers)
    ]


AGAINST_BEST = ("figure", "space", "ours", "best peer", "", "ours - peer", "")


def _row(space: str, name: str, own: Estimate, peers: Sequence[Peer]) -> list[str]:
    there = [peer for peer in peers if name in peer.spaces.get(space, {})]
    best = max(there, key=lambda peer: peer.spaces[space][name].mean)
    other = best.spaces[space][name]
    lead = Estimate(own.mean - other.mean, math.hypot(own.standard_error, other.standard_error))
    cells = [one.written(COMPARED[name]) for one in (own, other, lead)]
    return [name, space, cells[0], cells[1], best.sampler, cells[2], _verdict(lead)]


def _verdict(lead: Estimate) -> str:
    if abs(lead.mean) <= lead.standard_error:
        return "level"
    return "ahead" if lead.mean > 0 else "behind"


def _estimates(figures: Mapping[str, Mapping[str, float]]) -> dict[str, Estimate]:
    return {name: Estimate(**one) for name, one in figures.items()}
