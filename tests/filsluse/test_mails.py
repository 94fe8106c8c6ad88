"""The three mails: subjects to the letter, whom to forward to, how to know them, no personal data; kept until SMTP takes them."""

import re
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
import time_machine
from tests.filsluse.conftest import TESTVIK, TESTVIK_USER, log_in, mails, new_browser, text_of
from tests.filsluse.season import Season
from tests.relay import Relay

from ipis.filsluse import notify, trust
from ipis.filsluse.accounts import make_account
from ipis.filsluse.models import FilsluseMail, Tilbakemelding
from ipis.filsluse.tokens import real_now
from ipis.kernel.definitions import DefinitionFolder

LITE = Path(__file__).resolve().parents[1] / "definitions" / "lite" / "2017"
SUBJECTS = [
    "Ny bruker for IPLOS tilbakemelding fra Statistisk sentralbyrå",
    "IPLOS-tilbakemelding: Nytt passord - NB! Utløper på tid",
    "IPLOS-tilbakemelding: Ny fil for nedlasting",
]
FORWARD = {"nb": "videresend denne e-posten", "nn": "send denne e-posten vidare", "en": "please forward this mail"}
GENUINE = {
    "nb": "Slik vet dere at e-posten er ekte",
    "nn": "Slik veit de at e-posten er ekte",
    "en": "this mail is genuine",
}
HARMLESS = {"nb": "ingen personopplysninger", "nn": "ingen personopplysningar", "en": "no personal data"}


@pytest.fixture
def three(ssb):
    """Queue the three mails in a language."""

    def queue(language):
        account = make_account(TESTVIK, TESTVIK_USER)
        account.language = language
        account.save()
        FilsluseMail.objects.all().delete()
        notify.tell_new_user(account)
        notify.send_password_link(account, "a-token", new_user=True)
        ssb.push()
        return mails()

    return queue


@pytest.fixture
def home_visits(portal, monkeypatch, tmp_path):
    """Put the portal up for another register, as nothing but its season pack says."""
    pack = Season.make(tmp_path, definitions=DefinitionFolder.from_path(LITE)).pack
    monkeypatch.setattr(trust, "room_settings", lambda: portal.model_copy(update={"pack": pack}))


@pytest.fixture
def relay(portal, monkeypatch):
    """Run a real SMTP listener and point the room at it."""
    taken = []

    class Keeper:
        async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
            taken.append(message_from_bytes(envelope.content, policy=policy.default))
            return "250 OK"

    listener = Relay(Keeper())
    monkeypatch.setattr(notify, "room_settings", lambda: portal.model_copy(update={"smtp_port": listener.port}))
    listener.start()
    yield taken
    listener.stop()


@pytest.mark.parametrize("language", ["nb", "nn", "en"])
def test_every_mail_says_what_a_mail_reception_must_know(three, language):
    found = three(language)
    assert [mail.subject for mail in found] == SUBJECTS
    for mail in found:
        assert FORWARD[language] in mail.body
        assert GENUINE[language] in mail.body
        assert HARMLESS[language] in mail.body
        assert "filsluse@ssb.test" in mail.body
        assert "iplos@ssb.no" in mail.body
        assert mail.recipient == TESTVIK_USER
        assert set(re.findall(r"https?://[^/\s]+", mail.body)) == {"http://filsluse.test"}
        assert not re.search(r"\d{11}", mail.body)
        assert "&#" not in mail.body
        assert "{" not in mail.body
        assert not mail.body.startswith("\n")


@pytest.mark.parametrize(("language", "title"), [("nb", "Hjemmebesøk"), ("nn", "Heimebesøk"), ("en", "Home visits")])
@pytest.mark.usefixtures("home_visits")
def test_the_mails_of_another_register_are_called_by_its_title(testvik, language, title):
    """Subjects stay in bokmål, which the spam filters know; a mail that names another's subject names it right."""
    testvik.language = language
    notify.tell_new_user(testvik)
    notify.send_password_link(testvik, "a-token", new_user=True)
    notify.send_password_link(testvik, "a-token", new_user=False)
    Tilbakemelding.objects.create(
        pk="0" * 32, kommune=TESTVIK, name="040300_besoek_tilbakemelding_20180103.zip", size=1, sha256="0" * 64,
        note_sha256="0" * 64, created_at=real_now(), expires_at=real_now(),
    )  # fmt: skip
    testvik.save()
    notify.tell_new_file(Tilbakemelding.objects.get())
    user, new, forgotten, file = mails()
    subjects = [subject.replace("IPLOS", "Hjemmebesøk") for subject in SUBJECTS]
    assert [user.subject, new.subject, file.subject] == subjects
    assert forgotten.subject == new.subject
    assert all(subject in user.body for subject in subjects[1:])
    for mail in (user, new, forgotten, file):
        assert mail.body.count(title) >= 2, "whom to forward to, and who sends"
        assert "besoek@ssb.test" in mail.body
        assert "iplos" not in mail.body.casefold()


@pytest.mark.parametrize(("language", "title"), [("nb", "Hjemmebesøk"), ("nn", "Heimebesøk"), ("en", "Home visits")])
@pytest.mark.usefixtures("home_visits")
def test_the_pages_of_another_register_are_called_by_its_title(testvik, language, title):
    browser = new_browser(language)
    front = text_of(browser.get("/logg-inn"))
    listed = text_of(log_in(browser, TESTVIK_USER).get("/filer"))
    assert all(title in page and "iplos" not in page.casefold() for page in (front, listed))
    assert "besoek@ssb.test" in front
    assert SUBJECTS[2].replace("IPLOS", "Hjemmebesøk") in listed


def test_a_page_is_shown_while_the_pack_is_away(portal, monkeypatch, browser):
    monkeypatch.setattr(trust, "room_settings", lambda: portal.model_copy(update={"pack": None}))
    assert "SSB-tilbakemelding" in text_of(browser.get("/logg-inn"))


def test_the_new_user_mail_opens_nothing_by_itself(three):
    assert "/passord/" not in three("nb")[0].body


def test_the_new_file_mail_names_file_size_and_last_day(three):
    body = three("nb")[2].body
    one = Tilbakemelding.objects.get()
    assert one.name in body
    assert "01.04.2035" in body
    assert "/filer/" not in body, "the file's own address is no use without the login"


def test_the_password_mail_says_new_or_forgotten(testvik):
    notify.send_password_link(testvik, "a", new_user=True)
    notify.send_password_link(testvik, "b", new_user=False)
    assert ["den nye brukeren" in mail.body for mail in mails()] == [True, False]


def test_mails_arrive_over_smtp_and_a_sent_link_is_blanked(three, relay):
    three("nb")
    assert notify.deliver() == 3
    assert [message["Subject"] for message in relay] == SUBJECTS
    assert {message["From"] for message in relay} == {"filsluse@ssb.test"}
    assert "/passord/a-token" in relay[1].get_content()
    assert [mail.body == "" for mail in mails()] == [False, True, False]
    assert notify.deliver() == 0


def test_a_mail_server_that_is_down_is_tried_again(three, portal):
    three("nb")
    assert notify.deliver() == 0
    assert all(mail.sent_at is None and mail.body for mail in mails())


def test_a_mail_waits_out_an_outage(three, portal, relay):
    with pytest.MonkeyPatch.context() as outage:
        outage.setattr(notify, "room_settings", lambda: portal)
        three("nb")
        notify.deliver()
    with time_machine.travel(real_now() + timedelta(minutes=6), tick=False):
        assert notify.deliver() == 3


def test_without_a_sender_of_its_own_the_letters_is_used(portal, monkeypatch):
    monkeypatch.setattr(notify, "room_settings", lambda: portal.model_copy(update={"mail_from": ""}))
    assert notify.sender() == "filsluse@ssb.no"
