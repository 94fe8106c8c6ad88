"""Who is visiting: the session cookie becomes an account once a request, and pages are never kept by a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.http import HttpRequest, HttpResponse

from ipis.filsluse import accounts, trust
from ipis.filsluse.models import Account
from ipis.filsluse.site import room_settings
from ipis.kernel.errors import LANGUAGES, IpisError

if TYPE_CHECKING:
    from collections.abc import Callable

SESSION: Final = "filsluse"
DEVICE: Final = "filsluse-enhet"
_DEVICE_SECONDS = 400 * 24 * 3600


class Visitors:
    """Keeps answers out of caches; static files are answered before this."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Keep the next in line."""
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer."""
        response = self._get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def account_of(request: HttpRequest) -> Account | None:
    """Find the account behind the session cookie, looked up once a request."""
    found: Account | None
    if not hasattr(request, "ipis_account"):
        found = accounts.account_of(request.COOKIES.get(SESSION, ""))
        request.ipis_account = found  # type: ignore[attr-defined]
    found = request.ipis_account  # type: ignore[attr-defined]
    return found


def bearer_of(request: HttpRequest) -> Account | None:
    """Find the account behind `Authorization: Bearer`; programs have no cookies."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return accounts.account_of(token) if scheme == "Bearer" else None


def keep_session(response: HttpResponse, token: str, device: str) -> None:
    """Set the cookies of a session and, when new, of the device; no script reads them."""
    secure = room_settings().public_url.startswith("https://")
    response.set_cookie(SESSION, token, secure=secure, httponly=True, samesite="Lax")
    if device:
        response.set_cookie(DEVICE, device, max_age=_DEVICE_SECONDS, secure=secure, httponly=True, samesite="Lax")


def drop_session(response: HttpResponse) -> None:
    """Take the session's cookie back."""
    response.delete_cookie(SESSION, samesite="Lax")


def page_context(request: HttpRequest) -> dict[str, object]:
    """Give every page the account it is shown to, the register, the environment and whom to ask."""
    settings, register = room_settings(), _register()
    return {
        "account": account_of(request),
        "register": register.title,
        "environment": settings.environment.value,
        "synthetic": settings.environment.synthetic,
        "contact": register.contact,
        "path": request.path,
        "page_frame": "filsluse/frame.html",
    }


def _register() -> trust.Register:
    """Give the register that the portal is for; without a pack, or with a spoiled one, a page is SSB's all the same."""
    try:
        return trust.register()
    except IpisError:
        return trust.Register(dict.fromkeys(LANGUAGES, "SSB"), room_settings().contact or "SSB")
