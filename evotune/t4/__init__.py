"""T4, the auto-tuning community's format of results: export a search, import the results of another tool."""

from evotune.t4.importing import Imported, import_t4
from evotune.t4.writing import write_t4

__all__ = ["Imported", "import_t4", "write_t4"]
