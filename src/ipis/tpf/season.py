"""The season pack in force, as the settings name it; definitions, keys and municipalities come from nowhere else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ipis.kernel.errors import IpisError, TryLater
from ipis.kernel.seasonpack import SeasonPack
from ipis.kernel.signature import PublicKey
from ipis.lib.log import get_logger

if TYPE_CHECKING:
    from pathlib import Path

    from ipis.tpf.settings import TpfSettings

    _Stamp = tuple[int, int, int]


class Season:
    """The season pack in force, read again when its file has been replaced."""

    def __init__(self, settings: TpfSettings) -> None:
        """Take the room's settings; nothing is read before it is asked for."""
        self._settings = settings
        self._lock = threading.Lock()
        self._good: tuple[_Stamp, SeasonPack] | None = None
        self._refused: _Stamp | None = None

    def current(self) -> SeasonPack:
        """Give the pack; while the file's is refused, the last good one. Raises TryLater (tpf.no_season)."""
        path = self._settings.pack
        if path is None or not path.exists():
            raise TryLater("tpf.no_season")
        stamp = _stamp(path)
        with self._lock:
            if stamp not in (self._good and self._good[0], self._refused):
                self._read(path, stamp)
            if self._good is None:
                raise TryLater("tpf.no_season")
            return self._good[1]

    def register_title(self, language: str) -> str:
        """Say what people call the register; without a pack, it is about sending to SSB all the same."""
        try:
            return self.current().collection.title[language]
        except TryLater:
            return "SSB"

    def file(self) -> Path:
        """Name the file of the pack in force; raises TryLater (tpf.no_season) while another lies in its place."""
        self.current()
        path = self._settings.pack
        if path is None or self._good is None or self._good[0] != _stamp(path):
            raise TryLater("tpf.no_season")
        return path

    def _read(self, path: Path, stamp: _Stamp) -> None:
        root = PublicKey.parse(self._settings.trusted_root) if self._settings.trusted_root else None
        try:
            pack = SeasonPack.load(path, root, self._settings.environment)
            _note_version(pack)
        except IpisError as error:
            get_logger().error("season pack is refused", code=error.code, in_force=self._good is not None)
            self._refused = stamp
        else:
            self._good, self._refused = (stamp, pack), None


def _stamp(path: Path) -> _Stamp:
    facts = path.stat()
    return facts.st_mtime_ns, facts.st_ino, facts.st_size


def _note_version(pack: SeasonPack) -> None:
    """Refuse a version below the highest that any process of the room has seen, or remember it as that."""
    from ipis.tpf.models import SeenPack

    row, _ = SeenPack.objects.get_or_create(register=pack.register, year=pack.year, defaults={"version": pack.version})
    pack.refuse_older(row.version)
    SeenPack.objects.filter(pk=row.pk, version__lt=pack.version).update(version=pack.version)
