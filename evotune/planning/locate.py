"""Location of built-in kernels and search spaces: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

from evotune.suggestions import did_you_mean

PACKAGE = Path(__file__).resolve().parents[1]


class UnknownKernel(ValueError):
    """Neither a built-in kernel nor a folder with a kernel.py."""


class UnknownSpace(ValueError):
    """Neither a built-in search space of that kernel nor a file."""


def builtin_kernels() -> list[str]:
    """Return the names of the kernels that come with evotune, sorted."""
    return sorted(path.parent.name for path in _root("kernels").glob("*/kernel.py"))


def kernel_folder(name_or_path: str) -> Path:
    """Return the folder of a built-in kernel, by name, or of a user's kernel, by path (`./my_kernel`).

    A built-in name wins over a folder of that name. Raises UnknownKernel, which names the nearest built-in kernel.
    """
    if name_or_path in builtin_kernels():
        return _root("kernels") / name_or_path
    folder = Path(name_or_path).expanduser()
    if name_or_path and (folder / "kernel.py").is_file():
        return folder.resolve()
    if folder.is_dir() or len(folder.parts) > 1:
        raise UnknownKernel(f"a kernel is a folder with a kernel.py, got {name_or_path}: it has none")
    rule = "kernel must be a built-in name or the path of a folder with a kernel.py"
    raise UnknownKernel(f"{rule}, got {name_or_path!r}; {did_you_mean(name_or_path, builtin_kernels())}")


def builtin_spaces(kernel: str) -> list[Path]:
    """Return the YAML files of a built-in kernel's search spaces, sorted; none for a user's kernel."""
    return sorted((_root("search_spaces") / kernel).glob("*.yaml"))


def space_file(kernel: str, name: str) -> Path:
    """Return the YAML file of a built-in search space, by name (`cpu`), or of a user's, by path (`./narrow.yaml`).

    A built-in name wins over a file of that name. Raises UnknownSpace, which names the nearest built-in space.
    """
    spaces = {path.stem: path for path in builtin_spaces(kernel)}
    if name in spaces:
        return spaces[name]
    path = Path(name).expanduser()
    if path.is_file():
        return path.resolve()
    rule = f"space must be a built-in space of {kernel} or the path of a YAML file"
    raise UnknownSpace(f"{rule}, got {name!r}; {did_you_mean(name, spaces)}")


def _root(name: str) -> Path:
    """Find a folder that lies beside the package in a checkout, and is force-included under it in a wheel."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name
