"""The documentation as a site: MkDocs builds it without a warning, and every page is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    pages = [path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")]
    folders = [page.parent if page.name == "index" else page for page in pages]
    assert [str(folder) for folder in folders if not (tmp_path / folder / "index.html").is_file()] == []
    assert not list(tmp_path.rglob("*.py")), "what draws pictures is no part of the site"
