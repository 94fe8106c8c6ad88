"""The register as a Django app."""

from django.apps import AppConfig


class RegisterConfig(AppConfig):
    """Deliveries and what hangs on them."""

    name = "ipis.ssb.register"
    label = "register"
