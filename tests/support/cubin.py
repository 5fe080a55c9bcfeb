"""Reading a cubin as far as tests need it: what its variables are initialised to, and what its kernels promise.

A cubin is a 64-bit little-endian ELF file (System V ABI, chapters 4 and 5; `man 5 elf`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

SYMBOL_TABLE, NO_BITS = 2, 8
# In the section `.nv.info.<kernel>`, the attribute's format (a length and so many bytes follow) and its number, as
# `cuobjdump -elf` names it EIATTR_MAX_THREADS: the largest block in x, y and z, from `__launch_bounds__`.
FORMAT_SIZED, MAX_THREADS = 0x04, 0x05


@dataclass(frozen=True)
class Section:
    """A section's name, type, bytes (none for what is only reserved) and the section that it refers to."""

    name: str
    kind: int
    content: bytes
    link: int


def variable(cubin: bytes, name: str) -> bytes:
    """Return a `__device__` variable's initial bytes; ValueError when there is not exactly one of that name."""
    sections = _sections(cubin)
    found = [
        sections[index].content[start : start + size]
        for symbol, index, start, size in _symbols(sections)
        if symbol == name
    ]
    if len(found) != 1 or not found[0]:
        raise ValueError(f"a cubin must have one initialised variable {name}, got {len(found)}")
    return found[0]


def most_threads(cubin: bytes, kernel: str) -> int:
    """Threads of the largest block that a kernel was compiled for; ValueError when it does not say."""
    (info,) = [section.content for section in _sections(cubin) if section.name == f".nv.info.{kernel}"]
    found = [value for number, value in _attributes(info) if number == MAX_THREADS]
    if len(found) != 1:
        raise ValueError(f"the kernel {kernel} must have one limit on its threads, got {len(found)}")
    x, y, z = struct.unpack("<III", found[0])
    return int(x * y * z)


def _sections(cubin: bytes) -> list[Section]:
    if cubin[:6] != b"\x7fELF\x02\x01":
        raise ValueError(f"a cubin must be a 64-bit little-endian ELF file, it begins with {cubin[:6]!r}")
    (offset,) = struct.unpack_from("<Q", cubin, 0x28)
    size, count, names = struct.unpack_from("<HHH", cubin, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", cubin, offset + i * size) for i in range(count)]
    texts = _content(cubin, headers[names])
    return [Section(_text(texts, header[0]), header[1], _content(cubin, header), header[6]) for header in headers]


def _content(cubin: bytes, header: tuple[int, ...]) -> bytes:
    start, size = header[4:6]
    if header[1] == NO_BITS:
        return b""
    if start + size > len(cubin):
        raise ValueError(f"a section must lie within the file's {len(cubin)} B, one ends at {start + size}")
    return cubin[start : start + size]


def _symbols(sections: list[Section]) -> Iterator[tuple[str, int, int, int]]:
    """Name, section, start in it and size of every symbol that is in a section."""
    (table,) = [section for section in sections if section.kind == SYMBOL_TABLE]
    for name, _, _, index, start, size in struct.iter_unpack("<IBBHQQ", table.content):
        if 0 < index < len(sections):
            yield _text(sections[table.link].content, name), index, start, size


def _text(texts: bytes, start: int) -> str:
    return texts[start : texts.index(b"\0", start)].decode()


def _attributes(info: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place < len(info):
        form, number, length = struct.unpack_from("<BBH", info, place)
        place += 4
        if form == FORMAT_SIZED:
            yield number, info[place : place + length]
            place += length
