"""Make every file of a package."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Set
from dataclasses import asdict
from importlib import metadata

from evotune.export.contents import Contents, ExportedKernel, Row
from evotune.export.evidence import Evidence, ExportError
from evotune.export.export_target import TEMPLATES, ExportTarget
from evotune.export.manifest import manifest
from evotune.export.readme import readme
from evotune_workers.compilers.sources import hashed_files

MODULES = ("integrity.py", "verification.py", "verify_timing.py")
# The files that the kernel's author must supply in `export/`, beside a launching module for each variant.
SUPPLIED = ("function.py", "dispatch.py", "checks.py", "usage.md")
NO_BUCKETS = "BUCKETS: tuple[Bucket, ...] = ()\n"


def package_files(contents: Contents, target: ExportTarget) -> dict[str, bytes]:
    """Return the contents of all files by path: the project's, and the package's in a folder with the kernel's name.

    Raises ExportError if a file is missing.
    """
    evidence = contents.first
    own = _supplied(evidence)
    sources = _sources(contents)
    files = {
        **_modules(evidence, {*MODULES, *target.modules}),
        **sources,
        **{binary.file: binary.content for kernel in contents.kernels.values() for binary in kernel.all_binaries},
        **{name: (TEMPLATES / "package" / name).read_bytes() for name in MODULES},
        **{name: module.read_bytes() for name, module in target.modules.items()},
        "__init__.py": _init(evidence),
        "launching.py": own[f"{evidence.variant.name}.py"],
        "dispatch.py": _dispatch(own["dispatch.py"].decode(), contents.rows),
        "py.typed": b"",
        **{module.rpartition("/")[2]: (evidence.folder / module).read_bytes() for module in evidence.variant.modules},
    }
    if target.build_script is not None:
        files["build.sh"] = _build_script(evidence, target.build_script.read_text()).encode()
    project = {
        "pyproject.toml": _filled("project.toml", evidence, target),
        "verify.py": _filled("verify.py", evidence, target),
        "README.md": readme(contents, target, own["usage.md"].decode()).encode(),
    }
    record = json.dumps(manifest(contents, sources, files, project), indent=1) + "\n"
    inside = {f"{evidence.kernel.name}/{name}": content for name, content in files.items()}
    return {**project, **inside, f"{evidence.kernel.name}/manifest.json": record.encode()}


def _supplied(evidence: Evidence) -> dict[str, bytes]:
    folder = evidence.folder / "export"
    names = (*SUPPLIED, f"{evidence.variant.name}.py")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        wanted = ", ".join(names)
        raise ExportError(f"a kernel needs {wanted} in {folder} to be exported, missing: {', '.join(missing)}")
    return {name: (folder / name).read_bytes() for name in names}


def _modules(evidence: Evidence, taken: Set[str]) -> dict[str, bytes]:
    """Return the author's modules except the launching ones: function.py and checks.py import them by name."""
    launching = {f"{variant.name}.py" for variant in evidence.kernel.variants}
    paths = sorted((evidence.folder / "export").glob("*.py"))
    modules = {path.name: path.read_bytes() for path in paths if path.name not in launching | {"__init__.py"}}
    clashes = sorted(modules.keys() & {*taken, "launching.py"})
    if clashes:
        raise ExportError(
            f"the package's own {clashes[0]} must be the only one, got another in {paths[0].parent}; rename the latter"
        )
    return modules


def _sources(contents: Contents) -> dict[str, bytes]:
    """Return the files that determine the binaries: the measured sources and the macros of each kernel."""
    evidence = contents.first
    sources = {f"sources/{name}": (evidence.folder / name).read_bytes() for name in _source_names(evidence)}
    headers = {f"configurations/{name}.h": _header(kernel) for name, kernel in contents.kernels.items()}
    return {**sources, **headers}


def _source_names(evidence: Evidence) -> list[str]:
    """Return the variant's sources with every header that they include; the first is the file to compile."""
    names = [os.path.relpath(path, evidence.folder) for path in hashed_files(evidence.folder, evidence.variant.sources)]
    outside = next((name for name in names if name.startswith("..")), None)
    if outside is not None:
        raise ExportError(f"the sources of an exported kernel must lie in its folder, got {outside}; move it there")
    return names


def _header(kernel: ExportedKernel) -> bytes:
    """Return a C header that defines every macro of the timed build."""
    title = f"// Configuration {kernel.name} of {kernel.evidence.kernel.name} for {kernel.evidence.entry.target}."
    macros = (f"#define {name} {value}" for name, value in sorted(kernel.evidence.macros.items()))
    return "\n".join([title, *macros, ""]).encode()


def _init(evidence: Evidence) -> bytes:
    name = evidence.kernel.name
    return (
        f'"""{name}, tuned by evotune for {evidence.device.name}; see README.md."""\n\n'
        f'from .function import {name}\n\n__all__ = ["{name}"]\n'
    ).encode()


def _dispatch(text: str, rows: tuple[Row, ...]) -> bytes:
    """Return the kernel author's dispatcher with the buckets of this package, one on each line."""
    if NO_BUCKETS not in text:
        raise ExportError(f"export/dispatch.py must have the line {NO_BUCKETS.strip()!r}, got none")
    lines = "".join(f"    {_bucket(row)},\n" for row in rows)
    return text.replace(NO_BUCKETS, f"BUCKETS: tuple[Bucket, ...] = (\n{lines})\n").encode()


def _bucket(row: Row) -> str:
    fields = {"kernel": row.kernel, "speedup": round(row.evidence.timing.speedup, 4), **asdict(row.evidence.workload)}
    return f"Bucket({', '.join(f'{name}={value!r}' for name, value in fields.items())})"


def _build_script(evidence: Evidence, text: str) -> str:
    """Fill in the flags of the timed build and the sources; the macros are in the configuration's header."""
    flags = shlex.join(flag for flag in evidence.build.flags if not flag.startswith("-D"))
    sources = [f'"$folder/sources/{name}"' for name in _source_names(evidence)]
    return text.replace("@flags@", flags).replace("@sources@", " ".join(sources)).replace("@source@", sources[0])


def _filled(name: str, evidence: Evidence, target: ExportTarget) -> bytes:
    values: Mapping[str, str] = {
        "kernel": evidence.kernel.name,
        "distribution": f"evotune-exported-{evidence.kernel.name.replace('_', '-')}",
        "version": f"{_version()}.post{evidence.entry.trial}",
        "device": evidence.device.name.replace('"', "'").replace("\\", "/"),
        "dependencies": ", ".join(f'"{name}"' for name in target.dependencies),
    }
    text = (TEMPLATES / name).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text.encode()


def _version() -> str:
    """Return evotune's version, "0" for a checkout on PYTHONPATH, which has none."""
    try:
        return metadata.version("evotune")
    except metadata.PackageNotFoundError:
        return "0"
