"""Season packs as SSB's processes read them: verified once, then kept until the file changes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from ipis.kernel.environment import Environment
from ipis.kernel.errors import TryLater
from ipis.kernel.seasonpack import SeasonPack
from ipis.kernel.signature import PublicKey

if TYPE_CHECKING:
    from pathlib import Path

    from ipis.ssb.settings import SsbSettings


def pack_of(settings: SsbSettings, register: str, year: int) -> SeasonPack:
    """Give the verified pack of a collection year; raises TryLater where none is in place yet."""
    for pack, _ in packs(settings):
        if (pack.register, pack.year) == (register, year):
            return pack
    raise TryLater("ssb.no_pack", register=register, year=year)


def packs(settings: SsbSettings) -> list[tuple[SeasonPack, Path]]:
    """Give every pack in place with its file, the newest year first."""
    root, environment = settings.trusted_root, settings.environment
    found = [(_load(path, path.stat().st_mtime_ns, root, environment), path) for path in settings.pack_files]
    return sorted(found, key=lambda each: (each[0].register, -each[0].year))


@lru_cache(maxsize=16)
def _load(path: Path, _changed: int, trusted_root: str, environment: Environment) -> SeasonPack:
    root = PublicKey.parse(trusted_root) if trusted_root else None
    return SeasonPack.load(path, trusted_root=root, environment=environment)
