"""The public page: the season pack, its dates and fingerprints. No login, no script, nothing personal."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from ipis.kernel.calendar import OSLO
from ipis.lib.web.middleware import request_language
from ipis.ssb.packs import packs
from ipis.ssb.public.texts import TEXTS
from ipis.ssb.site import room_settings

if TYPE_CHECKING:
    from datetime import date, datetime
    from pathlib import Path

    from ipis.kernel.seasonpack import SeasonPack


@require_safe
def front(request: HttpRequest) -> HttpResponse:
    """Show every season pack that is in place."""
    language, settings = request_language(request), room_settings()
    seasons = [_season(pack, path, language) for pack, path in packs(settings)]
    return render(request, "ssb/public/front.html", {"seasons": seasons, "t": TEXTS[language]})


@require_safe
def season_pack(_request: HttpRequest, register: str, year: int) -> FileResponse:
    """Serve a season pack as the root signed it."""
    _, path = _find(register, year)
    response = FileResponse(path.open("rb"), as_attachment=True, filename=f"{register}-{year}.sesong")
    response.headers["Content-Type"] = "application/octet-stream"
    return response


@require_safe
def allowed_signers(_request: HttpRequest, register: str, year: int) -> HttpResponse:
    """Serve the file by which `ssh-keygen -Y verify` checks receipts offline."""
    pack, _ = _find(register, year)
    return HttpResponse(pack.allowed_signers(), content_type="text/plain; charset=utf-8")


@require_safe
def health(_request: HttpRequest) -> JsonResponse:
    """Tell that the room answers."""
    return JsonResponse({"room": "ssb"})


def _find(register: str, year: int) -> tuple[SeasonPack, Path]:
    for pack, path in packs(room_settings()):
        if (pack.register, pack.year) == (register, year):
            return pack, path
    raise Http404


def _season(pack: SeasonPack, path: Path, language: str) -> dict[str, object]:
    collection = pack.collection
    window = collection.window
    return {
        "name": collection.name[language],
        "id": f"{pack.register}-{pack.year}",
        "year": pack.year,
        "version": pack.version,
        "size_kib": path.stat().st_size // 1024,
        "sha256": pack.sha256,
        "environment": pack.environment.value,
        "demo_note": TEXTS[language]["demo"].format(environment=pack.environment.value),
        "opens": _day(window.opens_at.astimezone(OSLO).date(), language),
        "closes": _last_day(window.closes_at, language),
        "corrections": _last_day(window.corrections_until, language),
        "preliminary": _day(collection.publication.preliminary_on, language),
        "final": _day(collection.publication.final_on, language),
        "root": pack.root.fingerprint,
        "kommuner": len(collection.kommuner),
        "keys": [
            {
                "role": TEXTS[language]["roles"][key.role],
                "key_id": key.key_id,
                "state": TEXTS[language]["states"][key.state.value],
            }
            for key in pack.body.keys
        ],
        "address": collection.addresses["ssb"],
        "sending": collection.addresses["sending"],
    }


def _last_day(until: datetime, language: str) -> str:
    """Name the last day before a half-open window ends, as the letters do («innen onsdag 21. mars»)."""
    return _day((until - timedelta(microseconds=1)).astimezone(OSLO).date(), language)


def _day(on: date, language: str) -> str:
    month = TEXTS[language]["months"][on.month - 1]
    return f"{on.day} {month} {on.year}" if language == "en" else f"{on.day}. {month} {on.year}"
