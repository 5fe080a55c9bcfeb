"""A build, and the device that a build runs on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class DeviceRecord:
    """A device: `uuid` identifies the piece of hardware, `facts` holds its limits, driver and the like."""

    uuid: str
    name: str
    kind: Literal["cpu", "cuda"]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class BuildRecord:
    """Compiler output for one configuration. `key` is the content address; a failed build has no resources."""

    key: str
    target: str
    flags: tuple[str, ...]
    compiler: str
    seconds: float
    succeeded: bool
    log: str
    binary_hash: str | None = None
    registers: int | None = None
    spill_stores: int | None = None
    spill_loads: int | None = None
    stack_bytes: int | None = None
    shared_bytes: int | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
