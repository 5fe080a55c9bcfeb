"""Memory that can still be had: the machine's, and what limits of control groups leave."""

from __future__ import annotations

from pathlib import Path

from evotune_workers.system.free_memory import free_memory_bytes

MIB = 1 << 20


def machine(folder: Path, available_mib: int, groups: str) -> Path:
    """Write a /proc with that much available memory and those control groups."""
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable:   {available_mib << 10} kB\n")
    (folder / "proc" / "self" / "cgroup").write_text(groups)
    return folder / "proc"


def group(folder: Path, names: tuple[str, str], limit: str, used_mib: int, stat: str) -> None:
    """Write a control group; `names` are those of the files with its limit and its use."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used_mib * MIB}\n")
    (folder / "memory.stat").write_text(stat)


V1, V2 = ("memory.limit_in_bytes", "memory.usage_in_bytes"), ("memory.max", "memory.current")


def test_without_a_limit_it_is_what_the_machine_has_available(tmp_path: Path) -> None:
    proc, groups = machine(tmp_path, 700, "0::/user/job\n"), tmp_path / "groups"
    group(groups / "user" / "job", V2, "max", 100, "")
    assert free_memory_bytes(proc, groups) == 700 * MIB


def test_a_parent_group_may_be_the_tightest_and_unused_page_cache_gives_way(tmp_path: Path) -> None:
    proc, groups = machine(tmp_path, 700, "0::/user/job\n"), tmp_path / "groups"
    group(groups / "user" / "job", V2, str(600 * MIB), 100, "inactive_file 0\n")
    group(groups / "user", V2, str(500 * MIB), 300, f"anon 1\ninactive_file {50 * MIB}\n")
    assert free_memory_bytes(proc, groups) == 250 * MIB


def test_a_container_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    proc, groups = machine(tmp_path, 700, "5:devices:/x\n4:cpu,memory:/docker/123\n0::/\n"), tmp_path / "groups"
    group(groups / "memory", V1, str(400 * MIB), 100, f"inactive_file 1\ntotal_inactive_file {MIB}\n")
    assert free_memory_bytes(proc, groups) == 301 * MIB


def test_a_group_that_is_over_its_limit_leaves_nothing(tmp_path: Path) -> None:
    proc, groups = machine(tmp_path, 700, "4:memory:/\n"), tmp_path / "groups"
    group(groups / "memory", V1, str(100 * MIB), 101, "total_inactive_file 0\n")
    assert free_memory_bytes(proc, groups) == 0


def test_this_machine_has_some() -> None:
    assert free_memory_bytes() > 64 * MIB
