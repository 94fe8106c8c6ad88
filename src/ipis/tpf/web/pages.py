"""The form page: log in, choose a file, read the receipt; works without JavaScript, and shows the PIN only.

A browser has no sender key of its own: what it sends must be signed by the key that the module has enrolled.
"""

from __future__ import annotations

import tomllib
from contextlib import suppress
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods

from ipis.kernel.calendar import OSLO
from ipis.kernel.errors import IpisError, LoginRefused, Misuse, Refused
from ipis.kernel.secret import Secret
from ipis.lib.web.middleware import request_language
from ipis.tpf import admission, receive, waiting
from ipis.tpf.desk import desk
from ipis.tpf.login import Attempt, login, session_of
from ipis.tpf.models import SenderKey, Session
from ipis.tpf.web.edge import LARGEST_LOGIN, STATUS, client_address, refusal, require_short

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipis.tpf.models import Upload

_COOKIE = "tpf_innlogging"
_FIELDS = ("kommune", "bydel", "orgnr", "pin")
_LONGEST = 128


def _short(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Look at a form's length before its protection reads it: strangers may post, and files would be staged."""

    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        try:
            require_short(request, LARGEST_LOGIN)
        except Misuse as error:
            return refusal(request, error)
        return view(request)

    return answer


@require_http_methods(["GET", "POST"])
@_short
@csrf_protect
def front(request: HttpRequest) -> HttpResponse:
    """Show the four fields, and take them."""
    if request.method == "GET":
        return _page(request, "front")
    try:
        token = login(_attempt(request), desk())
    except IpisError as error:
        given = {name: request.POST.get(name, "") for name in _FIELDS if name != "pin"}
        told = error.render(request_language(request))
        response = _page(request, "front", problem=told, code=error.code, given=given)
        response.status_code = STATUS.get(error.code, 401)
        return response
    response = HttpResponseRedirect(reverse("tpf-send"))
    response.set_cookie(
        _COOKIE,
        token,
        max_age=desk().settings.session_minutes * 60,
        secure=desk().settings.public_url.startswith("https://"),
        httponly=True,
        samesite="Strict",
    )
    return response


@csrf_exempt
@require_http_methods(["GET", "POST"])
def send(request: HttpRequest) -> HttpResponse:
    """Take a file by a plain form; session and length are looked at before a byte of the body is read."""
    try:
        own = _session(request)
        if request.method == "GET":
            return _file_form(request)
        most = desk().settings.max_upload_bytes
        if not 0 < int(request.META.get("CONTENT_LENGTH") or 0) <= most + (64 << 10):
            raise Refused("tpf.upload_large", bytes=request.META.get("CONTENT_LENGTH") or 0, most=most)
        admission.check_open(desk().season.current(), desk().clock.now())
        if SenderKey.living(own.enrolment.kommune, own.enrolment.bydel) is None:
            raise LoginRefused("tpf.first_send")
    except IpisError as error:
        return _refused(request, error)
    request.upload_handlers = [TemporaryFileUploadHandler(request)]
    return _take_file(request)


@csrf_protect
def _file_form(request: HttpRequest) -> HttpResponse:
    return _page(request, "send", enrolment=_session(request).enrolment)


@csrf_protect
def _take_file(request: HttpRequest) -> HttpResponse:
    try:
        own = _session(request)
        file = request.FILES.get("fil")
        if not isinstance(file, TemporaryUploadedFile) or not file.size:
            raise Misuse("tpf.no_file")
        upload = receive.take_whole(own, Path(file.temporary_file_path()), file.size, desk())
    except IpisError as error:
        return _refused(request, error)
    return HttpResponseRedirect(reverse("tpf-receipt-page", args=[upload.public_id]))


@require_http_methods(["GET"])
def receipt(request: HttpRequest, public_id: str) -> HttpResponse:
    """Show what became of a file; waits a little for the worker."""
    try:
        found = receive.find(public_id, _session(request))
    except IpisError as error:
        return _refused(request, error)
    found = waiting.judged(found, desk().settings.receipt_wait_seconds)
    problem = found.problem() or (found.forsendelse.problem() if found.forsendelse else None)
    language = request_language(request)
    told = {"problem": problem.render(language), "code": problem.code} if problem else {}
    return _page(request, "receipt", upload=found, first=_first_receipt(found, language), **told)


@require_http_methods(["POST"])
@_short
@csrf_protect
def leave(request: HttpRequest) -> HttpResponse:
    """End the session."""
    with suppress(LoginRefused):
        _session(request).delete()
    response = HttpResponseRedirect(reverse("tpf-front"))
    response.delete_cookie(_COOKIE)
    return response


def _first_receipt(upload: Upload, language: str) -> dict[str, str] | None:
    row = upload.forsendelse.receipts.filter(kind="R1").first() if upload.forsendelse else None
    if row is None:
        return None
    said = row.signed.receipt
    return {
        "forsendelse": said.forsendelse,
        "code": row.signed.short_code,
        "at": said.at.astimezone(OSLO).strftime("%d.%m.%Y %H:%M"),
        "phase_text": _texts()[language][f"phase_{said.phase}"],
    }


def _attempt(request: HttpRequest) -> Attempt:
    kommune, bydel, orgnr, pin = (request.POST.get(name, "")[:_LONGEST].strip() for name in _FIELDS)
    address = client_address(request, desk().settings)
    return Attempt(kommune, bydel or "00", orgnr, Secret(pin), address=address)


def _session(request: HttpRequest) -> Session:
    return session_of(request.COOKIES.get(_COOKIE, ""))


def _refused(request: HttpRequest, error: IpisError) -> HttpResponse:
    if error.code == "tpf.session":
        return HttpResponseRedirect(reverse("tpf-front"))
    return refusal(request, error)


def _page(request: HttpRequest, name: str, **more: object) -> HttpResponse:
    """Render a page in the reader's language; none of them may be kept by a cache."""
    environment, language = desk().settings.environment, request_language(request)
    text = _texts()[language]
    context = {
        "text": text | {"site": text["site"].format(register=desk().season.register_title(language))},
        "environment": environment.value,
        "synthetic": environment.synthetic,
        **more,
    }
    response = render(request, f"tpf/{name}.html", context)
    response.headers["Cache-Control"] = "no-store"
    return response


@cache
def _texts() -> dict[str, dict[str, str]]:
    return tomllib.loads((Path(__file__).parent / "texts.toml").read_text(encoding="utf-8"))
