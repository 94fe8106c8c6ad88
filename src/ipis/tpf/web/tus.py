"""Uploads by tus 1.0.0: creation, HEAD, PATCH, with checksum and expiration; GET tells what became of the file.

Creating the same file twice gives the same upload, so a creation whose answer was lost may be repeated.
"""

from __future__ import annotations

import base64
import binascii
import re
from email.utils import format_datetime
from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse

from ipis.kernel.errors import Misuse
from ipis.tpf import admission, receive, waiting
from ipis.tpf.desk import desk
from ipis.tpf.transitions import UploadState
from ipis.tpf.web.api import parcel_state, problem_field
from ipis.tpf.web.edge import interface, seconds, session

if TYPE_CHECKING:
    from ipis.tpf.models import Upload

VERSION = "1.0.0"
_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)


@interface("POST", "OPTIONS")
def uploads(request: HttpRequest) -> HttpResponse:
    """POST: open an upload. OPTIONS: say what is spoken here."""
    if request.method == "OPTIONS":
        most = str(desk().settings.max_upload_bytes)
        return _answer(204, **_SPOKEN, **{"Tus-Max-Size": most})
    _require_version(request)
    own = session(request)
    admission.check_open(desk().season.current(), desk().clock.now())
    sha256 = _metadata(request).get("sha256", "")
    if not re.fullmatch(r"([0-9a-f]{64})?", sha256, re.ASCII):
        raise Misuse("tpf.tus", header="Upload-Metadata")
    upload = receive.begin(own, _number(request, "Upload-Length"), sha256, desk())
    return _answer(201, **_place(upload), Location=reverse("tpf-upload", args=[upload.public_id]))


@interface("HEAD", "PATCH", "GET")
def upload(request: HttpRequest, public_id: str) -> HttpResponse:
    """HEAD: how far it is. PATCH: the next bytes. GET: what became of the file."""
    own = session(request)
    found = receive.find(public_id, own)
    if request.method == "GET":
        return JsonResponse(_state(request, waiting.judged(found, seconds(request))))
    _require_version(request)
    if request.method == "HEAD":
        return _answer(200, **_place(found))
    if request.content_type != "application/offset+octet-stream":
        raise Misuse("tpf.tus", header="Content-Type")
    chunk = receive.Chunk(
        _number(request, "Upload-Offset"), _number(request, "Content-Length"), request, _checksum(request)
    )
    found = receive.append(found, chunk, own, desk())
    if found.state == UploadState.STORED:
        found = waiting.judged(found, desk().settings.receipt_wait_seconds)
    return _answer(204, **_place(found), **_outcome(found))


_SPOKEN = {
    "Tus-Version": VERSION,
    "Tus-Extension": "creation,checksum,expiration",
    "Tus-Checksum-Algorithm": "sha256",
}


def _outcome(found: Upload) -> dict[str, str]:
    """Say in headers what became of a complete file, or where that will be told."""
    told = {"Ipis-State": found.state}
    if found.forsendelse is not None:
        receipts = reverse("tpf-receipts", args=[found.forsendelse.identifier])
        told |= {"Ipis-State": found.forsendelse.state, "Ipis-Kvitteringer": receipts}
    return told


def _state(request: HttpRequest, found: Upload) -> dict[str, object]:
    told: dict[str, object] = {"offset": found.offset, "length": found.length, "forsendelse": None, "receipts": []}
    if found.forsendelse is None:
        return told | {"state": found.state} | problem_field(request, found.problem())
    return told | {"forsendelse": found.forsendelse.identifier} | parcel_state(request, found.forsendelse)


def _place(found: Upload) -> dict[str, str]:
    expires = {"Upload-Expires": format_datetime(found.expires_at, usegmt=True)}
    place = {"Upload-Offset": str(found.offset), "Upload-Length": str(found.length)}
    return place | (expires if found.state == UploadState.RECEIVING else {})


def _answer(status: int, **headers: str) -> HttpResponse:
    return HttpResponse(status=status, headers={"Tus-Resumable": VERSION, **headers})


def _require_version(request: HttpRequest) -> None:
    if request.headers.get("Tus-Resumable") != VERSION:
        raise Misuse("tpf.tus_version", version=VERSION)


def _number(request: HttpRequest, header: str) -> int:
    text = request.headers.get(header, "")
    if not _NUMBER.fullmatch(text):
        raise Misuse("tpf.tus", header=header)
    return int(text)


def _checksum(request: HttpRequest) -> bytes | None:
    text = request.headers.get("Upload-Checksum")
    if text is None:
        return None
    name, _, value = text.partition(" ")
    try:
        digest = base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise Misuse("tpf.tus", header="Upload-Checksum") from error
    if name != "sha256" or len(digest) != 32:
        raise Misuse("tpf.tus", header="Upload-Checksum")
    return digest


def _metadata(request: HttpRequest) -> dict[str, str]:
    """Read `key base64,key base64`; raises Misuse when it is not that."""
    found = {}
    for item in filter(None, (each.strip() for each in request.headers.get("Upload-Metadata", "").split(","))):
        key, _, value = item.partition(" ")
        try:
            found[key] = base64.b64decode(value, validate=True).decode("utf-8")
        except ValueError as error:
            raise Misuse("tpf.tus", header="Upload-Metadata") from error
    return found
