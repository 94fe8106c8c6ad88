"""The room as Django sees it."""

from django.apps import AppConfig


class FilsluseConfig(AppConfig):
    """One app: its tables, pages and texts."""

    name = "ipis.filsluse"
    label = "filsluse"
