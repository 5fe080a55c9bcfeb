"""Let `evotune doctor` look at this machine, with its compilers."""

from __future__ import annotations

from evotune.doctor.checks import examine


def test_every_lack_of_this_machine_has_a_remedy_and_nothing_present_has_one() -> None:
    for check in examine("./evotune.db"):
        assert check.found
        assert (check.remedy is None) == check.present
