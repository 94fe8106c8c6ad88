"""Intake as a Django app."""

from django.apps import AppConfig


class IntakeConfig(AppConfig):
    """Forsendelser on their way into the register."""

    name = "ipis.ssb.intake"
    label = "intake"
