"""Whether a forsendelse may come in, judged from manifest, login and season alone – before the upload and at its end.

The web process asks to spare a sender a useless upload; what counts is the worker's judgement when all bytes are here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Max

from ipis.kernel import canonical
from ipis.kernel.calendar import OSLO, Phase
from ipis.kernel.errors import LoginRefused, ParcelRefused, Refused, TryLater
from ipis.kernel.forsendelse import verify_manifest
from ipis.kernel.manifest import MANIFEST, SIGNATURE, Manifest
from ipis.kernel.signature import PublicKey, signer_of
from ipis.tpf.models import Enrolment, Forsendelse, SenderKey
from ipis.tpf.transitions import ACCEPTED, UNACCEPTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
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

    @property
    def members(self) -> set[str]:
        """Give the names of all that makes the forsendelse whole."""
        return {MANIFEST, SIGNATURE, *(part.name for part in self.manifest.parts)}


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


@dataclass(frozen=True, slots=True)
class Known:
    """What stands here already that offers are judged against, read for all of them at once."""

    keys: Mapping[tuple[str, str], SenderKey]
    """The living sender key of a municipality and district."""
    taken: Mapping[str, Forsendelse]
    """The accepted forsendelse of an id."""
    newest: Mapping[tuple[str, str, int], int]
    """The highest sequence accepted of a municipality, district and year."""

    @classmethod
    def of(cls, offers: Sequence[Offer]) -> Known:
        """Read what stands at this moment."""
        facts = [offer.manifest.facts for offer in offers]
        kommuner = {its.kommune for its in facts}
        living = SenderKey.objects.filter(kommune__in=kommuner, released_at=None)
        taken = Forsendelse.objects.filter(identifier__in=[its.forsendelse for its in facts])
        accepted = Forsendelse.objects.filter(enrolment__kommune__in=kommuner, state__in=ACCEPTED)
        newest = accepted.values_list("enrolment__kommune", "enrolment__bydel", "year").annotate(newest=Max("sequence"))
        return cls(
            keys={(key.kommune, key.bydel): key for key in living},
            taken={each.identifier: each for each in taken.exclude(state__in=UNACCEPTED)},
            newest={(kommune, bydel, year): sequence for kommune, bydel, year, sequence in newest},
        )


def read_offer(raw: bytes, signature: bytes) -> Offer:
    """Read a manifest strictly; raises ParcelRefused."""
    return Offer(raw, signature, Manifest.parse(raw), signer_of(signature))


def judge(offer: Offer, sender: Sender, season: SeasonPack, at: datetime, known: Known) -> Forsendelse | None:
    """Let an offer pass (None), or give the forsendelse as which it is stored already.

    Raises ParcelRefused, Refused, LoginRefused, or TryLater (tpf.not_open). First what it is, then whose, then when.
    """
    verify_manifest(offer.raw, offer.signature, sender=offer.signer, environment=season.environment)
    _check_login(offer, sender.enrolment)
    return judge_again(offer, sender, season, at, known)


def judge_again(offer: Offer, sender: Sender, season: SeasonPack, at: datetime, known: Known) -> Forsendelse | None:
    """Judge as `judge` does an offer that is proved already, by what is known now."""
    _check_sender_key(offer, sender, known)
    standing = _standing(offer, known)
    if standing is not None:
        return standing
    _check_season(offer, season, at)
    check_open(season, at)
    _check_sequence(offer, known)
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


def _check_sender_key(offer: Offer, sender: Sender, known: Known) -> None:
    """Require the enrolled key; before there is one, the key that also signed the login's nonce."""
    living = known.keys.get((sender.enrolment.kommune, sender.enrolment.bydel))
    key = offer.signer
    if living is not None and key.openssh != living.public:
        raise LoginRefused("tpf.other_key", fingerprint=key.fingerprint, enrolled=living.fingerprint)
    if living is None and key.openssh != sender.device_key:
        raise LoginRefused("tpf.first_send")


def _standing(offer: Offer, known: Known) -> Forsendelse | None:
    """Find the accepted forsendelse of the same id; the same bytes are a retry, others are refused."""
    taken = known.taken.get(offer.manifest.facts.forsendelse)
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


def _check_sequence(offer: Offer, known: Known) -> None:
    facts = offer.manifest.facts
    newest = known.newest.get((facts.kommune, facts.bydel, facts.year))
    if newest is not None and facts.sequence <= newest:
        raise Refused("tpf.sequence", found=facts.sequence, newest=newest)
