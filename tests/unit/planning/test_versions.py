"""The facts recorded of the repository in which something was measured."""

from __future__ import annotations

import subprocess
from pathlib import Path

from evotune.planning.versions import git_version


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    ran = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def test_a_folder_is_modified_when_it_differs_from_its_commit_and_not_by_what_does_not_count(tmp_path: Path) -> None:
    for name in ("code", "results"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("as committed")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "all")
    clean = {"commit": git(tmp_path, "rev-parse", "HEAD"), "modified": False}
    assert git_version(tmp_path) == clean
    (tmp_path / "results" / "file").write_text("written again")
    assert git_version(tmp_path) == {**clean, "modified": True}
    assert git_version(tmp_path, "results") == git_version(tmp_path / "code") == clean
    (tmp_path / "code" / "new").write_text("not committed")
    assert git_version(tmp_path, "results") == {**clean, "modified": True}


def test_outside_a_repository_there_are_no_facts(tmp_path: Path) -> None:
    assert git_version(tmp_path) == {}
