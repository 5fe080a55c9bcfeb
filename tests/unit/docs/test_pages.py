"""The pages: every link and path leads somewhere, and every example is run or says why not."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.support.markdown import anchors, blocks, documentation, inline_code, links, pages
from tests.support.paths import ROOT

# Blocks whose content is run unless they are marked, and the marks.
RUN = ("console", "python", "sql")
MARKS = {
    "console": ("slow", "gpu", "cluster", "setup"),
    "python": ("slow", "gpu"),
    "sql": (),
    "sh": ("cluster",),
}
# In a block of another kind a line that begins so is an example that nobody runs.
BEGINS_A_COMMAND = ("$", "evotune", "make", "pip", "pytest")
LONGEST_README, LONGEST_LINE = 150, 120
# Where paths that are named in the documentation begin.
FOLDERS = "evotune|workers|db|kernels|search_spaces|tests|benchmarks|docs"
PATH = re.compile(rf"(?:{FOLDERS})/[\w./-]*")


def test_the_readme_fits_on_a_few_screens() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST_README
    assert [line for line in lines if len(line) > LONGEST_LINE] == []


@pytest.mark.parametrize("page", documentation())
def test_every_example_is_run_or_marked(page: str) -> None:
    for block in blocks(page):
        where = f"{page}:{block.line}"
        if block.language in MARKS:
            assert block.mark in ("", *MARKS[block.language]), f"{where}: {block.mark} is no mark of {block.language}"
        if block.language == "sh":
            assert block.mark, f"{where}: say why these commands are not run"
        elif block.language == "console":
            assert block.commands, f"{where}: a console block must have a command after `$ `"
        elif block.language not in RUN:
            escaped = [line for line in block.text.splitlines() if line.startswith(BEGINS_A_COMMAND)]
            assert not escaped, f"{where}: put commands into a console block, got {escaped[0]!r}"


@pytest.mark.parametrize("page", pages())
def test_every_link_leads_somewhere(page: str) -> None:
    for address in links(page):
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            assert parts.scheme == "https" and "." in parts.netloc, f"{page}: {address} must be an https address"
            continue
        target = ((ROOT / page).parent / parts.path).resolve() if parts.path else ROOT / page
        assert target.exists(), f"{page}: {address} leads nowhere"
        if parts.fragment:
            known = anchors(str(target.relative_to(ROOT)))
            assert parts.fragment in known, f"{page}: {address}; the anchors there are {', '.join(sorted(known))}"


@pytest.mark.parametrize("page", documentation())
def test_every_path_that_a_page_names_exists(page: str) -> None:
    named = {code for code in inline_code(page) if PATH.fullmatch(code) and "NAME" not in code}
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_the_architecture_has_every_room() -> None:
    packages = (ROOT / "evotune", ROOT / "workers" / "evotune_workers", ROOT / "db" / "evotune_db")
    rooms = {path.parent for package in packages for path in package.rglob("__init__.py")} - {*packages}
    named = {ROOT / code for code in inline_code("docs/architecture.md") if PATH.fullmatch(code)}
    assert {room for room in rooms if room.name != "migrations"} <= named


def test_a_page_stands_in_the_menu_of_the_site() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    # Only MkDocs knows the two tags of Python objects.
    plain = yaml.safe_load(re.sub(r"!!python/\S+", "", text))
    assert "strict" not in plain, "`make docs` says --strict"
    listed = set(re.findall(r"[\w/-]+\.md", yaml.safe_dump(plain["nav"])))
    files = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert files == listed


def test_the_hooks_are_the_tools_that_the_project_installs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    installed = {re.split(r"[>\[]", tool)[0] for tool in project["dependency-groups"]["dev"]}
    assert [each["repo"] for each in hooks] == ["local"]
    assert {Path(shlex.split(hook["entry"])[0]).name for hook in hooks[0]["hooks"]} == {"ruff", "mypy"} <= installed
