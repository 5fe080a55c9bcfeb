"""Load the kernels of this package into a GPU; needs torch and cuda-core, but no compiler."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from .integrity import digest, recorded_macros

# More dynamic shared memory must be requested (CUDA C++ Programming Guide, technical specifications).
_SHARED_BYTES_WITHOUT_ASKING = 48 << 10
_lock = threading.Lock()
_modules: dict[tuple[tuple[object, ...], int | None], Module] = {}
_spares: dict[tuple[object, ...], Module] = {}


class NoBinary(RuntimeError):
    """The package has no binary that this GPU can run."""


@dataclass(frozen=True)
class Module:
    """A loaded binary: its kernel, the driver's handle of the function, and the number of blocks resident at once."""

    kernel: Any
    function: Any
    resident_blocks: int


@dataclass(frozen=True)
class Program:
    """A loaded kernel for a device and a torch stream: cuda.core's object, and the driver's handle (cuda-bindings)."""

    device: int
    stream: int
    kernel: Any
    function: Any
    resident_blocks: int


def choose_binary(binaries: Mapping[str, Mapping[str, Any]], capability: tuple[int, int]) -> str | None:
    """Return the name of the binary ("sm_90", "compute_90") for a GPU of this compute capability, None if it has none.

    A cubin runs on its own capability and later ones of the same major version, PTX on its own and all later ones
    (CUDA C++ Programming Guide, "Binary Compatibility" and "PTX Compatibility"). Cubins come first: they were tested.
    """
    device = 10 * capability[0] + capability[1]
    cubins = [name for name in binaries if name.startswith("sm_") and _number(name) // 10 == capability[0]]
    ptx = [name for name in binaries if name.startswith("compute_")]
    for names in (cubins, ptx):
        fitting = [name for name in names if _number(name) <= device]
        if fitting:
            return max(fitting, key=_number)
    return None


def binary_for(build: Mapping[str, Any], device: int) -> str:
    """Return the name of the binary for GPU number `device`. Raises NoBinary, which lists all binaries."""
    capability = torch.cuda.get_device_capability(device)
    binaries = build["binaries"]
    chosen = choose_binary(binaries, capability)
    if chosen is None:
        has = ", ".join(binaries)
        raise NoBinary(
            f"the GPU must run one of {has}, got sm_{capability[0]}{capability[1]}; export for it with --arch"
        )
    return chosen


def load_program(
    folder: Path,
    manifest: Mapping[str, Any],
    kernel: str,
    form: str,
    device: int,
    stream: int,
    threads: int,
    shared_bytes: int,
    exclusive: bool,
) -> Program:
    """Load a kernel for launches on the stream with this handle.

    An `exclusive` module has state, so each stream has its own. `form` names one of the manifest's forms of the kernel;
    "" is the measured one. Raises NoBinary, and RuntimeError if cuda-core is missing, if a file has changed since the
    export, or if a binary must be loaded during the capture of a stream.
    """
    builds = {"": manifest["kernels"][kernel], **manifest["kernels"][kernel]["forms"]}

    def module_of(name: str) -> Module:
        load = partial(_load, folder, builds[name], manifest["entry"], device, threads, shared_bytes)
        return _module((folder, kernel, name, device, shared_bytes), stream if exclusive else None, load)

    with _lock, torch.cuda.device(device):
        module = module_of(form)
        if not torch.cuda.is_current_stream_capturing():
            # Load all forms, so that after one call, calls with other strides can be captured.
            for name in builds:
                module_of(name)
    return Program(device, stream, module.kernel, module.function, module.resident_blocks)


def read_binary(folder: Path, build: Mapping[str, Any], name: str) -> bytes:
    """Read the binary with this name. Raises RuntimeError if it differs from the manifest."""
    binary = build["binaries"][name]
    content: bytes = (folder / binary["file"]).read_bytes()
    if digest(content) != binary["sha256"]:
        raise RuntimeError(f"{binary['file']} must match its hash in manifest.json; install the package again")
    if name.startswith("sm_") and recorded_macros(content) != build["macros"]:
        raise RuntimeError(f"{binary['file']} must match its macros in manifest.json; export it again")
    return content


def _module(key: tuple[object, ...], stream: int | None, load: Callable[[], Module]) -> Module:
    """Return the module of a stream, or of all streams, loaded on first use, but never during a capture."""
    capturing = torch.cuda.is_current_stream_capturing()
    module = _modules.get((key, stream)) or _spares.pop(key, None)
    if module is None and capturing:
        raise RuntimeError(
            "a kernel must be called on a stream before the stream is captured, got a first call in a capture; make one"
            " in torch.cuda.stream(stream), then capture with torch.cuda.graph(graph, stream=stream)"
        )
    module = _modules[key, stream] = module or load()
    # A spare module for torch.cuda.graph without `stream`, which captures a stream of its own.
    if stream is not None and key not in _spares and not capturing:
        _spares[key] = load()
    return module


def _load(folder: Path, build: Mapping[str, Any], entry: str, device: int, threads: int, shared_bytes: int) -> Module:
    try:
        from cuda.bindings import driver
        from cuda.core import Device, ObjectCode
    except ImportError as error:
        raise RuntimeError(f"CUDA kernels need cuda-core, got {error}: pip install cuda-core cuda-bindings") from error
    name = binary_for(build, device)
    content = read_binary(folder, build, name)
    core = Device(device)
    core.set_current()
    code = ObjectCode.from_cubin(content) if name.startswith("sm_") else ObjectCode.from_ptx(content)
    loaded = code.get_kernel(entry)
    if shared_bytes > _SHARED_BYTES_WITHOUT_ASKING:
        _ask_for_shared_memory(loaded, shared_bytes, device)
    status, function = driver.cuKernelGetFunction(loaded.handle)
    if status:
        raise RuntimeError(f"a kernel must be a function of this GPU's context, got {status.name} from the driver")
    of_one = loaded.occupancy.max_active_blocks_per_multiprocessor(threads, shared_bytes)
    if of_one < 1:
        raise RuntimeError(f"a block of {threads} threads with {shared_bytes} B must fit a multiprocessor, it does not")
    return Module(loaded, function, int(of_one) * int(core.properties.multiprocessor_count))


def _ask_for_shared_memory(loaded: Any, shared_bytes: int, device: int) -> None:
    from cuda.bindings import driver

    attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    (status,) = driver.cuKernelSetAttribute(attribute, shared_bytes, loaded.handle, driver.CUdevice(device))
    if status != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"a block must get {shared_bytes} B of shared memory, got {status.name} from the driver")


def _number(name: str) -> int:
    """Return the number in a name: 90 for "sm_90" and for "compute_90"."""
    return int(name.rpartition("_")[2])
