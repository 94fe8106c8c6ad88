"""The season pack in force, as the settings name it; definitions, keys and municipalities come from nowhere else."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ipis.kernel.errors import TryLater
from ipis.kernel.seasonpack import SeasonPack
from ipis.kernel.signature import PublicKey

if TYPE_CHECKING:
    from ipis.tpf.settings import TpfSettings


class Season:
    """The season pack in force, read again when its file has been replaced."""

    def __init__(self, settings: TpfSettings) -> None:
        """Take the room's settings; nothing is read before it is asked for."""
        self._settings = settings
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, int], SeasonPack] | None = None

    def current(self) -> SeasonPack:
        """Give the pack; raises TryLater (tpf.no_season) while there is none, PackRefused when it is not trusted."""
        path = self._settings.pack
        if path is None or not path.exists():
            raise TryLater("tpf.no_season")
        facts = path.stat()
        stamp = (facts.st_mtime_ns, facts.st_ino)
        with self._lock:
            if self._read is None or self._read[0] != stamp:
                root = PublicKey.parse(self._settings.trusted_root) if self._settings.trusted_root else None
                pack = SeasonPack.load(path, root, self._settings.environment)
                if self._read is not None and self._read[1].year == pack.year:
                    pack.refuse_older(self._read[1].version)
                self._read = (stamp, pack)
            return self._read[1]
