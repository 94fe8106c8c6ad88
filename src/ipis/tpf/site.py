"""The only place where TPF's settings meet Django."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import django
from django.conf import settings as django_conf

from ipis.lib import log
from ipis.lib.web.django import django_settings
from ipis.tpf.settings import TpfSettings

if TYPE_CHECKING:
    from django.core.handlers.wsgi import WSGIHandler

_LARGEST_FORM = 64 << 10
_TEMPLATES = Path(__file__).parent / "web" / "templates"


def configure(settings: TpfSettings) -> None:
    """Hand the room's settings to Django, once a process."""
    log.configure(settings.room, settings.log_level)
    values = django_settings(
        settings,
        apps=["ipis.tpf"],
        urls="ipis.tpf.urls",
        IPIS_TPF=settings,
        INSTALLED_APPS=["django.contrib.staticfiles"],
        # The page reads its own fields before the file; nothing else of a body is ever held in memory.
        DATA_UPLOAD_MAX_MEMORY_SIZE=_LARGEST_FORM,
        FILE_UPLOAD_TEMP_DIR=str(settings.uploads),
    )
    values["TEMPLATES"][0]["DIRS"].append(_TEMPLATES)
    django_conf.configure(**values)
    django.setup()


def application(settings_file: Path) -> WSGIHandler:
    """Give the web application; granian loads it as a factory."""
    from django.core.wsgi import get_wsgi_application

    configure(TpfSettings.load(settings_file))
    handler: WSGIHandler = get_wsgi_application()
    return handler


def room_settings() -> TpfSettings:
    """Give the settings that `configure` was handed."""
    settings: TpfSettings = django_conf.IPIS_TPF  # type: ignore[misc]  # put there by `configure`
    return settings
