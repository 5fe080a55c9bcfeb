"""Results in the tuning community's T4 format: searches written for other tools, and theirs read into the record."""

from evotune.t4.importing import Imported, import_t4
from evotune.t4.writing import write_t4

__all__ = ["Imported", "import_t4", "write_t4"]
