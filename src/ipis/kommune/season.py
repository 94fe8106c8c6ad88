"""The season pack as the municipality opens it: trusted by the settings' root, or in demo and test at first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from ipis.kernel.errors import PackRefused
from ipis.kernel.seasonpack import SeasonPack
from ipis.kommune.keyring import Keyring
from ipis.kommune.settings import KommuneSettings
from ipis.lib.settings import user_language

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def tell_trust(season: SeasonPack) -> None:
    """Say on stderr that a root is trusted for the first time."""
    first = PackRefused("keyring.first_use", environment=season.environment, fingerprint=season.root.fingerprint)
    said = first.render(user_language())
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"{said.found}. {said.do}.", style="yellow")


def load_season(
    pack: Path, keyring: Path | None, new_root: Callable[[SeasonPack], None] = tell_trust
) -> tuple[SeasonPack, Keyring]:
    """Open keyring and pack; `new_root` is called with a pack whose root is trusted for the first time."""
    settings = KommuneSettings.load()
    season = SeasonPack.load(pack, trusted_root=settings.trusted_root)
    ring = Keyring.open(keyring, settings)
    if ring.trust(season) is not None and settings.trusted_root is None:
        new_root(season)
    return season, ring
