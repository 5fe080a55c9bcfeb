"""The progress of a search on a terminal and in a log."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from evotune.display.progress import LineReporter, LiveReporter, make_reporter
from evotune.display.terminal import console, duration, microseconds
from evotune.search.reporter import BestSoFar, TrialLine
from evotune.search.tally import Tally

BEST = BestSoFar(12, 1.42, 1.4, 1.44, "sdpa_fp32", 2610.0, 3710.0, {"tile_m": 48, "persistent": False})


def line(number: int, failed_gate: str | None = None) -> TrialLine:
    return TrialLine(
        number=number,
        trial=number,
        state="failed" if failed_gate else "passed",
        failed_gate=failed_gate,
        reason=None,
        speedup=None,
        censored=False,
        elapsed_seconds=2.0 * number,
    )


def test_a_tally_gives_the_rate_and_the_time_left() -> None:
    tally = Tally(20)
    assert tally.trials_per_minute is None and tally.seconds_left is None
    for number in range(1, 11):
        tally.add(line(number, "numerics" if number % 2 else None))
    assert (tally.passed, tally.failed["numerics"]) == (5, 5)
    assert tally.trials_per_minute == pytest.approx(30)
    assert tally.seconds_left == pytest.approx(20)
    for number in range(1, 11, 2):
        tally.remove(line(number, "numerics"))
    assert (tally.finished, tally.passed, tally.failed) == (5, 5, {})


def test_a_log_has_a_line_every_ten_trials_and_one_for_each_new_best() -> None:
    stream = io.StringIO()
    reporter = LineReporter(console(stream))
    reporter.started(3, 25, ("cpu",), "attention_fwd on Test CPU")
    reporter.best(BEST)
    for number in range(1, 26):
        reporter.trial_finished(line(number, "build" if number == 4 else None))
    reporter.stopped()
    first, best, *rest = stream.getvalue().splitlines()
    assert first == "search 3: 25 configurations to try with cpu; attention_fwd on Test CPU"
    assert best.startswith("new best: trial 12, 1.42x [1.40, 1.44] over sdpa_fp32: 2.61 ms against 3.71 ms")
    assert [text.split()[0] for text in rest] == ["10/25", "20/25", "25/25"]
    assert "30 a minute, 30 s left" in rest[0]
    assert "9 passed, 1 failed (build 1); best 1.42x [1.40, 1.44] (trial 12)" in rest[0]


def test_a_search_that_only_builds_counts_what_is_built() -> None:
    stream = io.StringIO()
    reporter = LineReporter(console(stream))
    reporter.started(3, 2, (), "attention_fwd for sm_89")
    reporter.trial_finished(line(1, "build"))
    reporter.trial_finished(replace(line(2), state="built"))
    first, last = stream.getvalue().splitlines()
    assert first == "search 3: 2 configurations to build; attention_fwd for sm_89"
    assert last.endswith("1 built, 1 failed (build 1)")


def test_a_live_display_of_builds_has_no_place_for_a_best() -> None:
    stream = io.StringIO()
    reporter = LiveReporter(Console(file=stream, force_terminal=True, width=120))
    reporter.started(3, 2, (), "attention_fwd for sm_89")
    reporter.trial_finished(replace(line(1), state="built"))
    reporter.stopped()
    assert "1 built, 0 failed" in stream.getvalue() and "best" not in stream.getvalue()


def test_the_live_display_shows_budget_best_gates_and_workers() -> None:
    stream = io.StringIO()
    reporter = LiveReporter(Console(file=stream, force_terminal=True, width=120))
    reporter.started(3, 4, ("cpu-0", "gpu-1"), "attention_fwd on Test CPU [2 cores]")
    reporter.worker("gpu-1", "measuring trial 12")
    reporter.trial_finished(line(1, "numerics"))
    reporter.best(BEST)
    reporter.note("a note")
    reporter.stopped()
    reporter.stopped()
    shown = stream.getvalue()
    for part in ("[2 cores]", "1/4 trials", "numerics 1", "1.42x", "persistent=false", "measuring trial 12", "a note"):
        assert part in shown


def test_without_a_terminal_there_are_plain_lines_and_json_leaves_standard_output_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_reporter(json=False).note("to standard output")
    make_reporter(json=True).note("to standard error")
    output = capsys.readouterr()
    assert (output.out, output.err) == ("to standard output\n", "to standard error\n")


def test_times_are_put_in_the_unit_that_suits_them() -> None:
    assert [microseconds(28.64), microseconds(999.99), microseconds(2610)] == ["28.6 us", "1000.0 us", "2.61 ms"]
    assert [duration(2.04), duration(59.7), duration(250)] == ["2.0 s", "1 min 0 s", "4 min 10 s"]
    assert duration(7300) == "2 h 1 min"
