"""Read the repository's Markdown: its code blocks, links, anchors and inline code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.support.paths import ROOT

INFO = re.compile(r"(?P<language>[a-z]*)(?: \{ \.(?P<mark>[a-z]+) \})?")
PROMPT, CONTINUED = "$ ", "> "
# docs/adversarial.md is made from it.
TEMPLATE = "tests/adversarial/page.md"


@dataclass(frozen=True)
class Block:
    """A code block: its language and its mark, both empty where there is none."""

    page: str
    line: int
    language: str
    mark: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The command lines behind prompts, each with its continuation lines."""
        found: list[str] = []
        for line in self.text.splitlines():
            if line.startswith(PROMPT):
                found.append(line.removeprefix(PROMPT))
            elif line.startswith(CONTINUED) and found:
                found[-1] += "\n" + line.removeprefix(CONTINUED)
        return found


def pages() -> list[str]:
    """Return every Markdown file of the repository as a path from its root, but those that a page is made from."""
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
    shown = [path for path in found if not any(part[0] == "." or part == "templates" for part in path.parts)]
    return sorted(str(path) for path in shown if str(path) != TEMPLATE)


def documentation() -> list[str]:
    """Return the pages for people who use evotune or work on it: the README, CONTRIBUTING and docs/."""
    return [page for page in pages() if page.startswith("docs/") or page in ("README.md", "CONTRIBUTING.md")]


@cache
def tokens(page: str) -> tuple[Token, ...]:
    """Parse a page."""
    return tuple(MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text(encoding="utf-8")))


def blocks(page: str) -> list[Block]:
    """Return the code blocks of a page in order; raise ValueError for an info string of another form."""
    return [_block(page, token) for token in tokens(page) if token.type in ("fence", "code_block")]


def links(page: str) -> Iterator[str]:
    """Yield the address of every link and image."""
    for token in _inline(page):
        address = token.attrGet("href") if token.type == "link_open" else token.attrGet("src")
        if token.type in ("link_open", "image"):
            yield str(address)


def inline_code(page: str) -> Iterator[str]:
    """Yield the text of every code span."""
    for token in _inline(page):
        if token.type == "code_inline":
            yield token.content


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub and the site give to the headings of a page."""
    found = tokens(page)
    headings = (found[place + 1] for place, token in enumerate(found) if token.type == "heading_open")
    return {_slug("".join(part.content for part in heading.children or ())) for heading in headings}


def _inline(page: str) -> Iterator[Token]:
    for token in tokens(page):
        yield from token.children or ()


def _block(page: str, token: Token) -> Block:
    match = INFO.fullmatch(token.info.strip())
    if match is None:
        raise ValueError(f"{page}: a block must begin as `LANGUAGE` or `LANGUAGE {{ .MARK }}`, got {token.info!r}")
    line = token.map[0] + 1 if token.map else 0
    return Block(page, line, match["language"], match["mark"] or "", token.content)


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
