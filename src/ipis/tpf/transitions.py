"""Every state of an upload and of a forsendelse at TPF, and the only ways between them."""

from __future__ import annotations

from django.db import models


class UploadState(models.TextChoices):
    """Where one uploaded file is."""

    RECEIVING = "receiving", "bytes are coming in"
    STORED = "stored", "every byte is on disk; the worker will unpack it"
    UNPACKED = "unpacked", "its parts are part of a forsendelse"
    REFUSED = "refused", "the file was not accepted and is deleted"
    EXPIRED = "expired", "abandoned before the last byte, and deleted"


class ParcelState(models.TextChoices):
    """Where one forsendelse is; R1, R2 and R5 come with `received`, `pseudonymised` and `erased`."""

    ARRIVING = "arriving", "some of its files are here"
    RECEIVED = "received", "all is here and durable: R1"
    HELD = "held", "too many distinct persons for the municipality, or too late to count them: waits for staff"
    PSEUDONYMISED = "pseudonymised", "the mapping is sealed to SSB: R2"
    ERASED = "erased", "the sealed identities are deleted: R5"
    FORWARDED = "forwarded", "SSB has it, durable"
    DONE = "done", "the sealed data parts are deleted"
    REFUSED = "refused", "refused before R1; nothing of it is kept"
    REJECTED = "rejected", "refused after R1; its parts are being deleted"
    CLOSED = "closed", "refused after R1; identities deleted (R5) and the other parts too"


ACCEPTED = (
    ParcelState.RECEIVED,
    ParcelState.HELD,
    ParcelState.PSEUDONYMISED,
    ParcelState.ERASED,
    ParcelState.FORWARDED,
    ParcelState.DONE,
)
"""States whose sequence counts: a later forsendelse must exceed it."""

UNACCEPTED = (ParcelState.ARRIVING, ParcelState.REFUSED)
"""States before R1: the id is not taken yet, and may be tried again."""

UPLOAD_TRANSITIONS: dict[UploadState, tuple[UploadState, ...]] = {
    UploadState.RECEIVING: (UploadState.STORED, UploadState.EXPIRED),
    UploadState.STORED: (UploadState.UNPACKED, UploadState.REFUSED),
    UploadState.UNPACKED: (),
    UploadState.REFUSED: (),
    UploadState.EXPIRED: (),
}

PARCEL_TRANSITIONS: dict[ParcelState, tuple[ParcelState, ...]] = {
    ParcelState.ARRIVING: (ParcelState.RECEIVED, ParcelState.REFUSED),
    ParcelState.RECEIVED: (ParcelState.PSEUDONYMISED, ParcelState.HELD, ParcelState.REJECTED),
    ParcelState.HELD: (ParcelState.RECEIVED, ParcelState.REJECTED),
    ParcelState.PSEUDONYMISED: (ParcelState.ERASED,),
    ParcelState.ERASED: (ParcelState.FORWARDED, ParcelState.CLOSED),
    ParcelState.FORWARDED: (ParcelState.DONE,),
    ParcelState.DONE: (),
    ParcelState.REFUSED: (),
    ParcelState.REJECTED: (ParcelState.CLOSED,),
    ParcelState.CLOSED: (),
}


class ForbiddenTransitionError(Exception):
    """A step asked for a way that is not in the table: a defect of ours."""


def check_upload(old: str, new: UploadState) -> None:
    """Raise ForbiddenTransitionError unless the table has the way."""
    if new not in UPLOAD_TRANSITIONS[UploadState(old)]:
        raise ForbiddenTransitionError(f"upload: {old} -> {new.value}")


def check_parcel(old: str, new: ParcelState) -> None:
    """Raise ForbiddenTransitionError unless the table has the way."""
    if new not in PARCEL_TRANSITIONS[ParcelState(old)]:
        raise ForbiddenTransitionError(f"forsendelse: {old} -> {new.value}")
