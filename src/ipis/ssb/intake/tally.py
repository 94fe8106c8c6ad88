"""How many bytes stand in a folder of folders, told without counting them each time; any number of processes may add.

The truth is the disk. What is told is never less: a file is added before it exists, and what goes is not taken off.
Where the sum says that the folder is full, and now and then anyway, what stands is counted anew.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipis.kernel.errors import TryLater

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DIGITS: Final = 20
"""The sum is one line of so many digits: it is overwritten in one piece."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The sum of a folder's bytes, in a file beside it."""

    folder: Path

    @property
    def file(self) -> Path:
        """Name the file of the sum."""
        return self.folder.with_name(f"{self.folder.name}.sum")

    @contextmanager
    def adding(self, length: int, most: int) -> Iterator[None]:
        """Add a file of so many bytes, which must stand at its full size when the block ends; nobody else adds then.

        Raises TryLater (`intake.full`) where more than `most` would stand.
        """
        with self._alone() as descriptor:
            told = os.pread(descriptor, _DIGITS, 0)
            standing = int(told) if told.isdigit() and len(told) == _DIGITS else self._count()
            if standing + length > most:
                standing = self._count()
            if standing + length > most:
                raise TryLater("intake.full")
            _tell(descriptor, standing + length)
            yield

    def count_anew(self) -> None:
        """Tell what stands now: after files were deleted, or after a power cut, which may have lost the newest sum."""
        with self._alone() as descriptor:
            _tell(descriptor, self._count())

    @contextmanager
    def _alone(self) -> Iterator[int]:
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def _count(self) -> int:
        return sum(_size(file) for file in self.folder.glob("*/*"))


def _tell(descriptor: int, standing: int) -> None:
    os.pwrite(descriptor, f"{standing:0{_DIGITS}d}\n".encode(), 0)


def _size(file: Path) -> int:
    """Give the size of a file; one that another request has just renamed or dropped counts for nothing."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
