"""What replays came to: a Markdown table with standard errors, JSON, and a plot of the best so far."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.replay_left_out import LEFT_OUT, family, left_out
from benchmarks.replay_metrics import Estimate, Figure, figures_of, over_spaces
from benchmarks.replay_peers import AGAINST_BEST, COMPARED, Peer, against_best
from benchmarks.replay_runs import Run
from evotune.replay import Recording

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Result:
    """One sampler: its runs and figures on each space, by name."""

    sampler: str
    runs: Mapping[str, Sequence[Run]]
    figures: Mapping[str, Sequence[Figure]]

    @classmethod
    def of(cls, sampler: str, recordings: Sequence[Recording], runs: Sequence[Sequence[Run]]) -> Result:
        """The result of these runs, a list for each recording."""
        pairs = list(zip(recordings, runs, strict=True))
        return cls(
            sampler,
            {recording.name: mine for recording, mine in pairs},
            {recording.name: figures_of(recording, np.stack([run.curve for run in mine])) for recording, mine in pairs},
        )

    @property
    def overall(self) -> list[Figure]:
        """Every figure over all spaces."""
        return over_spaces(list(self.figures.values()))

    @property
    def milliseconds(self) -> float:
        """The mean cost of a proposal, the sampler's fits included."""
        return 1e3 * float(np.mean([run.seconds.mean() for runs in self.runs.values() for run in runs]))

    @property
    def peer(self) -> Peer:
        """The figures alone."""
        figures = {space: _estimates(figures) for space, figures in self.figures.items()}
        return Peer(self.sampler, _estimates(self.overall), figures)


def table(results: Sequence[Result], peers: Sequence[Peer]) -> str:
    """Means over spaces with standard errors, a row for each sampler; also the peers that were run on the same ones."""
    forms = {figure.name: figure.form for figure in results[0].overall}
    rows = [
        [result.sampler, *(_cell(figure) for figure in result.overall), f"{result.milliseconds:.0f}"]
        for result in results
    ]
    for peer in peers:
        if peer.spaces.keys() == results[0].figures.keys() and peer.overall.keys() == forms.keys():
            rows.append([peer.sampler, *(peer.overall[name].written(form) for name, form in forms.items()), ""])
    return _markdown(["sampler", *forms, "ms a proposal"], rows)


def rival_table(results: Sequence[Result], peers: Sequence[Peer]) -> str:
    """The first sampler against the best of all others, space by space; empty where there is none."""
    rows = against_best(results[0].peer, [*(result.peer for result in results[1:]), *peers])
    return _markdown(list(AGAINST_BEST), rows) if rows else ""


def left_out_table(results: Sequence[Result]) -> str:
    """What choosing among these samplers is worth on a family that they were not chosen by; empty for one sampler."""
    rows = left_out([result.peer for result in results])
    return _markdown(list(LEFT_OUT), rows) if rows else ""


def space_table(results: Sequence[Result]) -> str:
    """Scores and final percentages, a row for each space."""
    rows = []
    for space in results[0].figures:
        cells = [_cell(figure) for result in results for figure in result.figures[space] if figure.name in COMPARED]
        rows.append([space, *cells])
    shown = [figure.name for figure in results[0].overall if figure.name in COMPARED]
    return _markdown(["space", *(f"{result.sampler}: {name}" for result in results for name in shown)], rows)


def family_table(results: Sequence[Result]) -> str:
    """Mean scores by family of kernels: what a space's name begins with."""
    families = sorted({family(space) for space in results[0].figures})
    rows = []
    for name in families:
        of_family = [[f for space, f in result.figures.items() if family(space) == name] for result in results]
        rows.append([name, *(_cell(over_spaces(figures)[-1]) for figures in of_family)])
    return _markdown(["family", *(f"{result.sampler}: score" for result in results)], rows)


def write_json(results: Sequence[Result], path: Path) -> None:
    """All figures, and the best time after each evaluation, null while nothing had passed."""
    document = [
        {
            **asdict(result.peer),
            "milliseconds": result.milliseconds,
            "curves_ms": {space: [_curve(run) for run in runs] for space, runs in result.runs.items()},
        }
        for result in results
    ]
    path.write_text(json.dumps(document, allow_nan=False) + "\n")


def plot(results: Sequence[Result], recordings: Sequence[Recording], path: Path) -> None:
    """The mean percentage of the optimum against evaluations, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    for result in results:
        curve = np.mean([_percent(result, recording) for recording in recordings], axis=0)
        axes.plot(np.arange(1, len(curve) + 1), curve, label=result.sampler)
    axes.set(xlabel="evaluations", ylabel="best so far, % of the optimum", ylim=(60, 100.5))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=150, bbox_inches="tight")


def _percent(result: Result, recording: Recording) -> Array:
    curves = np.stack([run.curve for run in result.runs[recording.name]])
    return np.asarray(np.where(np.isnan(curves), 0.0, 100.0 * recording.optimum / curves).mean(axis=0))


def _curve(run: Run) -> list[float | None]:
    """JSON has no NaN."""
    return [None if math.isnan(time) else time for time in run.curve.tolist()]


def _cell(figure: Figure) -> str:
    return figure.estimate.written(figure.form)


def _estimates(figures: Sequence[Figure]) -> dict[str, Estimate]:
    return {figure.name: figure.estimate for figure in figures}


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
