"""Whether a forsendelse may come in, judged from manifest, login and season alone – before the upload and at its end.

The web process asks to spare a sender a useless upload; what counts is the worker's judgement when all bytes are here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipis.kernel import canonical
from ipis.kernel.calendar import OSLO, Phase
from ipis.kernel.errors import LoginRefused, ParcelRefused, Refused, TryLater
from ipis.kernel.forsendelse import verify_manifest
from ipis.kernel.manifest import Manifest
from ipis.kernel.signature import PublicKey, signer_of
from ipis.tpf.models import Enrolment, Forsendelse, SenderKey
from ipis.tpf.transitions import ACCEPTED, ParcelState

if TYPE_CHECKING:
    from datetime import datetime

    from ipis.kernel.seasonpack import SeasonPack
    from ipis.tpf.models import Session, Upload


_RECIPIENT = {"identity": "tpf", "data": "ssb", "contact": "feedback"}


@dataclass(frozen=True, slots=True)
class Offer:
    """A manifest with the key that claims to have signed it; nothing is proved before `judge`."""

    raw: bytes
    signature: bytes
    manifest: Manifest
    signer: PublicKey

    @property
    def sha256(self) -> str:
        """Give the hash that receipts name."""
        return canonical.sha256(self.raw)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who is logged in, and the sender key they proved at the login, if any."""

    enrolment: Enrolment
    device_key: str

    @classmethod
    def of_session(cls, session: Session) -> Sender:
        """Take the sender of a request."""
        return cls(session.enrolment, session.device_key)

    @classmethod
    def of_upload(cls, upload: Upload) -> Sender:
        """Take the sender of a stored file."""
        return cls(upload.enrolment, upload.device_key)


def read_offer(raw: bytes, signature: bytes) -> Offer:
    """Read a manifest strictly; raises ParcelRefused."""
    return Offer(raw, signature, Manifest.parse(raw), signer_of(signature))


def judge(offer: Offer, sender: Sender, season: SeasonPack, at: datetime) -> Forsendelse | None:
    """Let an offer pass (None), or give the forsendelse as which it is stored already.

    Raises ParcelRefused, Refused, LoginRefused, or TryLater (tpf.not_open). First what it is, then whose, then when.
    """
    verify_manifest(offer.raw, offer.signature, sender=offer.signer, environment=season.environment)
    _check_login(offer, sender.enrolment)
    _check_sender_key(offer, sender)
    standing = _standing(offer)
    if standing is not None:
        return standing
    _check_season(offer, season, at)
    check_open(season, at)
    _check_sequence(offer, sender.enrolment)
    return None


def check_open(season: SeasonPack, at: datetime) -> Phase:
    """Give the phase of an instant; raises TryLater (tpf.not_open) with the opening instant before the window."""
    window = season.collection.window
    phase = window.phase(at)
    if phase is Phase.BEFORE:
        opens_at = window.opens_at.astimezone(OSLO).strftime("%Y-%m-%d %H:%M")
        raise TryLater("tpf.not_open", year=season.year, opens_at=opens_at)
    return phase


def _check_login(offer: Offer, enrolment: Enrolment) -> None:
    """Require (K009) that the forsendelse is of the municipality, district and organisation number that logged in."""
    facts = offer.manifest.facts
    if (facts.kommune, facts.bydel, facts.orgnr) != (enrolment.kommune, enrolment.bydel, enrolment.orgnr):
        raise ParcelRefused(
            "tpf.other_municipality",
            rule="K009",
            found=f"{facts.kommune}-{facts.bydel}",
            expected=f"{enrolment.kommune}-{enrolment.bydel}",
        )


def _check_sender_key(offer: Offer, sender: Sender) -> None:
    """Require the enrolled key; before there is one, the key that also signed the login's nonce."""
    living = SenderKey.living(sender.enrolment.kommune, sender.enrolment.bydel)
    key = offer.signer
    if living is not None and key.openssh != living.public:
        raise LoginRefused("tpf.other_key", fingerprint=key.fingerprint, enrolled=living.fingerprint)
    if living is None and key.openssh != sender.device_key:
        raise LoginRefused("tpf.first_send")


def _standing(offer: Offer) -> Forsendelse | None:
    """Find the accepted forsendelse of the same id; the same bytes are a retry, others are refused."""
    taken = (
        Forsendelse.objects.filter(identifier=offer.manifest.facts.forsendelse)
        .exclude(state__in=[ParcelState.ARRIVING, ParcelState.REFUSED])
        .first()
    )
    if taken is not None and taken.manifest_sha256 != offer.sha256:
        raise Refused("tpf.id_taken", forsendelse=taken.identifier)
    return taken


def _check_season(offer: Offer, season: SeasonPack, at: datetime) -> None:
    """Require the open year (K005), sealed (K002) to keys that the season pack still accepts."""
    facts = offer.manifest.facts
    if (facts.register, facts.year) != (season.register, season.year):
        raise ParcelRefused("tpf.other_year", rule="K005", found=facts.year, expected=season.year)
    for part in offer.manifest.parts:
        if part.key_id not in season.accepted_key_ids(_RECIPIENT[part.role], at):
            raise ParcelRefused("tpf.other_recipient", rule="K002", part=part.name, key=part.key_id, year=season.year)


def _check_sequence(offer: Offer, enrolment: Enrolment) -> None:
    accepted = Forsendelse.objects.filter(
        enrolment__kommune=enrolment.kommune,
        enrolment__bydel=enrolment.bydel,
        year=offer.manifest.facts.year,
        state__in=ACCEPTED,
    )
    newest = accepted.order_by("-sequence").values_list("sequence", flat=True).first()
    if newest is not None and offer.manifest.facts.sequence <= newest:
        raise Refused("tpf.sequence", found=offer.manifest.facts.sequence, newest=newest)
