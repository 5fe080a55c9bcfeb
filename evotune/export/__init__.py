"""Export leaderboard entries as a Python package that verifies and times itself without evotune."""

from evotune.export.contents import Served
from evotune.export.evidence import ExportError
from evotune.export.package import export_package
from evotune.export.portfolio import Choice, choose_portfolio

__all__ = ["Choice", "ExportError", "Served", "choose_portfolio", "export_package"]
