"""The season pack as the municipality opens it: trusted by the settings' root, or in demo and test at first use."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ipis.kernel.seasonpack import SeasonPack
from ipis.kommune.keyring import Keyring
from ipis.kommune.settings import KommuneSettings


def load_season(pack: Path, keyring: Path | None) -> tuple[SeasonPack, Keyring]:
    """Open keyring and pack; a root that is trusted for the first time is told on stderr."""
    settings = KommuneSettings.load()
    season = SeasonPack.load(pack, trusted_root=settings.trusted_root)
    ring = Keyring.open(keyring, settings)
    new_root = ring.trust(season)
    if new_root is not None and settings.trusted_root is None:
        Console(stderr=True, highlight=False).print(
            f"trusted at first use ({season.environment}): root {new_root.fingerprint}", style="yellow", soft_wrap=True
        )
    return season, ring
