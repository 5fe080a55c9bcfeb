"""Find sentences that hide their subject, in docstrings and comments.

Run `python -m tests.prose FOLDER...` to list them.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

FIRST_WORDS = re.compile(r"(What|Who|Whom|Whose|Whether|Which|How|Of|That which)\b")
ANYWHERE = re.compile(r"\b(What|Who|Whom|Whose|Whether|Which|How|Of|That)\b")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Sentence(NamedTuple):
    """A sentence and the line where its docstring or comment begins."""

    line: int
    text: str


def hidden_subjects(path: Path) -> list[Sentence]:
    """Return the sentences of a Python file that begin with a word which style forbids."""
    source = path.read_text(encoding="utf-8")
    if not ANYWHERE.search(source):
        return []  # in a hundredth of the time that it takes to parse
    texts = [*_docstrings(ast.parse(source, str(path))), *_comments(source)]
    return [
        Sentence(line, sentence)
        for line, text in sorted(texts)
        for sentence in SENTENCE_END.split(" ".join(text.split()))
        if FIRST_WORDS.match(sentence) and not sentence.endswith("?")
    ]


def _docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
            yield getattr(node, "lineno", 1), text


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield each run of comment lines as one text."""
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.COMMENT]
    numbered = ((token.start[0] - index, token) for index, token in enumerate(tokens))
    for _, run in groupby(numbered, key=lambda pair: pair[0]):
        block = [token for _, token in run]
        yield block[0].start[0], " ".join(token.string.lstrip("# ") for token in block)


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        for file in sorted(Path(folder).rglob("*.py")):
            for found in hidden_subjects(file):
                print(f"{file}:{found.line}: {found.text}")
