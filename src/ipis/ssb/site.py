"""The only place where SSB's settings meet Django."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import django
from django.conf import settings as django_conf

from ipis.lib import log
from ipis.lib.web.django import django_settings
from ipis.ssb.settings import SsbSettings

if TYPE_CHECKING:
    from django.core.handlers.wsgi import WSGIHandler

APPS = ("ipis.ssb.register", "ipis.ssb.intake", "ipis.ssb.feedback")
"""Each stateful sub-room is one app; foreign keys point only downwards."""


def configure(settings: SsbSettings) -> None:
    """Hand the room's settings to Django, once a process."""
    log.configure(settings.room, settings.log_level)
    here = Path(__file__).parent
    values = django_settings(
        settings,
        apps=[*APPS],
        urls="ipis.ssb.urls",
        IPIS_SSB=settings,
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.Argon2PasswordHasher"],
        LOGIN_URL="/saksbehandler/innlogging",
        LOGIN_REDIRECT_URL="/saksbehandler/",
        LOGOUT_REDIRECT_URL="/",
        SESSION_COOKIE_AGE=8 * 3600,
    )
    values["TEMPLATES"][0]["DIRS"] += [here / "public" / "templates", here / "console" / "templates"]
    django_conf.configure(**values)
    django.setup()


def application(settings_file: Path) -> WSGIHandler:
    """Give the web application; granian loads it in each of its processes."""
    from django.core.wsgi import get_wsgi_application

    configure(SsbSettings.load(settings_file))
    handler: WSGIHandler = get_wsgi_application()
    return handler


def room_settings() -> SsbSettings:
    """Give the settings that `configure` was handed."""
    settings: SsbSettings = django_conf.IPIS_SSB  # type: ignore[misc]  # set by `configure`, unknown to the type checker
    return settings
