"""Season packs as SSB's processes read them: verified once, then kept until the file changes.

The newest good pack of each year is kept durably in the room's own folder. It is the version that no later pack may be
below, and it stands in while the file that is named is damaged, half copied, or an old one brought back.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from ipis.kernel.environment import Environment
from ipis.kernel.errors import PackRefused, TryLater
from ipis.kernel.seasonpack import SeasonPack
from ipis.kernel.signature import PublicKey
from ipis.lib.log import get_logger
from ipis.lib.storage import flush_folder, write_durably

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipis.ssb.settings import SsbSettings


def pack_of(settings: SsbSettings, register: str, year: int) -> SeasonPack:
    """Give the verified pack of a collection year; raises TryLater where none is in place yet."""
    for pack, _ in packs(settings):
        if (pack.register, pack.year) == (register, year):
            return pack
    raise TryLater("ssb.no_pack", register=register, year=year)


def packs(settings: SsbSettings) -> list[tuple[SeasonPack, Path]]:
    """Give every pack in place with its file, the newest year first; the kept one stands in for a refused one.

    Raises PackRefused when a pack is refused and none is kept.
    """
    found: dict[tuple[str, int], tuple[SeasonPack, Path]] = {}
    refused: PackRefused | None = None
    for path in settings.pack_files:
        try:
            pack = _load(settings, path)
            found[pack.register, pack.year] = _newest(settings, pack, path)
        except PackRefused as error:
            _tell(path, path.stat().st_mtime_ns if path.exists() else 0, error.code)
            refused = error
    if refused is not None:
        for kept in sorted(settings.kept_packs.glob("*.sesong")):
            pack = _load(settings, kept)
            found.setdefault((pack.register, pack.year), (pack, kept))
        if not found:
            raise refused
    return sorted(found.values(), key=lambda each: (each[0].register, -each[0].year))


def _newest(settings: SsbSettings, pack: SeasonPack, path: Path) -> tuple[SeasonPack, Path]:
    """Keep a pack that is newer than the one kept; raises PackRefused for an older one."""
    kept = settings.kept_packs / f"{pack.register}-{pack.year}.sesong"
    if kept.exists() and _load(settings, kept).sha256 == pack.sha256:
        return pack, path
    with _alone(settings.kept_packs):
        if kept.exists():
            pack.refuse_older(_load(settings, kept).version)
        arriving = kept.with_suffix(".ny")
        write_durably(arriving, path.read_bytes())
        if _load(settings, arriving).sha256 == pack.sha256:
            arriving.replace(kept)
            flush_folder(settings.kept_packs)
    return pack, path


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Be the only process that changes what is kept."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _load(settings: SsbSettings, path: Path) -> SeasonPack:
    try:
        changed = path.stat().st_mtime_ns
    except FileNotFoundError:
        raise PackRefused("seasonpack.missing", file=path.name) from None
    return _verified(path, changed, settings.trusted_root, settings.environment)


@lru_cache(maxsize=32)
def _verified(path: Path, _changed: int, trusted_root: str, environment: Environment) -> SeasonPack:
    root = PublicKey.parse(trusted_root) if trusted_root else None
    return SeasonPack.load(path, trusted_root=root, environment=environment)


@lru_cache(maxsize=32)
def _tell(path: Path, _changed: int, code: str) -> None:
    """Log a refusal once for each state of the file, not at each look."""
    get_logger().warning("season pack refused", file=path.name, code=code)
