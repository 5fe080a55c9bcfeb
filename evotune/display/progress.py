"""The progress of a search: a live display on a terminal, lines anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from evotune.display.terminal import assignments, console, counts, duration, microseconds, recorded, speedup
from evotune.search.reporter import Best, RecordedBest, Reporter, TrialLine
from evotune.search.tally import Tally

TRIALS_PER_LINE = 10


def make_reporter(json: bool) -> Reporter:
    """Return a live display for a terminal, else lines. With `json`, leave standard output to the result."""
    target = console(sys.stderr if json else sys.stdout)
    return LiveReporter(target) if target.is_terminal else LineReporter(target)


class LineReporter:
    """Prints a line every 10 trials and one for each new best, flushed, so that a log can be followed."""

    def __init__(self, console: Console) -> None:
        """Print to `console`."""
        self._console = console
        self._tally = Tally(budget=0)
        self._best: Best | None = None

    def started(self, search_id: int, budget: int, workers: tuple[str, ...], baseline_note: str) -> None:
        """See Reporter."""
        self._tally = Tally(budget, build_only=not workers)
        self.note(f"search {search_id}: {_plan(budget, workers)}; {baseline_note}")

    def worker(self, name: str, activity: str) -> None:
        """Ignore the activity of a worker, which is not useful in a log."""

    def trial_finished(self, line: TrialLine) -> None:
        """See Reporter."""
        self._tally.add(line)
        if self._tally.finished % TRIALS_PER_LINE == 0 or self._tally.finished == self._tally.budget:
            best = f"; best {_short(self._best)}" if self._best else ""
            self.note(f"{_position(self._tally)}; {_outcomes(self._tally)}{best}")

    def taken_back(self, lines: Sequence[TrialLine]) -> None:
        """See Reporter."""
        for line in lines:
            self._tally.remove(line)
        self._best = None

    def best(self, best: Best) -> None:
        """See Reporter."""
        self._best = best
        self.note(f"new best: {_long(best)}; {assignments(best.configuration)}")

    def best_before(self, best: Best) -> None:
        """See Reporter."""
        self._best = best
        self.note(f"best so far: {_long(best)}; {assignments(best.configuration)}")

    def note(self, text: str) -> None:
        """See Reporter."""
        self._console.print(text, soft_wrap=True)
        self._console.file.flush()

    def stopped(self) -> None:
        """Do nothing; every line has been printed."""


class LiveReporter:
    """Redraws one display in place: budget, rate, time left, best so far, counts by gate, each worker."""

    def __init__(self, console: Console) -> None:
        """Draw on `console`, which must be a terminal's."""
        self._tally = Tally(budget=0)
        self._best: Best | None = None
        self._workers: dict[str, str] = {}
        self._title = ""
        self._live = Live(console=console, transient=True)

    def started(self, search_id: int, budget: int, workers: tuple[str, ...], baseline_note: str) -> None:
        """See Reporter."""
        self._tally = Tally(budget, build_only=not workers)
        self._workers = dict.fromkeys(workers, "starting")
        self._title = f"search {search_id}: {baseline_note}"
        self._live.start()
        self._redraw()

    def worker(self, name: str, activity: str) -> None:
        """See Reporter."""
        self._workers[name] = activity
        self._redraw()

    def trial_finished(self, line: TrialLine) -> None:
        """See Reporter."""
        self._tally.add(line)
        self._redraw()

    def taken_back(self, lines: Sequence[TrialLine]) -> None:
        """See Reporter."""
        for line in lines:
            self._tally.remove(line)
        self._best = None
        self._redraw()

    def best(self, best: Best) -> None:
        """See Reporter."""
        self._best = best
        self._redraw()

    best_before = best

    def note(self, text: str) -> None:
        """Print a line that stays above the display."""
        self._live.console.print(text)

    def stopped(self) -> None:
        """Remove the display, to make room for the summary."""
        self._live.stop()

    def _redraw(self) -> None:
        # Drawn here and not in Live's own thread, which only repeats the last drawing: no state is shared with it.
        self._live.update(Group(Text(self._title), self._bar(), *self._best_lines(), self._worker_table()))

    def _bar(self) -> Table:
        bar = ProgressBar(total=max(self._tally.budget, 1), completed=self._tally.finished, width=30)
        row = Table.grid(padding=(0, 1))
        row.add_row(bar, _position(self._tally))
        row.add_row("", _outcomes(self._tally))
        return row

    def _best_lines(self) -> tuple[Text, ...]:
        if self._tally.build_only:
            return ()
        if self._best is None:
            return (Text("best: none yet"),)
        return Text(f"best: {_long(self._best)}", style="bold"), Text(f"      {assignments(self._best.configuration)}")

    def _worker_table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, activity in self._workers.items():
            table.add_row(Text(name, style="dim"), Text(activity, overflow="ellipsis", no_wrap=True))
        return table


def _plan(budget: int, workers: tuple[str, ...]) -> str:
    if not workers:
        return f"{budget} configurations to build"
    return f"{budget} configurations to try with {', '.join(workers)}"


def _position(tally: Tally) -> str:
    text = f"{tally.finished}/{tally.budget} trials"
    if tally.trials_per_minute is not None and tally.seconds_left is not None:
        text += f", {tally.trials_per_minute:.0f} a minute, {duration(tally.seconds_left)} left"
    return text


def _outcomes(tally: Tally) -> str:
    failed = f"{tally.failed.total()} failed"
    standing = f"{tally.built} built" if tally.build_only else f"{tally.passed} passed"
    return f"{standing}, {failed}" + (f" ({counts(tally.failed)})" if tally.failed else "")


def _short(best: Best) -> str:
    if isinstance(best, RecordedBest):
        return f"{recorded(best.milliseconds, best.optimum_ms)} (trial {best.trial})"
    return f"{speedup(best.speedup, best.low, best.high)} (trial {best.trial})"


def _long(best: Best) -> str:
    if isinstance(best, RecordedBest):
        return f"trial {best.trial}, {recorded(best.milliseconds, best.optimum_ms)}"
    times = f"{microseconds(best.median_us)} against {microseconds(best.baseline_us)}"
    return f"trial {best.trial}, {speedup(best.speedup, best.low, best.high)} over {best.baseline}: {times}"
