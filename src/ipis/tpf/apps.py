"""The room as Django sees it."""

from django.apps import AppConfig


class TpfConfig(AppConfig):
    """One app: its tables, pages and texts."""

    name = "ipis.tpf"
    label = "tpf"
