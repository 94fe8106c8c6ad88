"""The only place where the portal's settings meet Django."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import django
from django.conf import settings as django_conf

from ipis.filsluse.settings import FilsluseSettings
from ipis.lib import log
from ipis.lib.web.django import django_settings

if TYPE_CHECKING:
    from django.core.handlers.wsgi import WSGIHandler

_TEMPLATES = Path(__file__).parent / "web" / "templates"


def configure(settings: FilsluseSettings) -> None:
    """Hand the room's settings to Django, once a process."""
    log.configure(settings.room, settings.log_level)
    values = django_settings(
        settings,
        apps=["ipis.filsluse"],
        urls="ipis.filsluse.urls",
        IPIS_FILSLUSE=settings,
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.staticfiles"],
        MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware", "ipis.filsluse.web.visitor.Visitors"],
        AUTH_USER_MODEL="filsluse.Account",
        PASSWORD_HASHERS=["django.contrib.auth.hashers.Argon2PasswordHasher"],
        CSRF_FAILURE_VIEW="ipis.filsluse.web.views.stale_form",
    )
    values["TEMPLATES"][0]["DIRS"].append(_TEMPLATES)
    values["TEMPLATES"][0]["OPTIONS"]["context_processors"].append("ipis.filsluse.web.visitor.page_context")
    values["TEMPLATES"][0]["OPTIONS"]["builtins"] = ["ipis.filsluse.web.texts"]
    django_conf.configure(**values)
    django.setup()


def application(settings_file: Path) -> WSGIHandler:
    """Give the web application; granian loads it in each of its processes."""
    from django.core.wsgi import get_wsgi_application

    configure(FilsluseSettings.load(settings_file))
    handler: WSGIHandler = get_wsgi_application()
    return handler


def room_settings() -> FilsluseSettings:
    """Give the settings that `configure` was handed."""
    settings: FilsluseSettings = django_conf.IPIS_FILSLUSE  # type: ignore[misc]  # put there by `configure`
    return settings
