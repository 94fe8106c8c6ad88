"""A room of the tests' own: Django set up with the abstract tables of lib made real."""

import django
import pytest
from django.conf import settings
from tests.relay import Relay


def pytest_configure():
    """Set Django up before any test module imports a model."""
    if not settings.configured:
        settings.configure(
            INSTALLED_APPS=["tests.lib.room"],
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
            USE_TZ=True,
            SECRET_KEY="of the tests",
        )
        django.setup()


pytest_configure()


@pytest.fixture
def sent_mails(tmp_path):
    """Run a real SMTP listener on loopback that keeps what it takes."""
    taken = []

    class Keeper:
        async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
            taken.append(envelope.content)
            return "250 OK"

    relay = Relay(Keeper())
    relay.start()
    yield relay.port, taken
    relay.stop()
