"""Django settings for the type checker alone: every app of every room at once, which no process may have."""

from pathlib import Path

_SOURCE = Path(__file__).resolve().parent.parent / "src"

SECRET_KEY = "types-only"  # noqa: S105 – never serves anything
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    *sorted(
        ".".join(apps.parent.relative_to(_SOURCE).parts)
        for apps in _SOURCE.rglob("apps.py")
        if (apps.parent / "models.py").exists()
    ),
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
