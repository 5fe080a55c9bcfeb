"""The command that results are of, as it is typed in the repository."""

import pytest

from benchmarks.shared.results_file import ROOT, command_of


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([str(ROOT / "benchmarks" / "aa.py"), "--trials", "3"], "python benchmarks/aa.py --trials 3"),
        (["benchmarks/aa.py", "--out", "/tmp/a.json", "--db", "sqlite"], "python benchmarks/aa.py --db sqlite"),
        (["benchmarks/aa.py", "--db", "postgresql://me:secret@/x"], "python benchmarks/aa.py --db URL"),
        (["/elsewhere/aa.py", "--out=a.json"], "python /elsewhere/aa.py"),
    ],
)
def test_places_of_one_machine_are_left_out(given: list[str], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert command_of(given) == told
