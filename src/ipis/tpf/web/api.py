"""The interface for programs: login, announcing a forsendelse, its state and receipts, receipts of SSB."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from pydantic import Field

from ipis.kernel.errors import IpisError, LoginRefused, Misuse, Refused, TryLater
from ipis.kernel.receipt import SignedReceipt
from ipis.kernel.secret import Secret
from ipis.lib.web.middleware import request_language
from ipis.tpf import admission, receipts, waiting
from ipis.tpf.desk import desk
from ipis.tpf.login import Attempt, login, require_known_device, tell_foreign_key
from ipis.tpf.models import Forsendelse, ReceiptRow
from ipis.tpf.web.edge import LARGEST_LOGIN, Body, client_address, interface, read_body, seconds, session

if TYPE_CHECKING:
    from collections.abc import Iterable


_LARGEST_RECEIPT = 256 << 10


class LoginBody(Body):
    """The four fields, and the proof of the sender key."""

    kommune: str = Field(max_length=8)
    bydel: str = Field(max_length=4)
    orgnr: str = Field(max_length=16)
    pin: str = Field(max_length=128)
    sender_key: str = Field(default="", max_length=200)
    nonce: str = Field(default="", max_length=200)
    signature: str = Field(default="", max_length=2000)


class AnnounceBody(Body):
    """A manifest and its signature, before the bytes."""

    manifest: str = Field(max_length=6 << 20)
    signature: str = Field(max_length=4000)


class ReceiptBody(Body):
    """A receipt of SSB."""

    receipt: str = Field(max_length=200_000)
    signature: str = Field(max_length=4000)


@interface("GET")
def health(_request: HttpRequest) -> HttpResponse:
    """Tell that the room answers."""
    return JsonResponse({"room": "tpf"})


@interface("POST")
def challenge(_request: HttpRequest) -> HttpResponse:
    """Give a nonce to sign."""
    return JsonResponse({"nonce": desk().new_nonce()})


@interface("POST")
def log_in(request: HttpRequest) -> HttpResponse:
    """Let a municipality in."""
    body = read_body(request, LoginBody, LARGEST_LOGIN)
    attempt = Attempt(
        kommune=body.kommune,
        bydel=body.bydel,
        orgnr=body.orgnr,
        pin=Secret(body.pin),
        sender_key=body.sender_key,
        nonce=body.nonce,
        signature=body.signature,
        address=client_address(request, desk().settings),
    )
    return JsonResponse({"token": login(attempt, desk())})


@interface("POST")
def announce(request: HttpRequest) -> HttpResponse:
    """Judge a manifest before its files are uploaded; one that is stored already gives its state instead."""
    own = session(request)
    body = read_body(request, AnnounceBody)
    offer = admission.read_offer(_decode(body.manifest), body.signature.encode())
    sender, known = admission.Sender.of_session(own), admission.Known.of([offer])
    try:
        stored = admission.judge(offer, sender, desk().season.current(), desk().clock.now(), known)
    except LoginRefused as error:
        if error.code == "tpf.other_key":
            tell_foreign_key(own.enrolment, offer.signer.fingerprint, desk())
        raise
    state = {"state": "wanted", "receipts": []} if stored is None else parcel_state(request, stored)
    return JsonResponse({"forsendelse": offer.manifest.facts.forsendelse} | state)


@interface("GET")
def parcel(request: HttpRequest, identifier: str) -> HttpResponse:
    """Tell where a forsendelse is; waits up to `?wait=` seconds for its identities to be opened."""
    found = waiting.opened(receipts.find_parcel(identifier, session(request)), seconds(request))
    return JsonResponse({"forsendelse": identifier} | parcel_state(request, found))


@interface("GET")
def parcel_receipts(request: HttpRequest, identifier: str) -> HttpResponse:
    """Give the receipts of one forsendelse; raises TryLater (tpf.no_receipt_yet) before R1."""
    found = receipts.find_parcel(identifier, session(request))
    rows = list(found.receipts.all())
    problem = found.problem()
    if not rows and problem is not None:
        raise problem
    if not rows:
        raise TryLater("tpf.no_receipt_yet", forsendelse=identifier)
    return JsonResponse(_listed(rows), safe=False)


@interface("GET", "POST")
def all_receipts(request: HttpRequest) -> HttpResponse:
    """GET: every receipt of the municipality so far. POST: take in a receipt of SSB's."""
    if request.method == "POST":
        body = read_body(request, ReceiptBody, _LARGEST_RECEIPT)
        signed = SignedReceipt(_decode(body.receipt), body.signature.encode())
        taken = receipts.take_in(signed, desk().season.current())
        return JsonResponse({"state": "stored"}, status=201 if taken else 200)
    own = session(request)
    require_known_device(own)
    year = request.GET.get("year", "")
    if year and not (year.isascii() and year.isdigit() and len(year) == 4):
        raise Misuse("tpf.body", fields="year")
    rows = ReceiptRow.objects.filter(
        forsendelse__enrolment__kommune=own.enrolment.kommune, forsendelse__enrolment__bydel=own.enrolment.bydel
    ).select_related("forsendelse")
    return JsonResponse(_listed(rows.filter(forsendelse__year=int(year)) if year else rows), safe=False)


@interface("GET")
def season_pack(_request: HttpRequest, name: str) -> HttpResponseBase:
    """Mirror the season pack that SSB publishes, byte for byte."""
    pack = desk().season.current()
    if name != f"{pack.register}-{pack.year}.sesong":
        raise Refused("tpf.no_such_pack", name=name[:40])
    return FileResponse(desk().season.file().open("rb"), content_type="application/zip")


def parcel_state(request: HttpRequest, found: Forsendelse) -> dict[str, object]:
    """Say where a forsendelse is: state, receipts so far, and the problem where it was refused."""
    return {
        "state": found.state,
        "receipts": list(found.receipts.values_list("kind", flat=True)),
        **problem_field(request, found.problem()),
    }


def problem_field(request: HttpRequest, error: IpisError | None) -> dict[str, object]:
    """Say a stored refusal again in the reader's language."""
    if error is None:
        return {"problem": None}
    told = error.as_dict(request_language(request))
    return {"problem": told | ({"rule": error.rule} if error.rule else {})}


def _listed(rows: Iterable[ReceiptRow]) -> list[dict[str, str]]:
    return [
        {
            "forsendelse": row.forsendelse.identifier,
            "kind": row.kind,
            "receipt": base64.b64encode(bytes(row.content)).decode(),
            "signature": row.signature,
        }
        for row in rows
    ]


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Misuse("tpf.body", fields="base64") from error
