"""The interface that TPF forwards to: members one by one, any number of times, then the signed hand-over."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from ipis.kernel.errors import IpisError, Misuse, ParcelRefused
from ipis.kernel.messages import Put
from ipis.lib.web.middleware import problem
from ipis.ssb.intake.receive import RowClaims, prove_put, take
from ipis.ssb.intake.staging import Staging
from ipis.ssb.site import room_settings

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_BODY = 8 << 20
_LENGTH = re.compile(r"[0-9]{1,15}", re.ASCII)
CONFLICTS = frozenset({"intake.other_bytes", "intake.sequence", "intake.claimed"})
"""Refusals that name something standing here already: 409."""


def _answers_problems(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    def answer(request: HttpRequest, **kwargs: str) -> HttpResponse:
        try:
            return view(request, **kwargs)
        except IpisError as error:
            return problem(request, error, status=409 if error.code in CONFLICTS else None)

    return answer


@csrf_exempt
@require_http_methods(["PUT"])
@_answers_problems
def member(request: HttpRequest, forsendelse: str, name: str) -> HttpResponse:
    """Store one member durably, if TPF signed the request: 201 when new, 200 when it stood here already."""
    length = request.headers.get("Content-Length", "")
    if not _LENGTH.fullmatch(length):
        raise Misuse("intake.length")
    stream, digest = cast("BinaryIO", request), request.headers.get("Ipis-SHA256", "")
    signed = (request.headers.get("Authorization", ""), request.headers.get("Ipis-Time", ""))
    try:
        prove_put(room_settings(), Put(request.path, digest, int(length)), *signed)
    except ParcelRefused as error:
        # 401 and not 422: it says nothing of the forsendelse, which TPF must keep and try again.
        answer = problem(request, error, status=401)
        answer["WWW-Authenticate"] = "Ipis"
        return answer
    new = Staging.of(room_settings()).put(forsendelse, name, stream, int(length), digest, RowClaims())
    return JsonResponse({"state": "stored"}, status=201 if new else 200)


@csrf_exempt
@require_http_methods(["POST"])
@_answers_problems
def hand_over(request: HttpRequest, forsendelse: str) -> HttpResponse:
    """Take the forsendelse: 202 means that it is durable here and TPF may delete its data parts."""
    raw, armored = _read_body(request)
    row = take(room_settings(), forsendelse, raw, armored)
    return JsonResponse({"state": "received", "forsendelse": row.forsendelse}, status=202)


def _read_body(request: HttpRequest) -> tuple[bytes, bytes]:
    """Read forward.json and its signature; raises Misuse when the body is not the agreed JSON."""
    raw = request.read(_LONGEST_BODY + 1)
    try:
        if len(raw) > _LONGEST_BODY:
            raise ValueError
        body: dict[str, Any] = json.loads(raw)
        if set(body) != {"forward", "signature"}:
            raise ValueError
        return base64.b64decode(body["forward"], validate=True), body["signature"].encode("ascii")
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise Misuse("intake.body") from None
