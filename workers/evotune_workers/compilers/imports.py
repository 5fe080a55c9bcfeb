"""What a shared library takes from other libraries, read from its dynamic symbols.

A shared library is a 64-bit little-endian ELF file (System V ABI, chapters 4 and 5; versions of symbols: Linux Standard
Base, "Symbol Versioning").
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MARK = b"\x7fELF\x02\x01"
DYNAMIC_SYMBOLS, VERSIONS, VERSIONS_NEEDED = 11, 0x6FFFFFFF, 0x6FFFFFFE
# The upper bit of a symbol's version says that it is hidden.
VERSION_BITS = 0x7FFF


@dataclass(frozen=True)
class Import:
    """A symbol that another library must have; `library` is None where the linker knew none that does."""

    name: str
    library: str | None


@dataclass(frozen=True)
class _Section:
    kind: int
    content: bytes
    link: int


def read_imports(library: bytes) -> tuple[Import, ...]:
    """Every symbol that is used and not defined; ValueError when it is not a whole shared library."""
    if not library.startswith(MARK):
        raise ValueError(f"a shared library must be a 64-bit little-endian ELF file, it begins with {library[:6]!r}")
    try:
        return tuple(_imports(_sections(library)))
    except (struct.error, IndexError) as error:
        raise ValueError(f"a shared library must be whole: {error}") from error


def _imports(sections: list[_Section]) -> Iterator[Import]:
    table = _only(sections, DYNAMIC_SYMBOLS)
    names = sections[table.link].content
    libraries = dict(_libraries(sections))
    versions = [number for (number,) in struct.iter_unpack("<H", _content(sections, VERSIONS))]
    for place, (name, _, _, section, _, _) in enumerate(struct.iter_unpack("<IBBHQQ", table.content)):
        if place > 0 and section == 0:
            version = versions[place] & VERSION_BITS if versions else 0
            yield Import(_text(names, name), libraries.get(version))


def _libraries(sections: list[_Section]) -> Iterator[tuple[int, str]]:
    """The number of each version that is needed, and the library that it is needed of."""
    needed = [section for section in sections if section.kind == VERSIONS_NEEDED]
    for section in needed:
        names, place = sections[section.link].content, 0
        while True:
            _, count, file, first, following = struct.unpack_from("<HHIII", section.content, place)
            for number in _versions(section.content, place + first, count):
                yield number, _text(names, file)
            if following == 0:
                break
            place += following


def _versions(content: bytes, place: int, count: int) -> Iterator[int]:
    for _ in range(count):
        _, _, number, _, following = struct.unpack_from("<IHHII", content, place)
        yield number
        place += following


def _sections(library: bytes) -> list[_Section]:
    (offset,) = struct.unpack_from("<Q", library, 0x28)
    size, count = struct.unpack_from("<HH", library, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", library, offset + place * size) for place in range(count)]
    return [_Section(header[1], library[header[4] : header[4] + header[5]], header[6]) for header in headers]


def _only(sections: list[_Section], kind: int) -> _Section:
    found = [section for section in sections if section.kind == kind]
    if len(found) != 1:
        raise ValueError(f"a shared library must have one table of dynamic symbols, got {len(found)}")
    return found[0]


def _content(sections: list[_Section], kind: int) -> bytes:
    return b"".join(section.content for section in sections if section.kind == kind)


def _text(names: bytes, start: int) -> str:
    return names[start : names.index(b"\0", start)].decode(errors="replace")
