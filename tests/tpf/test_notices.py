"""The mails that TPF sends: about the register by its own title, to the registered address, without a detail."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from ipis.kernel.collection import load
from ipis.kernel.definitions import DefinitionFolder
from ipis.tpf import notices
from ipis.tpf.desk import desk
from ipis.tpf.models import Enrolment, Forsendelse, Outbox, SenderKey
from ipis.tpf.season import Season

LITE = Path(__file__).resolve().parents[1] / "definitions" / "lite" / "2017"
KEY = "SHA256:made-up"


@pytest.fixture
def mails(testvik):
    """Queue one of each; gives subject and body of them."""
    testvik.log_in()
    enrolment = Enrolment.objects.get(kommune=testvik.kommune)

    def queue():
        parcel = Forsendelse(pk=1, identifier="0" * 32, enrolment=enrolment, held_for="publication")
        notices.sender_keys_enrolled([(enrolment, SenderKey(pk=1, fingerprint=KEY))], desk())
        notices.foreign_key(enrolment, KEY, desk())
        notices.refused(enrolment, "of-the-tests", desk())
        notices.held(parcel, desk())
        return [(mail.subject, mail.body) for mail in Outbox.objects.order_by("pk")][-4:]

    return queue


def test_mails_call_the_register_by_its_title(mails, monkeypatch):
    lite = load(DefinitionFolder.from_path(LITE))
    monkeypatch.setattr(Season, "current", lambda _season: SimpleNamespace(collection=lite))
    for subject, body in mails():
        assert subject.startswith("Hjemmebesøk-innsending: ")
        assert body.endswith("Tiltrodd pseudonymforvalter for Hjemmebesøk\n")
        assert "IPLOS" not in subject + body


def test_mails_leave_while_the_pack_is_away(mails, monkeypatch):
    monkeypatch.setattr(desk().season, "_settings", desk().settings.model_copy(update={"pack": None}))
    assert all(subject.startswith("SSB-innsending: ") for subject, _ in mails())
