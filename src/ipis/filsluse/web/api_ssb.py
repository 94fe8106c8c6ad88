"""What SSB calls: push files, make them visible, read what happened. Every request is signed by SSB's push key."""

from __future__ import annotations

import base64
import binascii
import re

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from ipis.filsluse import push
from ipis.filsluse.events import OF_FILES
from ipis.filsluse.models import Event
from ipis.filsluse.web.api import json_body
from ipis.kernel.errors import Misuse
from ipis.kernel.fields import HEX64, write_instant

_MOST_EVENTS = 500


@csrf_exempt
@require_http_methods(["PUT"])
def receive(request: HttpRequest, push_id: str, name: str) -> JsonResponse:
    """Take one file, announced by `Content-Length` and `Ipis-SHA256`; nothing is stored before the signature fits."""
    size, sha256 = request.headers.get("Content-Length", ""), request.headers.get("Ipis-SHA256", "")
    if not re.fullmatch(r"[1-9][0-9]{0,15}", size) or not re.fullmatch(HEX64, sha256):
        raise Misuse("filsluse.announce")
    push.check_sender(_headers(request), "PUT", request.get_full_path(), body_sha256=sha256)
    stored = push.receive(push_id, name, request, int(size), sha256)
    return JsonResponse({"name": name, "size": stored.size, "sha256": stored.sha256})


@csrf_exempt
@require_POST
def publish(request: HttpRequest, push_id: str) -> JsonResponse:
    """Make a push visible: {push: base64 of push.json, signature}; the signature is the note's own."""
    body = json_body(request, {"push", "signature"})
    try:
        note = base64.b64decode(body["push"], validate=True)
    except (ValueError, binascii.Error) as error:
        raise Misuse("filsluse.body", keys="push, signature") from error
    one = push.publish(push_id, note, body["signature"].encode("ascii", "replace"))
    return JsonResponse({"id": one.pk, "state": one.state})


@require_GET
def events(request: HttpRequest) -> JsonResponse:
    """Tell what happened to files after event number N, oldest first, at most 500 at a time."""
    push.check_sender(_headers(request), "GET", request.get_full_path())
    after = request.GET.get("after", "0")
    if not re.fullmatch(r"[0-9]{1,15}", after):
        raise Misuse("filsluse.after")
    rows = Event.objects.filter(pk__gt=int(after), kind__in=OF_FILES)[:_MOST_EVENTS]
    return JsonResponse(
        [
            {
                "number": row.pk,
                "kind": row.kind,
                "push": row.push,
                "kommune": row.kommune,
                "name": row.name,
                "at": write_instant(row.at),
            }
            for row in rows
        ],
        safe=False,
    )


def _headers(request: HttpRequest) -> tuple[str, str]:
    return request.headers.get("Authorization", ""), request.headers.get("Ipis-Time", "")
