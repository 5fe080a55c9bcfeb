"""What a build is asked for and what it came to: the values that every compiler takes and returns."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from evotune_workers.kernel.contract import Value

IDENTITY_MARK = b"evotune-configuration:"
IDENTITY_BYTES = 1024


class ToolchainError(RuntimeError):
    """The environment lacks a working compiler: evotune's surroundings are at fault, not a configuration."""


class ProgramSource(Protocol):
    """What a compiler has to know of a variant; see Variant."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Files: what the compiler is given, then headers."""

    @property
    def entry(self) -> str:
        """The function that is launched."""


@dataclass(frozen=True)
class BuildRequest:
    """One binary to make: `folder` holds the kernel's sources on this machine, `macros` are passed as -D."""

    folder: Path
    program: ProgramSource
    target: str
    macros: Mapping[str, Value]


@dataclass(frozen=True)
class Resources:
    """What the compiler says a binary uses, in bytes except `registers`; None = this compiler has no such notion."""

    registers: int | None
    spill_stores: int | None
    spill_loads: int | None
    stack_bytes: int | None
    shared_bytes: int | None


@dataclass(frozen=True)
class Build:
    """Compiler output, content-addressed by `key`. A build that did not succeed has a `failure` of one line."""

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
    """`-DNAME=value` for every macro, sorted; booleans are 1 and 0."""
    return tuple(f"-D{name}={macro_text(value)}" for name, value in sorted(macros.items()))


def macro_text(value: Value) -> str:
    """A value as the sources see it."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def hash_binary(binary: bytes) -> str:
    """SHA-256 of a binary with its record of its own configuration blanked: equal hashes mean equal code."""
    start = binary.find(IDENTITY_MARK)
    if start >= 0:
        binary = binary[:start] + bytes(IDENTITY_BYTES) + binary[start + IDENTITY_BYTES :]
    return hashlib.sha256(binary).hexdigest()


def build_key(request: BuildRequest, flags: tuple[str, ...], compiler: str) -> str:
    """Content address: sources and headers, macros and flags, target, compiler version."""
    digest = hashlib.sha256()
    for name in request.program.sources:
        digest.update(name.encode() + b"\0" + (request.folder / name).read_bytes() + b"\0")
    digest.update("\0".join((*flags, request.target, compiler)).encode())
    return digest.hexdigest()
