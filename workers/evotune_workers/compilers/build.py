"""The values that every compiler takes and returns: build requests and builds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evotune_workers.compilers.sources import hashed_files
from evotune_workers.kernel.contract import Value

IDENTITY_MARK = b"evotune-configuration:"
IDENTITY_BYTES = 1024


class ToolchainError(RuntimeError):
    """The environment lacks a working compiler: it is at fault, and no configuration."""


class ProgramSource(Protocol):
    """The part of a kernel's Variant that a compiler needs."""

    @property
    def sources(self) -> tuple[str, ...]:
        """File names: the source to compile, then its headers."""

    @property
    def entry(self) -> str:
        """Name of the function that is launched."""


@dataclass(frozen=True)
class BuildRequest:
    """One binary to make: `folder` holds the kernel's sources on this machine, `macros` are passed as -D."""

    folder: Path
    program: ProgramSource
    target: str
    macros: Mapping[str, Value]


@dataclass(frozen=True)
class Resources:
    """Resources of a binary by its compiler's report, in bytes except `registers`; None if it reports no such value."""

    registers: int | None
    spill_stores: int | None
    spill_loads: int | None
    stack_bytes: int | None
    shared_bytes: int | None


@dataclass(frozen=True)
class Build:
    """Compiler output, content-addressed by `key`. A failed build has a `failure` of one line and no binary."""

    key: str
    target: str
    flags: tuple[str, ...]
    compiler: str
    seconds: float
    log: str
    failure: str | None
    binary: bytes | None
    binary_hash: str | None
    resources: Resources | None


def macro_flags(macros: Mapping[str, Value]) -> tuple[str, ...]:
    """Return `-DNAME=value` for every macro, sorted by name; booleans are 1 and 0."""
    return tuple(f"-D{name}={macro_text(value)}" for name, value in sorted(macros.items()))


def macro_text(value: Value) -> str:
    """Return a value as the sources see it."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def hash_binary(binary: bytes) -> str:
    """Return the SHA-256 of a binary without its identity record: equal hashes mean equal code.

    The identity record, which is blanked, names the configuration and differs even where the code does not.
    """
    start = binary.find(IDENTITY_MARK)
    if start >= 0:
        binary = binary[:start] + bytes(IDENTITY_BYTES) + binary[start + IDENTITY_BYTES :]
    return hashlib.sha256(binary).hexdigest()


def build_key(request: BuildRequest, flags: tuple[str, ...], compiler: str) -> str:
    """Return a build's content address: a hash of sources, headers, macros, flags, target and compiler version.

    Headers are those that sources include, whether the variant names them or not.
    """
    digest = hashlib.sha256()
    for path in hashed_files(request.folder, request.program.sources):
        name = os.path.relpath(path, request.folder)
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update("\0".join((*flags, request.target, compiler)).encode())
    return digest.hexdigest()
