"""The pages of L17 chapter 4, screen by screen; all work without JavaScript."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from ipis.filsluse import accounts, files, lockout, password_link, trust
from ipis.filsluse.models import Account, Event
from ipis.filsluse.site import room_settings
from ipis.filsluse.web.api import own, own_member
from ipis.filsluse.web.sending import send
from ipis.filsluse.web.texts import text
from ipis.filsluse.web.visitor import DEVICE, SESSION, account_of, drop_session, keep_session
from ipis.kernel.errors import IpisError, LoginRefused, Refused, TryLater
from ipis.lib.web.middleware import request_language

if TYPE_CHECKING:
    from collections.abc import Callable

    Page = Callable[..., HttpResponse | FileResponse]

_SHOWN_EVENTS = 200


def logged_in(page: Page) -> Page:
    """Let a page be seen by a municipality that is logged in; others meet the login page."""

    @wraps(page)
    def guarded(request: HttpRequest, **parts: str) -> HttpResponse | FileResponse:
        account = account_of(request)
        if account is None:
            return HttpResponseRedirect("/logg-inn")
        return page(request, account, **parts)

    return guarded


@require_GET
def front(request: HttpRequest) -> HttpResponse:
    """Lead to the files, or to the login page."""
    return HttpResponseRedirect("/filer" if account_of(request) else "/logg-inn")


@require_http_methods(["GET", "POST"])
def log_in(request: HttpRequest) -> HttpResponse:
    """Sign on (L17 figure 4-6)."""
    if request.method == "GET":
        done = request.GET.get("passord") == "satt"
        return render(request, "filsluse/log_in.html", {"password_is_set": done})
    username, device = _field(request, "bruker"), request.COOKIES.get(DEVICE, "")
    try:
        account, token = accounts.log_in(username, _field(request, "passord"), device)
    except (LoginRefused, TryLater) as error:
        return _again(request, "filsluse/log_in.html", error, username=username)
    response = HttpResponseRedirect("/filer")
    keep_session(response, token, "" if lockout.is_known(account, device) else lockout.remember_device(account))
    return response


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    """Sign out."""
    accounts.log_out(request.COOKIES.get(SESSION, ""))
    response = HttpResponseRedirect("/logg-inn")
    drop_session(response)
    return response


@require_http_methods(["GET", "POST"])
def new_user(request: HttpRequest) -> HttpResponse:
    """Ask for the first password: "New User Password Request" (L17 figure 4-3)."""
    return _ask_for_link(request, new=True)


@require_http_methods(["GET", "POST"])
def forgot_password(request: HttpRequest) -> HttpResponse:
    """Ask for another password: "Password Change Request" (L17 figure 4-7)."""
    return _ask_for_link(request, new=False)


@require_http_methods(["GET", "POST"])
def set_password(request: HttpRequest, token: str) -> HttpResponse:
    """Choose the password (L17 figure 4-5): opening the link shows the page, sending the form uses the link."""
    rules = trust.password_rules()
    page = "filsluse/set_password.html"
    try:
        link = password_link.find(token)
        facts: dict[str, Any] = {"username": link.account.username, "least": rules.least}
        if request.method == "GET":
            return render(request, page, facts)
        password = _field(request, "passord")
        if password != _field(request, "igjen"):
            return _again(request, page, Refused("filsluse.password_twice"), **facts)
        broken = rules.broken(password, link.account.username)
        if broken:
            return _again(
                request, page, Refused("filsluse.password", rules=_names(request, broken)), broken=broken, **facts
            )
        password_link.use(token, password, rules)
    except LoginRefused as error:
        return _again(request, "filsluse/link_over.html", error, status=410)
    return HttpResponseRedirect("/logg-inn?passord=satt")


@require_GET
@logged_in
def list_files(request: HttpRequest, account: Account) -> HttpResponse:
    """List the municipality's files (L17 figure 4-11)."""
    shown = [
        {"file": one, "members": list(one.members.exclude(name=one.name).order_by("name"))}
        for one in files.listing(account.kommune)
    ]
    return render(request, "filsluse/files.html", {"shown": shown, "done": _done(request)})


@require_safe
@logged_in
def download(request: HttpRequest, account: Account, push_id: str, name: str) -> HttpResponse | FileResponse:
    """Send a file."""
    one, member = own_member(account, push_id, name)
    return send(request, one, member, by="browser")


@require_POST
@logged_in
def confirm(_request: HttpRequest, account: Account, push_id: str) -> HttpResponse:
    """Take the word that the zip is safe in the municipality."""
    files.confirm(own(account, push_id))
    return HttpResponseRedirect("/filer?gjort=bekreftet")


@require_http_methods(["GET", "POST"])
@logged_in
def delete(request: HttpRequest, account: Account, push_id: str) -> HttpResponse:
    """Ask, then take the file away."""
    one = own(account, push_id)
    if request.method == "GET":
        return render(request, "filsluse/delete.html", {"file": one})
    files.delete(one)
    return HttpResponseRedirect("/filer?gjort=slettet")


@require_GET
@logged_in
def log(request: HttpRequest, account: Account) -> HttpResponse:
    """Show what was done in the account, newest first."""
    events = Event.objects.filter(kommune=account.kommune).order_by("-pk")[:_SHOWN_EVENTS]
    language = request_language(request)
    rows = [{"at": row.at, "name": row.name, "what": text(f"log.{row.kind}", language)} for row in events]
    return render(request, "filsluse/log.html", {"rows": rows, "most": _SHOWN_EVENTS})


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001 - Django names the reason; it helps nobody here
    """Answer a form whose cookie is missing or old."""
    return _again(request, "lib/problem.html", Refused("filsluse.stale_form"), status=403)


def _ask_for_link(request: HttpRequest, *, new: bool) -> HttpResponse:
    page = "filsluse/new_user.html" if new else "filsluse/forgot_password.html"
    if request.method == "GET":
        return render(request, page)
    username = _field(request, "bruker")
    if "@" not in username:
        return _again(request, page, Refused("filsluse.username_form"), username=username)
    password_link.ask(username, request_language(request), new_user=new)
    facts = {"username": username.strip(), "minutes": room_settings().link_minutes}
    return render(request, "filsluse/mail_sent.html", facts)


def _again(request: HttpRequest, page: str, error: IpisError, *, status: int = 422, **facts: object) -> HttpResponse:
    """Show the page again with what was wrong, in the three parts of every message."""
    context = {"problem": error.render(request_language(request)), "code": error.code, **facts}
    return render(request, page, context, status=status)


def _names(request: HttpRequest, broken: list[str]) -> str:
    language = request_language(request)
    return "; ".join(text(f"rules.{name}", language, least=trust.password_rules().least) for name in broken)


def _field(request: HttpRequest, name: str) -> str:
    return request.POST.get(name, "")[:1024]


def _done(request: HttpRequest) -> str:
    done = request.GET.get("gjort", "")
    return done if done in ("bekreftet", "slettet") else ""
