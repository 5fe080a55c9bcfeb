"""From a leaderboard entry to a folder that builds, checks and times itself without evotune."""

from .evidence import ExportError
from .package import export_trial

__all__ = ["ExportError", "export_trial"]
