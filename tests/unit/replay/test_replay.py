"""Recorded spaces: what is read, what is refused, and what a replay is measured by."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.replaying.metrics import Estimate, Figure, figures_of, over_spaces
from benchmarks.replaying.results import Result, read_json, table, versus_best, versus_best_table, write_json
from benchmarks.replaying.runs import Job, NothingTried, run
from evotune.replay import Recording, RecordingError, load_recording, load_recordings

PEERS_FILE = Path(__file__).parents[3] / "benchmarks" / "results" / "replay_peers.json"
CSV = "block,shared,time_ms\n16,true,4.0\n16,false,\n32,true,2.0\n32,false,3.0\n"


def t4_result(block: int, invalidity: str, value: float) -> dict[str, object]:
    return {
        "configuration": {"block": block, "unroll": 2.0},
        "times": {"runtimes": [value]},
        "invalidity": invalidity,
        "correctness": 1,
        "measurements": [{"name": "time", "value": value, "unit": "s"}],
        "objectives": ["time"],
    }


def figures(recording: Recording, curve: list[float]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures_of(recording, np.array([curve, curve]))}


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    path = tmp_path / "saxpy-cpu.csv"
    path.write_text(CSV)
    return load_recording(path)


@pytest.fixture(scope="module")
def larger() -> Recording:
    rows = [{"block": block, "tile": tile} for block in (16, 32, 48, 64, 80, 96, 112, 128) for tile in range(1, 17)]
    return Recording.of("larger", rows, [1.0 + abs(row["block"] - 64) / 16 + abs(row["tile"] - 4) for row in rows])


def test_a_table_has_a_time_or_a_failure_for_every_configuration(recording: Recording) -> None:
    assert recording.name == "saxpy-cpu"
    assert recording.optimum == 2.0
    assert recording.passing.tolist() == [2.0, 3.0, 4.0]
    assert math.isnan(recording.times[recording.valid.index({"block": 16, "shared": False})])
    assert [parameter.kind for parameter in recording.valid.parameters] == ["power_of_two", "boolean"]


def test_a_zipped_table_is_the_same_table(tmp_path: Path, recording: Recording) -> None:
    path = tmp_path / "zipped.csv.gz"
    path.write_bytes(gzip.compress(CSV.encode()))
    assert load_recording(path).times.tolist()[1:] == recording.times.tolist()[1:]


def test_t4_results_are_read_in_milliseconds_and_broken_constraints_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t4.json"
    results = [
        t4_result(16, "correct", 0.002),
        t4_result(32, "compile", 1e20),
        t4_result(64, "constraints", 1e20),
    ]
    path.write_text(json.dumps({"schema_version": "1.0.0", "results": results}))
    read = load_recording(path)
    assert len(read.valid) == 2
    assert read.optimum == pytest.approx(2.0)
    assert math.isnan(read.times[read.valid.index({"block": 32, "unroll": 2})])


def t4(tmp_path: Path, result: dict[str, object], **metadata: object) -> Recording:
    path = tmp_path / "t4.json"
    path.write_text(json.dumps({"metadata": metadata, "results": [{**t4_result(16, "correct", 0.002), **result}]}))
    return load_recording(path)


def measured(*measurements: tuple[str, object, str | None]) -> list[dict[str, object]]:
    return [
        {"name": name, "value": value} | ({} if unit is None else {"unit": unit}) for name, value, unit in measurements
    ]


@pytest.mark.parametrize(
    ("objective", "measurements", "timeunit", "milliseconds"),
    [
        ("GFLOP/s", measured(("time", 4.0, "ms"), ("GFLOP/s", 25.0, "")), "milliseconds", 4.0),
        ("energy", measured(("energy", 7.0, "J"), ("runtime", [1.0, 3.0], None)), "seconds", 2000.0),
        ("score", measured(("score", 9.0, None)), "miliseconds", 2.0),
        ("time", measured(("time", 5.0, "")), "Microseconds", 0.005),
        ("kernel_time", measured(("kernel_time", 6.0, None), ("time", 8.0, "ms")), None, 6.0),
        ("compile_time", measured(("time", 8.0, "ms"), ("compile_time", 6.0, "s")), None, 6000.0),
    ],
)
def test_a_t4_result_is_as_fast_as_its_time_says_whatever_was_tuned(
    tmp_path: Path,
    objective: str,
    measurements: list[dict[str, object]],
    timeunit: str | None,
    milliseconds: float,
) -> None:
    times = {"runtimes": [2.0]} if objective == "score" else {}
    result = {"objectives": [objective], "measurements": measurements, "times": times}
    assert t4(tmp_path, result, timeunit=timeunit).optimum == pytest.approx(milliseconds)


@pytest.mark.parametrize(
    ("objective", "measurements", "timeunit", "said"),
    [
        ("GFLOP/s", measured(("GFLOP/s", 25.0, "")), None, "got the objective 'GFLOP/s' without a unit of time"),
        ("energy", measured(("energy", 25.0, "J")), None, "got the objective 'energy' in 'J'"),
        ("time", measured(("time", 1.0, None)), "fortnights", "a timeunit of s, ms, us, ns, got 'fortnights'"),
        ("time", measured(("time", [[1.0], [1.0, 2.0]], "ms")), None, "times that are numbers, or lists of numbers"),
        ("time", measured(("time", "fast", "ms")), None, "times that are numbers, or lists of numbers, got 'fast'"),
        ("time", measured(("time", [], "ms")), None, "times that are numbers, or lists of numbers, got []"),
    ],
)
def test_t4_results_without_a_time_are_refused(
    tmp_path: Path, objective: str, measurements: list[dict[str, object]], timeunit: str | None, said: str
) -> None:
    with pytest.raises(RecordingError) as refused:
        t4(tmp_path, {"objectives": [objective], "measurements": measurements, "times": {}}, timeunit=timeunit)
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_cells_of_a_table_mean_what_they_mean_to_pandas(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfblock,tile,order,time_ms\r\n16.0,010,a_1,1\r\n1e3,8,1_0,2\r\n")
    valid = load_recording(path).valid
    assert [parameter.name for parameter in valid.parameters] == ["block", "tile", "order"]
    assert [parameter.values for parameter in valid.parameters] == [(16, 1000), (8, 10), ("1_0", "a_1")]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "block\n16\n", "must have a column time_ms, got block"),
        ("a.csv", "block,time_ms,block\n16,1,32\n", "must name each column once, got 'block' twice"),
        ("a.csv", "block,time_ms,time_ms\n16,1,2\n", "must name each column once, got 'time_ms' twice"),
        ("a.csv", "block,time_ms\n16,fast\n", "above 0 or empty cells, got 'fast' in line 2"),
        ("a.csv", "block,time_ms\n16,-1\n", "got '-1' in line 2"),
        ("a.csv", "block,time_ms\n16\n", "a value in every column"),
        ("a.csv", "block,time_ms\n16,1\n16,2\n", "hold a configuration once"),
        ("a.csv", "block,time_ms\n16,\n", "a configuration with a time, got none"),
        ("a.json", "{}", "must be T4 results"),
        ("a.json", '{"results": [{"configuration": {"a": 1}, "invalidity": "correct"}]}', "got no measurement 'time'"),
        ("a.csv", ",block,time_ms\n0,16,1\n", "must name every column, got none for column 1"),
        ("a.csv", "block,tile,time_ms\n16,,1\n", "got an empty cell of tile in line 2"),
        ("a.json", "[" * 100_000, "must be T4 results"),
        ("a.txt", "", "must end in .csv"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(RecordingError, match=said) as refused:
        load_recording(tmp_path / name)
    assert "\n" not in str(refused.value)


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text("{}")
    with pytest.raises(RecordingError, match="got none in"):
        load_recordings(tmp_path)


def test_random_search_scores_nothing_and_the_optimum_at_once_scores_all(larger: Recording) -> None:
    rng = np.random.default_rng(0)
    curves = np.array([np.minimum.accumulate(rng.permutation(larger.times)[:60]) for _ in range(400)])
    scores = next(figure for figure in figures_of(larger, curves) if figure.name == "score")
    assert abs(scores.mean) < 4 * scores.standard_error + 0.01
    assert figures(larger, [larger.optimum] * 60)["score"].mean == pytest.approx(1.0)


def test_evaluations_to_5_percent_count_the_whole_budget_where_it_is_never_reached(larger: Recording) -> None:
    reached = figures(larger, [4.0] * 9 + [1.04] * 51)
    assert (reached["to 5 %"].mean, reached["reached 5 %"].mean, reached["within 1 %"].mean) == (10, 1, 0)
    missed = figures(larger, [math.nan] * 30 + [2.0] * 30)
    assert (missed["to 5 %"].mean, missed["reached 5 %"].mean) == (60, 0)
    assert (missed["% at 25"].mean, missed["% at 50"].mean) == (0, 50)


def test_a_space_whose_optimum_random_search_cannot_miss_is_scored_by_the_evaluations_before(
    recording: Recording,
) -> None:
    assert figures(recording, [2.0] * 30)["score"].mean == pytest.approx(1.0)
    level = Recording.of("level", [{"block": 16}, {"block": 32}], [1.0, 1.0])
    assert figures(level, [1.0] * 30)["score"].mean == 0


def test_the_standard_error_is_that_of_seeds_not_of_spaces() -> None:
    easy, hard = (Figure("score", np.array([level, level + 0.2])) for level in (0.8, 0.0))
    both = over_spaces([[easy], [hard]])[0]
    assert both.mean == pytest.approx(0.5)
    assert both.standard_error == pytest.approx(np.sqrt(2 * 0.1**2) / 2)


def test_a_replay_tells_the_sampler_what_a_search_would_and_reports_it(larger: Recording, tmp_path: Path) -> None:
    runs = [run(larger, Job(0, "evolution", seed, budget=30, in_flight=1)) for seed in range(2)]
    assert all(mine.curve[-1] < 1.6 for mine in runs)
    result = Result.of("evolution", [larger], [runs])
    assert "| evolution | " in table([result], [])
    write_json([result], tmp_path / "results.json")
    [read] = read_json(tmp_path / "results.json")
    assert read == result and read.spaces["larger"]["score"].mean > 0.3


def test_ours_is_ahead_or_behind_by_more_than_a_standard_error_or_level() -> None:
    ours = peer("evolution", near=Estimate(0.80, 0.03), far=Estimate(0.80, 0.03), alone=Estimate(0.5, 0.1))
    peers = [
        peer("slow", near=Estimate(0.10, 0.01), far=Estimate(0.60, 0.01)),
        peer("rival", near=Estimate(0.83, 0.04), far=Estimate(0.90, 0.04)),
    ]
    near, far = versus_best(ours, peers)
    assert near == ["score", "near", "0.800 ± 0.030", "0.830 ± 0.040", "rival", "-0.030 ± 0.050", "level"]
    assert (far[1], far[4], far[5], far[6]) == ("far", "rival", "-0.100 ± 0.050", "behind")
    [ahead] = versus_best(ours, peers[:1])[:1]
    assert ahead[-1] == "ahead"


def peer(sampler: str, **scores: Estimate) -> Result:
    return Result(sampler, {}, {space: {"score": score} for space, score in scores.items()})


def test_samplers_of_an_earlier_run_stand_beside_those_of_this_one(larger: Recording, tmp_path: Path) -> None:
    earlier, now = (
        Result.of(name, [larger], [[run(larger, Job(0, name, seed, budget=30, in_flight=1)) for seed in range(2)]])
        for name in ("random", "evolution")
    )
    write_json([earlier], tmp_path / "earlier.json")
    peers = read_json(tmp_path / "earlier.json")
    assert "| random | " in table([now], peers)
    assert "| score | larger | " in versus_best_table([now], peers)
    assert "| random | " in versus_best_table([now], peers)
    assert versus_best_table([now], []) == ""
    assert "| score | larger | " in versus_best_table([now, earlier], [])


def test_the_peers_were_run_on_the_public_recordings() -> None:
    peers = read_json(PEERS_FILE)
    assert len(peers) >= 6
    assert all(len(one.spaces) == 13 for one in peers)
    assert all(0 <= one.overall["score"].mean < 1 for one in peers)


def test_strategies_of_kernel_tuner_are_samplers_too(larger: Recording) -> None:
    pytest.importorskip("kernel_tuner")
    first, again = (
        run(larger, Job(0, "kernel_tuner:genetic_algorithm", seed=1, budget=60, in_flight=1)) for _ in range(2)
    )
    assert len(first.curve) == 60 and first.curve[-1] < 2.0
    assert first.curve.tolist() == again.curve.tolist()


def test_in_flight_proposals_are_told_together(larger: Recording) -> None:
    job = Job(0, "evolution", seed=1, budget=20, in_flight=8)
    assert len(run(larger, job).curve) == len(run(larger, job).seconds) == 20


def test_what_is_written_is_json_where_nothing_had_passed_at_first(tmp_path: Path) -> None:
    late = Recording.of("NaN", [{"block": block} for block in range(8)], [*[math.nan] * 7, 1.0])
    runs = [run(late, Job(0, "random", seed=1, budget=8, in_flight=1))]
    assert math.isnan(runs[0].curve[0]) and runs[0].curve[-1] == 1.0
    write_json([Result.of("random", [late], [runs])], tmp_path / "late")
    [written] = json.loads((tmp_path / "late").read_text(), parse_constant=refuse)
    assert written["spaces"]["NaN"]["within 1 %"]["mean"] == 1.0


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def test_a_sampler_that_tries_nothing_is_named_in_one_line(larger: Recording) -> None:
    with pytest.raises(NothingTried, match=r"^.*random tried none of larger with seed 1; leave it out of --samplers$"):
        run(larger, Job(0, "random", seed=1, budget=0, in_flight=1))


def test_a_space_smaller_than_the_budget_is_searched_whole(recording: Recording) -> None:
    curve = run(recording, Job(0, "random", seed=1, budget=6, in_flight=4)).curve
    assert len(curve) == 6
    assert curve[-1] == 2.0
