"""What every page needs: its language and the links to the same page in the others. No script, no session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from ipis.kernel.errors import LANGUAGES
from ipis.lib.web.middleware import request_language

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

NAMES = {"nb": "Bokmål", "nn": "Nynorsk", "en": "English"}
_COOKIE = "sprak"
_YEAR_SECONDS = 31_536_000
_FRAME = {
    "nb": {"skip": "Hopp til hovedinnhold", "languages": "Språk", "menu": "Meny", "demo": "Ikke ekte data:"},
    "nn": {"skip": "Hopp til hovudinnhald", "languages": "Språk", "menu": "Meny", "demo": "Ikkje ekte data:"},
    "en": {"skip": "Skip to main content", "languages": "Language", "menu": "Menu", "demo": "Not real data:"},
}


class Languages:
    """Remembers the language that a link `?sprak=` chose, and says in each answer which one it is in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Keep the next in line."""
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, with the choice in a cookie."""
        response = self._get_response(request)
        chosen = request.GET.get(_COOKIE, "")
        if chosen in LANGUAGES:
            response.set_cookie(
                _COOKIE,
                chosen,
                max_age=_YEAR_SECONDS,
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response


def context(request: HttpRequest) -> dict[str, object]:
    """Give the base template its language, the language links and its few words."""
    language = request_language(request)
    links = [
        {"code": code, "name": NAMES[code], "url": f"{request.path}?{_COOKIE}={code}", "current": code == language}
        for code in LANGUAGES
    ]
    return {"language": language, "languages": links, "frame": _FRAME[language]}
