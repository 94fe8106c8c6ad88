"""Receipt and refusal mails: at the hour the letters promise, to whom they may go, in the language chosen, and once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.ssb.conftest import IN_WINDOW, enrol
from tests.ssb.fake_tpf import NABO, PIN

from ipis.kernel.clock import turn
from ipis.kernel.collection import load as load_collection
from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.errors import DefinitionRefused
from ipis.lib.jobs import JobState, Worker
from ipis.ssb.intake import letters
from ipis.ssb.intake.contact import contact_of
from ipis.ssb.intake.mails import MAIL, MailWriter, queue_due
from ipis.ssb.intake.models import DueMail, Forsendelse
from ipis.ssb.keys import feedback_keys, intake_keys
from ipis.ssb.register import outbox
from ipis.ssb.register.models import Job, Kvittering, OutboxMail

OSLO = ZoneInfo("Europe/Oslo")
CONTACT = "faglig@k0403.kommune.test"
REGISTERED = "postmottak@k0403.kommune.test"


@pytest.fixture
def writer(room):
    """The feedback worker's mails: what is due by the clock is written; nothing leaves."""
    step = MailWriter(room, feedback_keys(room).identity)
    worker = Worker(jobs=Job, steps={MAIL: step.write})

    def run():
        queue_due(room.business_clock().now())
        worker.run(once=True)
        return list(OutboxMail.objects.order_by("id"))

    return run


def next_morning(settings):
    turn(settings.clock, datetime(2018, 1, 4, 8, 0, 1, tzinfo=OSLO))


class TestWhen:
    def test_receipt_falls_due_at_eight_the_next_working_day(self, load):
        load()
        assert DueMail.objects.get().due_at == datetime(2018, 1, 4, 8, tzinfo=OSLO)

    def test_receipt_of_a_friday_falls_due_on_monday(self, load, at):
        at(datetime(2018, 1, 5, 18, tzinfo=OSLO))
        load()
        assert DueMail.objects.get().due_at == datetime(2018, 1, 8, 8, tzinfo=OSLO)

    def test_nothing_is_written_a_second_too_early(self, load, writer, room):
        load()
        turn(room.clock, datetime(2018, 1, 4, 7, 59, 50, tzinfo=OSLO))
        assert writer() == []
        next_morning(room)
        assert [mail.recipient for mail in writer()] == [CONTACT]

    def test_receipt_waits_for_loading_in_the_year_that_says_so(self, make, door):
        """L17: «ankommet og lastet»: nothing is due before it is loaded."""
        door.send(make())
        assert not DueMail.objects.exists()

    def test_receipt_follows_the_arrival_in_the_year_that_says_so(self, make, door, at, writer):
        """L16: «ankommet»: due though it is not loaded yet, and the mail says so."""
        at(datetime(2017, 1, 3, 9, tzinfo=UTC))
        door.send(make(year=2016, arrived_at=datetime(2017, 1, 3, 8, tzinfo=UTC)))
        assert DueMail.objects.get().due_at == datetime(2017, 1, 4, 8, tzinfo=OSLO)
        at(datetime(2017, 1, 4, 8, 0, 1, tzinfo=OSLO))
        (mail,) = writer()
        assert "ennå ikke lastet" in mail.body

    def test_mail_is_written_once(self, load, writer, room):
        """However often the clock ticks or the job comes again."""
        load()
        next_morning(room)
        writer()
        Job.again(MAIL, Job.objects.get(kind=MAIL).subject)
        assert len(writer()) == 1


class TestWhat:
    def test_receipt_tells_what_r3_tells(self, load, writer, room, enrolled):
        """Short code, arrival, loading, rows of each record type, in bokmål with its letters."""
        _, made = load()
        next_morning(room)
        (mail,) = writer()
        assert mail.subject == "Kvittering: IPLOS-data for 2017 fra Hamar er mottatt og lastet"
        for expected in (
            Kvittering.objects.get(kind="R3").short_code, "03.01.2018 kl. 10.00", "person: 30", "tjeneste: 61", made.forsendelse,
        ):  # fmt: skip
            assert expected in mail.body
        for unexpected in ("Merk:", "PIN", "{{", "{%"):
            assert unexpected not in mail.body

    @pytest.mark.parametrize(
        ("language", "word"), [("nb", "Med vennlig hilsen"), ("nn", "Med venleg helsing"), ("en", "Kind regards")]
    )
    def test_receipt_is_in_the_language_chosen(self, load, writer, room, language, word):
        load(language=language)
        next_morning(room)
        assert word in writer()[0].body

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ({"phase": "late"}, "De teller i publiseringen i juni når de er mottatt før 22.03.2018 kl. 00.00"),
            ({"phase": "closed"}, "teller ikke i noen publisering"),
            ({"phone": None}, "K017"),
            ({"phone": "123"}, "K017"),
        ],
    )
    def test_receipt_says_what_the_sender_should_know(self, load, writer, room, content, words):
        load(**content)
        next_morning(room)
        assert words in writer()[0].body

    def test_telephone_is_not_missed_in_the_year_that_asks_for_none(self, load, writer, at):
        """L16 asks for an e-mail address alone."""
        at(datetime(2017, 1, 3, 9, tzinfo=UTC))
        load(year=2016, arrived_at=datetime(2017, 1, 3, 8, tzinfo=UTC), phone=None)
        at(datetime(2017, 1, 4, 9, tzinfo=UTC))
        assert "K017" not in writer()[0].body

    def test_same_content_is_said(self, load, writer, room):
        load()
        load(sequence=2)
        next_morning(room)
        assert ["K014" in mail.body for mail in writer()] == [False, True]

    def test_two_pins_that_differ_are_said(self, load, writer, room):
        """Which PIN opens the feedback, when the one sealed is not the one that logged in."""
        enrol(room, pin="EN-ANNEN-1")
        load()
        next_morning(room)
        (mail,) = writer()
        assert "en annen enn den dere logget inn med" in mail.body
        assert PIN not in mail.body

    def test_generation_that_logged_in_is_the_one_compared(self, load, writer, room):
        """A PIN renewed after the submission changes nothing for it."""
        enrol(room)
        enrol(room, pin="NY-PIN-2018")
        load(pin_generation=1)
        next_morning(room)
        assert "logget inn med" not in writer()[0].body


class TestToWhom:
    def test_invalid_contact_is_replaced_by_the_registered_address(self, load, writer, room, enrolled):
        load(email="faglig leder")
        next_morning(room)
        (mail,) = writer()
        assert mail.recipient == REGISTERED
        assert "K016" in mail.body

    def test_contact_with_a_line_break_never_becomes_a_header(self, load, writer, room, enrolled):
        """A stranger's contact cannot add recipients."""
        from tests.ssb import fake_tpf

        with pytest.raises(Exception, match=r"parcel\.field"):
            fake_tpf.Contact.parse(
                b'{"email":"a@b.no\\nBcc: c@d.no","feedback_code":null,"language":"nb","phone":null,"pin":"1234"}'
            )

    def test_without_any_address_the_mail_waits_for_enrolment(self, load, writer, room):
        load(email="faglig leder")
        next_morning(room)
        assert writer() == []
        assert Job.objects.get(kind=MAIL).problem == "ssb.no_address"
        enrol(room)
        Job.objects.update(next_try_at=None)
        assert [mail.recipient for mail in writer()] == [REGISTERED]

    def test_changed_contact_is_told_to_the_old_one_and_the_registered_address(self, load, writer, room, enrolled):
        """Nobody takes over a municipality's receipts unseen; the new address itself is not told to the old."""
        load()
        load(sequence=2, email="ny@k0403.kommune.test")
        next_morning(room)
        mails = writer()
        assert [(mail.recipient, mail.subject.partition(":")[0]) for mail in mails] == [
            (CONTACT, "Kvittering"),
            ("ny@k0403.kommune.test", "Kvittering"),
            (CONTACT, "IPLOS 2017"),
            (REGISTERED, "IPLOS 2017"),
        ]
        assert "ny@k0403" not in mails[2].body

    def test_unchanged_contact_is_told_nothing_more(self, load, writer, room, enrolled):
        load()
        load(sequence=2, email=CONTACT.upper())
        next_morning(room)
        assert len(writer()) == 2

    def test_contact_of_another_municipality_is_not_compared(self, load, writer, room):
        load()
        load(kommune=NABO, email="faglig@k0412.kommune.test")
        next_morning(room)
        assert len(writer()) == 2

    def test_contact_that_cannot_be_opened_is_as_good_as_none(self, load, writer, room, enrolled):
        _, made = load()
        (room.intake / made.forsendelse / "contact.age").unlink()
        next_morning(room)
        assert [mail.recipient for mail in writer()] == [REGISTERED]

    def test_intake_worker_cannot_open_the_contact(self, load, room):
        _, made = load()
        assert contact_of(made.forsendelse, room, intake_keys(room).identity) is None
        assert contact_of(made.forsendelse, room, feedback_keys(room).identity).email == CONTACT


class TestRefusalMail:
    def test_contact_and_registered_address_are_told_at_once(self, load, writer, room, enrolled):
        """Why, and what to do now; never a value."""
        load(text="01815012352 {n}")
        mails = writer()
        assert [mail.recipient for mail in mails] == [CONTACT, REGISTERED]
        assert "Gjør dette: fjern fødselsnumrene" in mails[0].body
        assert "ser ut til å inneholde fødselsnumre (30 treff) (intake.leak)" in mails[0].body
        assert "Gjør dette" not in mails[1].body
        assert not any("0181501" in mail.body for mail in mails)

    def test_registered_address_gets_one_when_it_is_the_contact(self, load, writer, room, enrolled):
        load(text="01815012352 {n}", email=REGISTERED)
        assert len(writer()) == 1

    def test_receipt_of_a_refused_one_is_not_sent(self, load, writer, at, room):
        """In the year of receipts on arrival a refusal before 08:00 takes the receipt's place."""
        at(datetime(2017, 1, 3, 9, tzinfo=UTC))
        load(year=2016, arrived_at=datetime(2017, 1, 3, 8, tzinfo=UTC), text="01815012352 {n}")
        at(datetime(2017, 1, 4, 9, tzinfo=UTC))
        assert [mail.purpose.partition(":")[0] for mail in writer()] == ["avvist"]
        assert DueMail.objects.filter(written_at=None).count() == 0


class TestOutbox:
    @pytest.fixture
    def written(self, load, writer, room):
        load()
        next_morning(room)
        return writer()

    def test_server_down_at_eight_loses_nothing_and_doubles_nothing(self, written, room, smtp):
        """Refused at 08:00, sent when the server is up, once."""
        down = room.model_copy(update={"smtp_port": 1})
        assert outbox.deliver(down, room.business_clock()) == 0
        OutboxMail.objects.update(next_try_at=None)
        up = room.model_copy(update={"smtp_port": smtp.port})
        assert outbox.deliver(up, room.business_clock()) == 1
        assert outbox.deliver(up, room.business_clock()) == 0
        assert [message["To"] for message in smtp.messages] == [CONTACT]
        assert smtp.messages[0]["From"].endswith("<iplos@ssb.no>")

    def test_address_and_text_are_forgotten_when_the_mail_has_left(self, written, room, smtp):
        """The contact was sealed; the row holds its address no longer than the relay needs."""
        outbox.deliver(room.model_copy(update={"smtp_port": smtp.port}), room.business_clock())
        row = OutboxMail.objects.get()
        assert (row.recipient, row.body) == (outbox.FORGOTTEN, "")
        assert row.sent_at is not None
        assert CONTACT not in json.dumps(list(OutboxMail.objects.values()), default=str)


class TestLetters:
    FACTS = {
        "kommune": "0403", "kommune_name": "Hamar", "bydel": "05", "year": 2017, "sequence": 1, "forsendelse": "0" * 32,
        "arrived_at": "da", "late": True, "closed": True, "corrections_until": "da", "address": "a", "portal": "p",
        "loaded": True, "loaded_at": "da", "short_code": "ABC", "rows": {"person": 1}, "same_content": True,
        "contact_invalid": True, "pin_differs": True, "phone_missing": True, "code": "x", "rule": "K001", "found": "noe", "do": "noe",
    }  # fmt: skip

    @pytest.mark.parametrize("year", [2016, 2017])
    @pytest.mark.parametrize("language", ["nb", "nn", "en"])
    @pytest.mark.parametrize("name", ["kvittering", "kontakt_endret", "avvist"])
    def test_every_letter_is_whole_in_every_language_and_year(self, year, language, name):
        """Every placeholder is known, the subject is one line, no line is left blank three times in a row."""
        collection = load_collection(DefinitionFolder.packaged("iplos", year))
        letter = letters.write(collection, name, language, self.FACTS)
        assert letter.subject
        assert "\n" not in letter.subject
        assert "\n\n\n" not in letter.body
        assert "{" not in letter.body

    def test_unknown_language_falls_back_to_bokmaal(self):
        collection = load_collection(DefinitionFolder.packaged("iplos", 2017))
        assert "vennlig" in letters.write(collection, "avvist", "de", self.FACTS).body

    def test_letter_without_a_subject_is_refused(self, tmp_path):
        folder = DefinitionFolder.packaged("iplos", 2017)
        broken = DefinitionFolder.from_members({**folder, "letters/nb/avvist.txt": b"bare en linje"})
        with pytest.raises(DefinitionRefused):
            letters.write(load_collection(broken), "avvist", "nb", self.FACTS)

    def test_template_reaches_nothing_but_its_facts(self):
        """A letter is data, though signed by the root: it runs in a sandbox."""
        folder = DefinitionFolder.packaged("iplos", 2017)
        for attack in (b"{{ kommune.__class__.__mro__ }}\n\nx", b"{{ unknown }}\n\nx"):
            broken = DefinitionFolder.from_members({**folder, "letters/nb/avvist.txt": attack})
            with pytest.raises(Exception, match=r"unsafe|undefined"):
                letters.write(load_collection(broken), "avvist", "nb", self.FACTS)


def test_job_of_the_mail_is_done_with_the_row(load, writer, room):
    load()
    next_morning(room)
    writer()
    assert Job.objects.get(kind=MAIL).state == JobState.DONE
    due = DueMail.objects.get()
    assert abs(due.written_at - room.business_clock().now()) < timedelta(minutes=1)
    assert Forsendelse.objects.get().state == "cleared"
    assert due.written_at > IN_WINDOW
