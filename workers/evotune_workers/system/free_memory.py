"""Memory that this process can still allocate, within the machine's available memory and its control groups."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MemoryController:
    """File names of one version of control groups; `cache` is a key of `memory.stat`."""

    folder: str
    limit: str
    usage: str
    cache: str


# Linux: Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst.
VERSION_1 = MemoryController("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
VERSION_2 = MemoryController("", "memory.max", "memory.current", "inactive_file")


def free_memory_bytes(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the machine's available bytes, or those left by the tightest control group if that is less."""
    return max(0, min([_available_bytes(proc), *_left_in_groups(proc, groups)]))


def _available_bytes(proc: Path) -> int:
    """Return MemAvailable, or all physical memory on a system without it."""
    path = proc / "meminfo"
    match = re.search(r"^MemAvailable:\s*(\d+) kB$", path.read_text(), re.MULTILINE) if path.exists() else None
    return int(match.group(1)) << 10 if match else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _left_in_groups(proc: Path, groups: Path) -> Iterator[int]:
    """Yield the bytes left by each limit above this process; a container may see its own group as the root."""
    path = proc / "self" / "cgroup"
    for line in path.read_text().splitlines() if path.exists() else []:
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        version = VERSION_1 if controllers else VERSION_2
        root = groups / version.folder
        group = root / place.lstrip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(root):
                yield from _left_in(folder, version)


def _left_in(folder: Path, version: MemoryController) -> Iterator[int]:
    """Yield the group's limit minus its use, which excludes inactive page cache: the system reclaims it."""
    if not (folder / version.limit).exists():
        return
    limit = (folder / version.limit).read_text().strip()
    if limit == "max":
        return
    used = int((folder / version.usage).read_text())
    cache = re.search(rf"^{version.cache} (\d+)$", (folder / "memory.stat").read_text(), re.MULTILINE)
    yield int(limit) - used + (int(cache.group(1)) if cache else 0)
