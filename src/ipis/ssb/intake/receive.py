"""Takes a forsendelse that TPF hands on: what TPF vouches for is proved, then a durable row is the acknowledgement.

The order of the proofs: TPF's signature, every member's size and hash, manifest and sender, R1 and R2, the facts of the
season pack, then what stands here already. Nothing is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.db import IntegrityError, transaction

from ipis.kernel import messages, signature
from ipis.kernel.calendar import receipt_instant
from ipis.kernel.canonical import sha256 as sha256_of
from ipis.kernel.collection import ReceiptAfter
from ipis.kernel.errors import ParcelRefused, TryLater
from ipis.kernel.forsendelse import verify_manifest
from ipis.kernel.manifest import MANIFEST, SIGNATURE
from ipis.kernel.receipt import Kind, SignedReceipt, check_tree
from ipis.kernel.signature import PublicKey
from ipis.lib.storage import Stored, measure
from ipis.ssb.intake.models import DueMail, Forsendelse, MailKind, Member
from ipis.ssb.intake.staging import SMALL_MAX_BYTES, Staging
from ipis.ssb.intake.transitions import State
from ipis.ssb.packs import pack_of, packs
from ipis.ssb.register import kvittering
from ipis.ssb.register.models import AuditEvent, Job

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime
    from pathlib import Path

    from ipis.kernel.manifest import Manifest
    from ipis.kernel.messages import Forward
    from ipis.kernel.seasonpack import SeasonPack
    from ipis.ssb.settings import SsbSettings

LOAD: Final = "load"
"""The kind of job that loads a forsendelse; its subject is the id."""
_SMALL: Final = ("manifest.json", "manifest.json.sig", "R1.json", "R1.json.sig", "R2.json", "R2.json.sig")
_FACTS: Final = ("environment", "forsendelse", "register", "year", "kommune", "bydel", "orgnr", "sequence")


@dataclass(frozen=True, slots=True)
class Proved:
    """What has been proved of a forsendelse before it is taken."""

    forward: Forward
    forward_sha256: str
    manifest: Manifest
    receipts: tuple[SignedReceipt, SignedReceipt]


def take(settings: SsbSettings, forsendelse: str, raw: bytes, armored: bytes) -> Forsendelse:
    """Prove and take a forsendelse; the same one again gives the same row. Raises ParcelRefused or TryLater."""
    forward = messages.Forward.parse(raw)
    messages.verify_environment(forward.environment, settings.environment)
    if forward.forsendelse != forsendelse:
        raise ParcelRefused("intake.address")
    pack, now = pack_of(settings, forward.register, forward.year), settings.business_clock().now()
    signature.verify(raw, armored, messages.FORWARD, pack.signing_keys("tpf-forward", now))
    if standing := Forsendelse.objects.filter(forsendelse=forsendelse).first():
        return _again(standing, forward)
    # No member may be replaced between its proof and the row.
    with Staging.of(settings).locked(forsendelse):
        proved = _prove(settings, pack, forward, sha256_of(raw))
        return _store(proved, pack, now)


def prove_put(settings: SsbSettings, put: messages.Put, authorization: str, at: str) -> None:
    """Prove, before a byte is written, that a member comes from TPF; raises ParcelRefused, or TryLater without a pack.

    Which year it belongs to is not known yet: the key may be that of any pack in place.
    """
    now = settings.business_clock().now()
    keys = [key for pack, _ in packs(settings) for key in pack.signing_keys("tpf-forward", now)]
    put.verify(authorization, at, keys)


class RowClaims:
    """What the rows have claimed of intake's folder: neither replaced nor, once deleted, brought back."""

    def stands(self, forsendelse: str, name: str, stored: Stored) -> bool:
        """Tell whether this very member belongs to a taken forsendelse; raises ParcelRefused for other bytes."""
        if not Forsendelse.objects.filter(forsendelse=forsendelse).exists():
            return False
        members = Member.objects.filter(forsendelse__forsendelse=forsendelse, name=name)
        if not members.filter(size=stored.size, sha256=stored.sha256).exists():
            raise ParcelRefused("intake.claimed")
        return True

    def unclaimed(self, forsendelser: Collection[str]) -> int:
        """Tell how many of these have not been taken."""
        return len(set(forsendelser).difference(Forsendelse.objects.values_list("forsendelse", flat=True)))


def _again(standing: Forsendelse, forward: Forward) -> Forsendelse:
    """Answer a repeated hand-over; other bytes under the same id are refused."""
    if standing.manifest_sha256 != forward.manifest_sha256:
        raise ParcelRefused("intake.other_bytes")
    return standing


def _prove(settings: SsbSettings, pack: SeasonPack, forward: Forward, forward_sha256: str) -> Proved:
    staging = Staging.of(settings)
    members = messages.names(forward.members)
    small = {}
    for name, file in members.items():
        path = staging.path(forward.forsendelse, name)
        if not path.exists():
            raise TryLater("intake.member_missing", member=name)
        if measure(path) != Stored(file.size, file.sha256):
            raise ParcelRefused("intake.hash", member=name)
        if name in _SMALL:
            small[name] = _read_small(path)
    if missing := [name for name in (*_SMALL, "contact.age", "mapping-0001.age") if name not in members]:
        raise ParcelRefused("intake.member_lacking", member=missing[0])
    manifest = _prove_manifest(settings, forward, small[MANIFEST], small[SIGNATURE])
    receipts = _prove_receipts(settings, pack, forward, small)
    _prove_sender(pack, forward)
    return Proved(forward, forward_sha256, manifest, receipts)


def _read_small(path: Path) -> bytes:
    if path.stat().st_size > SMALL_MAX_BYTES:
        raise ParcelRefused("intake.member_size", member=path.name)
    return path.read_bytes()


def _prove_manifest(settings: SsbSettings, forward: Forward, raw: bytes, armored: bytes) -> Manifest:
    """Prove that the sender whom TPF vouches for signed this manifest, and that it says what TPF says."""
    if sha256_of(raw) != forward.manifest_sha256:
        raise ParcelRefused("intake.manifest_differs", field="sha256")
    sender = PublicKey.parse(forward.sender)
    manifest = verify_manifest(raw, armored, sender=sender, environment=settings.environment)
    for fact in _FACTS:
        if getattr(manifest.facts, fact) != getattr(forward, fact):
            raise ParcelRefused("intake.manifest_differs", rule="K009", field=fact)
    expected = {part.name: (part.size, part.sha256) for part in manifest.parts if part.role != "identity"}
    found = {f.name: (f.size, f.sha256) for f in forward.members if f.name.startswith(("data-", "contact"))}
    if expected != found:
        raise ParcelRefused("intake.manifest_differs", rule="K003", field="parts")
    mappings = sorted(f.name for f in forward.members if f.name.startswith("mapping-"))
    if mappings != [f"mapping-{k:04d}.age" for k in range(1, len(mappings) + 1)]:
        raise ParcelRefused("intake.member_lacking", rule="K003", member="mapping")
    return manifest


def _prove_receipts(
    settings: SsbSettings, pack: SeasonPack, forward: Forward, small: dict[str, bytes]
) -> tuple[SignedReceipt, SignedReceipt]:
    """Prove R1 and R2: TPF's, of this forsendelse, one caused by the other, and no other phase than TPF forwards."""
    first, second = (SignedReceipt(small[f"{kind}.json"], small[f"{kind}.json.sig"]) for kind in ("R1", "R2"))
    # A receipt signed before its key was replaced stays good; the instant is proved to be R1's below.
    keys = pack.signing_keys("tpf-receipt", forward.received_at)
    for signed, kind in ((first, Kind.R1), (second, Kind.R2)):
        receipt = signed.verify(keys, settings.environment)
        facts = all(getattr(receipt, fact) == getattr(forward, fact) for fact in _FACTS if fact != "orgnr")
        if receipt.kind is not kind or not facts or receipt.manifest_sha256 != forward.manifest_sha256:
            raise ParcelRefused("intake.receipt_differs", kind=kind.value)
    check_tree((first, second))
    received = first.receipt
    if received.phase != forward.phase or received.at != forward.received_at:
        raise ParcelRefused("intake.receipt_differs", kind="R1")
    return first, second


def _prove_sender(pack: SeasonPack, forward: Forward) -> None:
    """Prove that the sender may report under these numbers in this year (K007, K008, K010)."""
    collection = pack.collection
    if forward.kommune not in collection.kommuner:
        raise ParcelRefused("intake.kommune", rule="K007", kommune=forward.kommune, year=forward.year)
    if forward.bydel not in pack.bydeler(forward.kommune):
        raise ParcelRefused("intake.bydel", rule="K008", kommune=forward.kommune, bydel=forward.bydel)
    if pack.orgnr_of(forward.kommune) != forward.orgnr:
        raise ParcelRefused("intake.orgnr", rule="K010", kommune=forward.kommune)


def _store(proved: Proved, pack: SeasonPack, at: datetime) -> Forsendelse:
    """Write the row, members, TPF's receipts, job and due mail in one transaction: that is the acknowledgement."""
    forward = proved.forward
    try:
        with transaction.atomic():
            row = Forsendelse.objects.create(
                forsendelse=forward.forsendelse,
                state=State.RECEIVED,
                register=forward.register,
                year=forward.year,
                kommune=forward.kommune,
                bydel=forward.bydel,
                orgnr=forward.orgnr,
                sequence=forward.sequence,
                phase=forward.phase,
                arrived_at=forward.received_at,
                taken_at=at,
                forward_sha256=proved.forward_sha256,
                manifest_sha256=forward.manifest_sha256,
                pin_generation=forward.pin_generation,
                key_version=forward.key_version,
                key_check_value=forward.key_check,
            )
            Member.objects.bulk_create(
                Member(forsendelse=row, name=file.name, size=file.size, sha256=file.sha256) for file in forward.members
            )
            for signed in proved.receipts:
                kvittering.store(signed)
            receipt = pack.collection.receipt
            if receipt.after is ReceiptAfter.ARRIVED:
                due_mail(row, MailKind.KVITTERING, receipt_instant(at, receipt.hour))
            Job.queue(LOAD, row.forsendelse)
            AuditEvent.append("forsendelse.received", row.forsendelse, actor="tpf", sequence=row.sequence)
    except IntegrityError:
        # Two hand-overs at once: the other one has stored it, or the sequence is another forsendelse's.
        if standing := Forsendelse.objects.filter(forsendelse=forward.forsendelse).first():
            return _again(standing, forward)
        raise ParcelRefused("intake.sequence", sequence=forward.sequence) from None
    return row


def due_mail(row: Forsendelse, kind: MailKind, at: datetime) -> None:
    """Note a mail to be written at a business instant, once, within the caller's transaction."""
    DueMail.objects.bulk_create([DueMail(forsendelse=row, kind=kind, due_at=at)], ignore_conflicts=True)
