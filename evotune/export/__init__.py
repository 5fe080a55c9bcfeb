"""From leaderboard entries to a Python package that checks and times itself without evotune."""

from .contents import Served
from .evidence import ExportError
from .package import export_package
from .portfolio import Choice, choose_portfolio

__all__ = ["Choice", "ExportError", "Served", "choose_portfolio", "export_package"]
