"""What the portal takes from the season pack: SSB's public push keys, password rules, what the register is called."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ipis.filsluse.password_rules import PasswordRules
from ipis.filsluse.site import room_settings
from ipis.kernel.errors import Misuse
from ipis.kernel.seasonpack import SeasonPack
from ipis.kernel.signature import PublicKey

if TYPE_CHECKING:
    from collections.abc import Mapping


def push_keys() -> list[PublicKey]:
    """Give the keys that a push or a request of SSB may be signed with; raises Misuse without a pack."""
    return list(_pack().signing_keys("ssb-push", room_settings().business_clock().now()))


def password_rules() -> PasswordRules:
    """Give the rules of the collection, never below those of the settings."""
    asked = _pack().collection.password.minimum_length
    return PasswordRules(least=max(room_settings().password_length, asked))


@dataclass(frozen=True, slots=True)
class Register:
    """What the portal is put up for: the register's title in each language, as "IPLOS", and whom to ask about it."""

    title: Mapping[str, str]
    contact: str


def register() -> Register:
    """Give the register whose pack the portal trusts; raises Misuse without one."""
    collection = _pack().collection
    return Register(collection.title, room_settings().contact or collection.addresses["ssb"])


def _pack() -> SeasonPack:
    path = room_settings().pack
    if path is None or not path.is_file():
        raise Misuse("filsluse.no_pack")
    return _load(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _load(path: Path, _changed_at: int) -> SeasonPack:
    """Read and verify the pack once for each version of the file."""
    settings = room_settings()
    root = PublicKey.parse(settings.trusted_root) if settings.trusted_root else None
    return SeasonPack.load(path, trusted_root=root, environment=settings.environment)
