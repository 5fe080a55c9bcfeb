"""The files on which a build depends: those that its key hashes, and those that its compiler opened.

Both must agree. A file that the compiler opens and the key does not hash could change without a new build, so that a
stale one would be checked in place of the sources.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from evotune_workers.kernel.folder import IGNORED

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>)', re.MULTILINE)
# Files that no literal #include names: by a macro, by a test whether they exist, as data.
HIDDEN_INCLUDE = re.compile(r'^[ \t]*#[ \t]*(?:include[ \t]*[^"< \t\n]|embed\b)|__has_include|\.incbin', re.MULTILINE)
# Kinds of files that no compiler opens unless an #include names them.
IRRELEVANT = frozenset({".py", ".pyc", ".md", ".rst", ".txt", ".yaml", ".yml", ".toml", ".json", ".csv"})
DEPENDENCIES = "opened.d"


def hashed_files(folder: Path, sources: Sequence[str]) -> tuple[Path, ...]:
    """Return the named sources, in their order, then all files that they include directly or indirectly.

    Where an include cannot be told from the text, all files of the folder are added but Python, documents and data.
    Raises OSError when a named source cannot be read.
    """
    found = {folder / name: (folder / name).read_bytes() for name in sources}
    waiting, hidden = list(found), False
    while waiting:
        path = waiting.pop()
        text = found[path].decode(errors="replace")
        hidden = hidden or HIDDEN_INCLUDE.search(text) is not None
        for name in sorted({quoted or angled for quoted, angled in INCLUDE.findall(text)}):
            for place in dict.fromkeys((path.parent, folder, (folder / sources[0]).parent)):
                included = Path(os.path.normpath(place / name))
                if included not in found and included.is_file():
                    found[included] = included.read_bytes()
                    waiting.append(included)
    if hidden:
        found |= {path: b"" for path in _relevant(folder) if path not in found}
    named = [folder / name for name in sources]
    return (*named, *sorted(path for path in found if path not in named))


def dependency_flags(folder: Path) -> tuple[str, ...]:
    """Return the flags by which g++ and clang++ write the files that they open, but for the system's."""
    return ("-MMD", "-MF", str(folder / DEPENDENCIES))


def unhashed_file(written: Path, run_in: Path, folder: Path, sources: Sequence[str]) -> str | None:
    """Return the first file of the kernel's folder that a compiler opened and no key hashes; None without one.

    `written` holds the output of `dependency_flags`, `run_in` is the folder in which the compiler ran.
    """
    hashed = {path.resolve() for path in hashed_files(folder, sources)}
    opened = ((run_in / path).resolve() for path in _opened(written))
    inside = (path for path in opened if path.is_relative_to(folder.resolve()) and path not in hashed)
    return next((path.relative_to(folder.resolve()).as_posix() for path in inside), None)


def opens_elsewhere(written: Path, run_in: Path, folder: Path, toolkit: Path | None) -> bool:
    """Return True if a compiler opened files that belong neither to the kernel nor to the toolkit.

    They come from the environment (CPATH, nvcc's options), and may change without the kernel.
    """
    known = [place.resolve() for place in (folder, toolkit) if place is not None]
    opened = ((run_in / path).resolve() for path in _opened(written))
    return any(not any(path.is_relative_to(place) for place in known) for path in opened)


def _opened(written: Path) -> list[str]:
    """Return the prerequisites of a makefile's rule: names with `\\ ` for a space, on lines that end with `\\`."""
    if not written.is_file():
        return []
    text = written.read_text(errors="replace").replace("\\\n", " ")
    names = text.partition(":")[2].partition("\n")[0]
    return [re.sub(r"\\(.)", r"\1", name) for name in re.findall(r"(?:\\.|\S)+", names)]


def _relevant(folder: Path) -> Iterable[Path]:
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        hidden = any(part in IGNORED or part.startswith(".") for part in parts)
        if path.is_file() and not hidden and path.suffix not in IRRELEVANT:
            yield path
