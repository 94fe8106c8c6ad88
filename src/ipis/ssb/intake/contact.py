"""The sealed contact of a forsendelse: opened in memory, by the feedback worker alone, each time it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipis.kernel.errors import ParcelRefused
from ipis.kernel.manifest import MANIFEST, Manifest
from ipis.kernel.opening import open_contact
from ipis.ssb.intake.staging import Staging

if TYPE_CHECKING:
    from ipis.kernel.contact import Contact
    from ipis.kernel.sealed import Identity
    from ipis.ssb.settings import SsbSettings

CONTACT = "contact.age"


def contact_of(forsendelse: str, settings: SsbSettings, identity: Identity) -> Contact | None:
    """Open the contact of a forsendelse; one that is gone or cannot be opened is as good as none."""
    staging = Staging.of(settings)
    sealed = staging.path(forsendelse, CONTACT)
    if not sealed.exists():
        return None
    manifest = Manifest.parse(staging.path(forsendelse, MANIFEST).read_bytes())
    try:
        return open_contact(sealed.read_bytes(), manifest.part(CONTACT), manifest.facts, identity)
    except ParcelRefused:
        return None
