"""docs/adversarial.md agrees with the tests of the adversarial suite."""

from __future__ import annotations

import re

from .case import Refusal
from .cases import CASES
from .page import PAGE, page
from .trial import FOLDER

# Not in the table: faults with their own tests, and the correct kernel.
ELSEWHERE = {"none", "ignores_its_configuration", "exports_the_clock"}


def test_the_page_is_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python -m tests.adversarial.page"


def test_every_fault_of_the_sources_is_in_the_table_or_has_a_test_of_its_own() -> None:
    listed = re.search(r"enum class Fault \{(.*?)\};", (FOLDER / "faults.h").read_text(encoding="utf-8"), re.DOTALL)
    assert listed is not None
    faults = re.findall(r"\w+", re.sub(r"//.*", "", listed.group(1)))
    assert {*faults} == {case.fault for case in CASES} | ELSEWHERE
    assert len(faults) == len({*faults}) and len(CASES) == len({case.fault for case in CASES})


def test_every_fault_is_shown_in_one_form_at_least() -> None:
    hidden = [case.fault for case in CASES if not isinstance(case.cpu, Refusal) and not isinstance(case.cuda, Refusal)]
    assert hidden == []
