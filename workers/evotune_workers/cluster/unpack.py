"""Unpacking a kernel that arrived by content, on a node that may not have its folder."""

from __future__ import annotations

import io
import tarfile
import zlib
from pathlib import Path

from evotune_workers.kernel.folder import KernelPackage
from evotune_workers.system.cache import cache_folder, unfinished


def unpack_kernel(package: KernelPackage) -> Path:
    """Return a folder on this machine with the package's files.

    It is unpacked once into the cache folder, where every process of this user shares it.
    """
    folder = cache_folder() / "kernels" / package.source_hash
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with unfinished() as temporary:
        fresh = temporary / "kernel"
        with tarfile.open(fileobj=io.BytesIO(zlib.decompress(package.archive))) as tar:
            tar.extractall(fresh, filter="data")
        try:
            fresh.rename(folder)
        except OSError:
            # Another process unpacked the same content first; a folder by content is as good as ours.
            if not folder.is_dir():
                raise
    return folder
