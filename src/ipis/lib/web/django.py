"""The Django settings that every room shares; a room's `site.py` adds its apps and routes and nothing else."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from ipis.kernel.errors import Misuse

if TYPE_CHECKING:
    from ipis.lib.settings import RoomSettings

_LIB_TEMPLATES = Path(__file__).parent / "templates"
_LIB_STATIC = Path(__file__).parent / "static"
_CONTENT_POLICY = {
    "default-src": ["'none'"],
    "style-src": ["'self'"],
    # The design system draws its icons from data addresses in its own style sheet.
    "img-src": ["'self'", "data:"],
    "font-src": ["'self'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'none'"],
}


def django_settings(settings: RoomSettings, *, apps: list[str], urls: str, **more: Any) -> dict[str, Any]:
    """Give the keyword arguments of `django.conf.settings.configure` for one room.

    `apps` come before none of our own: sessions, static files and messages are added only by the room that needs
    them, through `more` (INSTALLED_APPS and MIDDLEWARE given there are appended).
    """
    secure = settings.public_url.startswith("https://")
    values: dict[str, Any] = {
        "DEBUG": False,
        "SECRET_KEY": _secret_key(settings),
        "ALLOWED_HOSTS": [urlsplit(settings.public_url).hostname or "localhost", settings.address[0]],
        "ROOT_URLCONF": urls,
        "DATABASES": {"default": _database(settings)},
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "INSTALLED_APPS": [*apps, *more.pop("INSTALLED_APPS", [])],
        "MIDDLEWARE": [
            "django.middleware.security.SecurityMiddleware",
            "whitenoise.middleware.WhiteNoiseMiddleware",
            "csp.middleware.CSPMiddleware",
            "ipis.lib.web.page.Languages",
            "ipis.lib.web.middleware.Problems",
            *more.pop("MIDDLEWARE", []),
        ],
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [_LIB_TEMPLATES],
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": ["django.template.context_processors.request", "ipis.lib.web.page.context"]
                },
            }
        ],
        "STATIC_URL": "/static/",
        "STATICFILES_DIRS": [_LIB_STATIC] if _LIB_STATIC.is_dir() else [],
        "WHITENOISE_USE_FINDERS": True,
        "WHITENOISE_AUTOREFRESH": False,
        "USE_TZ": True,
        "TIME_ZONE": "Europe/Oslo",
        "LANGUAGE_CODE": "nb",
        "SECURE_CONTENT_TYPE_NOSNIFF": True,
        "SECURE_REFERRER_POLICY": "same-origin",
        "SECURE_HSTS_SECONDS": 31_536_000 if secure else 0,
        "X_FRAME_OPTIONS": "DENY",
        "SESSION_COOKIE_SECURE": secure,
        "CSRF_COOKIE_SECURE": secure,
        # The outer server speaks TLS and passes requests on in clear; browsers send the origin that they see.
        "CSRF_TRUSTED_ORIGINS": ["{0.scheme}://{0.netloc}".format(urlsplit(settings.public_url))],
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "CONTENT_SECURITY_POLICY": {"DIRECTIVES": _CONTENT_POLICY},
        "DATA_UPLOAD_MAX_MEMORY_SIZE": 4 << 20,
        "FILE_UPLOAD_TEMP_DIR": str(settings.data),
        "LOGGING_CONFIG": None,
    }
    return values | more


def _database(settings: RoomSettings) -> dict[str, Any]:
    """SQLite with write-ahead log, immediate transactions and full flushes, or PostgreSQL by its URL."""
    if not settings.database_url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": settings.data / f"{settings.room}.sqlite3",
            "OPTIONS": {
                "timeout": 30,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
            },
        }
    url = urlsplit(settings.database_url)
    if url.scheme not in ("postgresql", "postgres"):
        raise Misuse("settings.database", room=settings.room.upper())
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.path.lstrip("/"),
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": url.hostname or "",
        "PORT": url.port or "",
    }


def _secret_key(settings: RoomSettings) -> str:
    """Read the room's own secret, made at its first start and readable by this user alone."""
    path = settings.data / "django.secret"
    if not path.exists():
        settings.make_private_folders()
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48), encoding="ascii")
    return path.read_text(encoding="ascii")
