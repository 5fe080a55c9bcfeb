"""The leaderboard and the list of searches on a terminal of 80 columns, and in a pipe."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from evotune.display.formats import Format, write_list
from evotune.display.leaderboard import print_leaderboard
from evotune.display.searches import print_searches
from evotune.display.table import Fields, Table
from evotune.display.terminal import console
from evotune_db.records import LeaderboardEntry, SearchSummary
from tests.support.db.examples import LISTED

CONFIGURATION = {f"parameter_{number}": number for number in range(20)}
ENTRY = replace(LISTED, trial=49, baseline="sdpa_cudnn", configuration=CONFIGURATION)
SEARCH = SearchSummary(
    id=1,
    kernel="attention_fwd",
    target="sm_90",
    workloads=("mission",),
    sampler="evolution",
    seed=0,
    budget=200,
    state="interrupted",
    started=datetime(2026, 11, 29, 7, 49, tzinfo=UTC),
    finished=None,
    built=160,
    passed=158,
    failed=2,
    best_trial=49,
    best_speedup=2.1,
)


def on_terminal(width: int = 80) -> Console:
    """Return a console that believes to be a terminal of that width, and keeps what it prints."""
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None, highlight=False)


def in_pipe() -> Console:
    """Return a console as for a pipe, which keeps what it prints."""
    return console(io.StringIO())


def lines(target: Console) -> list[str]:
    assert isinstance(target.file, io.StringIO)
    return target.file.getvalue().splitlines()


def ranks() -> list[LeaderboardEntry]:
    """Return three ranks that share a baseline and all parameters but two."""
    other = replace(ENTRY, rank=2, trial=11, configuration={**CONFIGURATION, "parameter_3": 5})
    third = {**CONFIGURATION, "parameter_4": "column"}
    return [ENTRY, other, replace(ENTRY, rank=3, trial=60, certified=True, configuration=third)]


def test_ranks_share_their_baseline_and_parameters_above_the_table() -> None:
    for target in (on_terminal(), in_pipe()):
        print_leaderboard(ranks(), target, hint="")
        text = "\n".join(lines(target))
        heading, table = text[: text.index("rank")], text[text.index("rank") :]
        assert heading.splitlines()[0] == "attention_fwd · mission · cpu · Test CPU"
        for once in ("sdpa_cudnn", "parameter_7=7", "parameter_19=19"):
            assert heading.count(once) == text.count(once) == 1
        assert "parameter_3" not in heading and "parameter_3" in table.replace("_\n", "_")


def test_a_pipe_gets_a_line_a_rank_without_padding_or_rules() -> None:
    target = in_pipe()
    print_leaderboard(ranks(), target, hint="")
    printed = lines(target)
    header = next(number for number, line in enumerate(printed) if line.startswith("rank"))
    assert [line.split("  ") for line in map(squeezed, printed[header : header + 4])] == [
        ["rank", "trial", "median", "speed-up", "baseline", "proof", "parameter_3", "parameter_4"],
        ["1", "49", "2.00 ms", "2.00x [1.90, 2.10]", "4.00 ms", "confirmed", "3", "4"],
        ["2", "11", "2.00 ms", "2.00x [1.90, 2.10]", "4.00 ms", "confirmed", "5", "4"],
        ["3", "60", "2.00 ms", "2.00x [1.90, 2.10]", "4.00 ms", "confirmed, certified", "3", "column"],
    ]
    assert all(line == line.rstrip() and "─" not in line for line in printed)


def squeezed(line: str) -> str:
    """Return the line with every gap between columns as two blanks."""
    return "  ".join(filter(None, (cell.strip() for cell in line.split("  "))))


def test_one_rank_has_its_whole_configuration_above_the_table() -> None:
    target = in_pipe()
    print_leaderboard([ENTRY], target, hint="")
    [line] = [line for line in lines(target) if line.startswith("configuration")]
    assert all(f"{name}={value}" in line.split() for name, value in CONFIGURATION.items())
    assert not any("parameter" in each for each in lines(target) if each != line)


def test_counters_have_columns_where_some_were_read() -> None:
    target = in_pipe()
    print_leaderboard([ENTRY, replace(ENTRY, rank=2, tensor_active_pct=20.4)], target, hint="")
    header, first, second = map(squeezed, lines(target)[-4:-1])
    assert header.endswith("tensor pipe  occupancy")
    assert first.endswith("-  -") and second.endswith("20.4%  -")


def test_ranks_against_different_baselines_name_each() -> None:
    target = in_pipe()
    print_leaderboard([ENTRY, replace(ENTRY, rank=2, baseline="sdpa_math")], target, hint="")
    assert [line.split("  ")[-1] for line in map(squeezed, lines(target)[-3:-1])] == ["sdpa_cudnn", "sdpa_math"]


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_holds_a_leaderboard_whose_parameters_all_differ(width: int) -> None:
    target = on_terminal(width)
    other = {name: 1000 + value for name, value in CONFIGURATION.items()}
    print_leaderboard([ENTRY, replace(ENTRY, rank=2, trial=11, configuration=other)], target, hint="")
    printed = lines(target)
    assert max(map(len, printed)) <= width
    words = [word for line in printed for word in line.split()]
    assert all(words.count(str(value)) == 1 for value in other.values())
    assert sum(line.split()[:1] == ["11"] for line in printed) > 1, "each further table names its trials"


def test_a_terminal_of_80_columns_holds_the_list_of_searches() -> None:
    target = on_terminal()
    print_searches([SEARCH], target)
    [line] = [line for line in lines(target) if "interrupted" in line]
    figures = ["1", "interrupted", "160/200", "2", "2.10x", "11-29", "07:49"]
    assert line.split() == [*figures, "attention_fwd,", "mission,"]
    assert max(map(len, lines(target))) <= 80


def test_a_pipe_gets_a_line_a_search(capsys: pytest.CaptureFixture[str]) -> None:
    write_list([SEARCH], SearchSummary, Format.TABLE, print_searches)
    assert any("evolution" in line and "2.10x (trial 49)" in line for line in capsys.readouterr().out.splitlines())


def test_a_cell_with_line_ends_stays_on_its_line_in_a_pipe_and_an_empty_one_is_a_dash() -> None:
    table = Table("name", ">figure", "text")
    table.add_row("first", "12", "one\ntwo")
    table.add_row("second")
    target = in_pipe()
    target.print(table)
    assert lines(target) == ["name    figure  text", "first       12  one two", "second       -  -", ""]


def test_columns_that_do_not_fit_continue_below_with_the_rows_that_have_them() -> None:
    table = Table("name", *(f">column {number}" for number in range(20)))
    table.add_row("first", *map(str, range(100, 120)))
    table.add_row("second", "200")
    target = on_terminal(40)
    target.print(table)
    printed = lines(target)
    assert max(map(len, printed)) <= 40
    first = [word for line in printed for word in line.split() if word.startswith("1") and len(word) == 3]
    assert first == list(map(str, range(100, 120)))
    assert sum(line.startswith("first") for line in printed) > sum(line.startswith("second") for line in printed) == 1


def test_a_long_value_continues_under_itself_on_a_terminal_only() -> None:
    value = " ".join(["word"] * 30)
    for target, wanted in ((on_terminal(), 2), (in_pipe(), 1)):
        fields = Fields()
        fields.add("name", value)
        target.print(fields)
        printed = lines(target)
        assert len(printed) == wanted and all(line.startswith(("name  ", "      word")) for line in printed)
