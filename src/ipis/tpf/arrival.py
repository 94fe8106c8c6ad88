"""A stored file as it lies on disk: read and proved strictly, and its sealed parts laid out in a folder of their own.

No row is written here. What is laid out is durable, names and contents, when `lay_out` returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipis.kernel.forsendelse import Container, extract, read_container, verify
from ipis.kernel.sealed import MAX_HEADER, check_header
from ipis.kernel.signature import signer_of
from ipis.lib.storage import flush_folder
from ipis.tpf.admission import Known, Offer, Sender, judge
from ipis.tpf.faultpoint import reach
from ipis.tpf.models import Forsendelse, Job, Upload
from ipis.tpf.receive import staged
from ipis.tpf.transitions import ParcelState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from ipis.kernel.manifest import Part as ManifestPart
    from ipis.kernel.seasonpack import SeasonPack
    from ipis.tpf.settings import TpfSettings


@dataclass(frozen=True, slots=True)
class Arrival:
    """An upload whose last byte is here, with the job of taking it in."""

    job: Job
    upload: Upload
    at: datetime
    """Business time of the last byte."""

    @property
    def party(self) -> str:
        """Name the municipality and district."""
        return self.upload.enrolment.party


@dataclass(frozen=True, slots=True)
class Offered(Arrival):
    """An arrival whose form is right; nothing in it is proved."""

    container: Container
    offer: Offer


@dataclass(frozen=True, slots=True)
class Proved(Offered):
    """An arrival that may come in, or one of a forsendelse that stands already."""

    standing: Forsendelse | None


@dataclass(frozen=True, slots=True)
class Laid(Offered):
    """An arrival whose sealed parts are laid out durably; none where its forsendelse stood already."""

    parcel: Forsendelse
    parts: tuple[ManifestPart, ...]


def folder(settings: TpfSettings, parcel: Forsendelse) -> Path:
    """Name the folder of a forsendelse's sealed parts."""
    return settings.parcels / str(parcel.pk)


def read(arrival: Arrival, settings: TpfSettings) -> Offered:
    """Read the form of a file; raises ParcelRefused."""
    container = read_container(staged(settings, arrival.upload))
    signer = signer_of(container.signature)
    offer = Offer(container.manifest_bytes, container.signature, container.manifest, signer)
    return Offered(arrival.job, arrival.upload, arrival.at, container, offer)


def prove(offered: Offered, season: SeasonPack, known: Known, settings: TpfSettings) -> Proved:
    """Judge the offer, then compare every byte with it; raises as `admission.judge` does, and ParcelRefused."""
    container, offer, upload = offered.container, offered.offer, offered.upload
    standing = judge(offer, Sender.of_upload(upload), season, offered.at, known)
    if standing is None:
        verify(container, sender=offer.signer, environment=season.environment)
        with staged(settings, upload).open("rb") as file:
            for part in container.parts:
                file.seek(container.archive[part.name].start)
                check_header(file.read(min(part.size, MAX_HEADER)))
    return Proved(offered.job, upload, offered.at, container, offer, standing)


def make_folders(parcels: Iterable[Forsendelse], settings: TpfSettings) -> None:
    """Make the folders of forsendelser that arrive; what a crash has left of them is written over."""
    for parcel in parcels:
        folder(settings, parcel).mkdir(mode=0o700, exist_ok=True)
    flush_folder(settings.parcels)


def lay_out(proved: Proved, parcel: Forsendelse, settings: TpfSettings) -> Laid:
    """Write the members of a file into the forsendelse's folder, each whole or not at all under its name."""
    container = proved.container
    if parcel.state == ParcelState.ARRIVING:
        to = folder(settings, parcel)
        for name in container.archive.names:
            extract(container, name, to / name)
            reach(settings, "receive:half")
        flush_folder(to)
    reach(settings, "receive:unpacked")
    parts = container.parts if parcel.state == ParcelState.ARRIVING else ()
    return Laid(proved.job, proved.upload, proved.at, container, proved.offer, parcel, parts)


def remove_staged(uploads: Iterable[Upload], settings: TpfSettings) -> None:
    """Delete staged files so that they stay deleted; one that is gone already is fine."""
    for upload in uploads:
        staged(settings, upload).unlink(missing_ok=True)
    flush_folder(settings.uploads)


def remove_folder(where: Path) -> None:
    """Delete what is left of a forsendelse, durably; a folder that is gone already is fine."""
    if not where.exists():
        return
    for file in where.iterdir():
        file.unlink()
    flush_folder(where)
    where.rmdir()
    flush_folder(where.parent)


def sweep_folders(settings: TpfSettings) -> None:
    """Delete the folders of forsendelser that have ended, should a crash have left one."""
    over = (ParcelState.REFUSED, ParcelState.DONE, ParcelState.CLOSED)
    # The names first: a row stands before its folder is made, so no folder of this list can lack the row it has.
    folders = list(settings.parcels.iterdir())
    living = {str(pk) for pk in Forsendelse.objects.exclude(state__in=over).values_list("pk", flat=True)}
    for where in folders:
        if where.name not in living:
            remove_folder(where)
