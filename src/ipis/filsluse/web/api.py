"""What `ipis kommune fetch` calls: login, list, download, confirm. Bearer tokens only: no other site can ride along."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST, require_safe

from ipis.filsluse import accounts, files, lockout
from ipis.filsluse.models import Account, Member, Tilbakemelding
from ipis.filsluse.web.sending import send
from ipis.filsluse.web.visitor import bearer_of
from ipis.kernel.errors import LoginRefused, Misuse
from ipis.kernel.fields import write_instant

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from datetime import datetime

_LARGEST_BODY = 64 << 10


@require_GET
def healthz(_request: HttpRequest) -> JsonResponse:
    """Tell that the room answers."""
    return JsonResponse({"room": "filsluse"})


@csrf_exempt
@require_POST
def log_in(request: HttpRequest) -> JsonResponse:
    """Open a session for a program: {user, password} gives {token, device}, and {…, device} of a known one {token}."""
    body = json_body(request, {"user", "password"}, {"device"})
    device = body.get("device", "")
    account, token = accounts.log_in(body["user"], body["password"], device)
    made = {} if lockout.is_known(account, device) else {"device": lockout.remember_device(account)}
    return JsonResponse({"token": token} | made)


@require_GET
def list_files(request: HttpRequest) -> JsonResponse:
    """List the municipality's own zips, newest first."""
    return JsonResponse([_as_json(one) for one in files.listing(_account(request).kommune)], safe=False)


@require_safe
def download(request: HttpRequest, push_id: str, name: str) -> HttpResponse | FileResponse:
    """Send the zip, its receipt or the receipt's signature."""
    one, member = own_member(_account(request), push_id, name)
    return send(request, one, member, by="fetch")


@csrf_exempt
@require_POST
def confirm(request: HttpRequest, push_id: str) -> JsonResponse:
    """Take the word that the zip has arrived whole."""
    one = own(_account(request), push_id)
    files.confirm(one)
    return JsonResponse({"state": one.state})


def own(account: Account, push_id: str) -> Tilbakemelding:
    """Find one of the account's own; another municipality's does not exist."""
    one = files.find(account.kommune, push_id)
    if one is None:
        raise Http404
    return one


def own_member(account: Account, push_id: str, name: str) -> tuple[Tilbakemelding, Member]:
    """Find one file of one of the account's own."""
    one = own(account, push_id)
    member = one.members.filter(name=name).first()
    if member is None:
        raise Http404
    return one, member


def json_body(request: HttpRequest, keys: set[str], optional: AbstractSet[str] = frozenset()) -> dict[str, str]:
    """Read a small JSON object of exactly these texts; raises Misuse for anything else."""
    try:
        raw = request.read(_LARGEST_BODY + 1)
        value = json.loads(raw) if len(raw) <= _LARGEST_BODY else None
    except (ValueError, RecursionError):
        value = None
    if (
        not isinstance(value, dict)
        or not keys <= value.keys() <= keys | optional
        or not all(isinstance(v, str) for v in value.values())
    ):
        raise Misuse("filsluse.body", keys=", ".join(sorted(keys)))
    return value


def _account(request: HttpRequest) -> Account:
    account = bearer_of(request)
    if account is None:
        raise LoginRefused("filsluse.session")
    return account


def _as_json(one: Tilbakemelding) -> dict[str, object]:
    return {
        "id": one.pk,
        "name": one.name,
        "size": one.size,
        "sha256": one.sha256,
        "created_at": write_instant(one.created_at),
        "expires_at": write_instant(one.expires_at),
        "confirmed_at": _maybe(one.confirmed_at),
    }


def _maybe(at: datetime | None) -> str | None:
    return write_instant(at) if at else None
