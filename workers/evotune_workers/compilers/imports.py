"""Imports of a shared library: the symbols that it takes from other libraries."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection, GNUVerSymSection
from elftools.elf.sections import SymbolTableSection

# The upper bit of a symbol's version marks it as hidden (Linux Standard Base, "Symbol Versioning").
VERSION_BITS = 0x7FFF


@dataclass(frozen=True)
class Import:
    """A symbol that another library must define; `library` is None where the linker knew of none."""

    name: str
    library: str | None


def read_imports(library: bytes) -> tuple[Import, ...]:
    """Return the symbols that a library uses and does not define; raise ValueError for a damaged ELF file."""
    try:
        return tuple(_imports(ELFFile(io.BytesIO(library))))
    except ELFError as error:
        raise ValueError(f"a shared library must be a whole ELF file: {error}") from error


def _imports(elf: ELFFile) -> Iterator[Import]:
    symbols, versions = elf.get_section_by_name(".dynsym"), elf.get_section_by_name(".gnu.version")
    if not isinstance(symbols, SymbolTableSection):
        raise ELFError("a table of dynamic symbols must be there, got none")
    libraries = dict(_libraries(elf))
    for place, symbol in enumerate(symbols.iter_symbols()):
        if place > 0 and symbol["st_shndx"] == "SHN_UNDEF":
            version = versions.get_symbol(place)["ndx"] if isinstance(versions, GNUVerSymSection) else None
            # For a symbol without a version, pyelftools returns a word in place of the number.
            known = libraries.get(version & VERSION_BITS) if isinstance(version, int) else None
            yield Import(symbol.name, known)


def _libraries(elf: ELFFile) -> Iterator[tuple[int, str]]:
    """Yield the number of each required version, and the library that must provide it."""
    needed = elf.get_section_by_name(".gnu.version_r")
    for library, versions in needed.iter_versions() if isinstance(needed, GNUVerNeedSection) else ():
        for version in versions:
            yield version["vna_other"], str(library.name)
