"""Write docs/adversarial.md from the table of cases: `python -m tests.adversarial.page`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .case import Absent, Case, Refusal
from .cases import GROUPS

PAGE = Path(__file__).parents[2] / "docs" / "adversarial.md"
TEXT = Path(__file__).parent / "page.md"
TABLE_HEAD = "| kernel | what it does | on a CPU | on a GPU |\n|---|---|---|---|"
TABLE_MARK = "<!-- the table -->"


def page() -> str:
    """Return the page: page.md with the table inserted."""
    return TEXT.read_text(encoding="utf-8").replace(TABLE_MARK, "\n\n".join(_groups()))


def _groups() -> Iterator[str]:
    for group in GROUPS:
        yield "\n".join((f"### {group.title}\n", TABLE_HEAD, *(_row(case) for case in group.cases)))


def _row(case: Case) -> str:
    return f"| `{case.fault}` | {case.does} | {_outcome(case.cpu)} | {_outcome(case.cuda)} |"


def _outcome(expected: Refusal | Absent) -> str:
    if isinstance(expected, Absent):
        return f"no such form: {expected.reason}"
    gates = " or ".join(f"**{gate}**" for gate in (expected.gate, *expected.earlier_gates))
    return f"{gates}: “{expected.reason}”" if expected.reason else gates


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
