"""The object store: a delivery's Parquet files appear together, durable, under one name, or not at all.

A folder is garbage until a catalogue row names it; the sweep removes what no row has named for a day.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ipis.kernel.errors import OurFault
from ipis.lib.storage import flush_folder, measure

_GARBAGE_AFTER_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """A folder of objects, one folder a delivery."""

    root: Path

    def put(self, staged: Path, name: str) -> dict[str, str]:
        """Move a staged folder of files into place; gives file name -> SHA-256.

        What a worker that died left under the name, without its catalogue row, is replaced.
        """
        target = self.path(name)
        hashes = {}
        for file in sorted(staged.iterdir()):
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            hashes[file.name] = measure(file).sha256
        flush_folder(staged)
        self._make_parents(target.parent)
        if target.exists():
            shutil.rmtree(target)
        staged.rename(target)
        flush_folder(target.parent)
        return hashes

    def file(self, name: str, file: str) -> Path:
        """Give the path of one file of a delivery."""
        return self.path(name) / file

    def path(self, name: str) -> Path:
        """Give the folder of a name; one that would leave the store is our fault."""
        parts = PurePosixPath(name).parts
        if not parts or any(part in ("..", "/", "") for part in parts):
            raise OurFault("ssb.object_name")
        return self.root.joinpath(*parts)

    def remove(self, name: str) -> None:
        """Delete a delivery's files for good; absent ones are fine."""
        target = self.path(name)
        if target.exists():
            shutil.rmtree(target)
            flush_folder(target.parent)

    def sweep(self, listed: set[str]) -> int:
        """Delete folders that no catalogue row names and that are older than a day; tells how many."""
        swept = 0
        for folder in sorted(self.root.glob("*/*/*/*/*")):
            name = folder.relative_to(self.root).as_posix()
            if name not in listed and time.time() - folder.stat().st_mtime > _GARBAGE_AFTER_SECONDS:
                self.remove(name)
                swept += 1
        return swept

    def _make_parents(self, folder: Path) -> None:
        """Make the folders above, each flushed into the one above it."""
        missing = [above for above in (folder, *folder.parents) if not above.exists()]
        for made in reversed(missing):
            made.mkdir(mode=0o700, exist_ok=True)
            flush_folder(made.parent)
