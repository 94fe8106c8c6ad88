"""Making a tilbakemelding: once, in the words of its reader, closed with the right secret, and whole or not at all."""

import os
import shutil
from dataclasses import replace

import pytest
from tests.ssb.conftest import enrol
from tests.ssb.fake_tpf import BYDAL, NABO, PIN
from tests.ssb.feedback_room import (
    about,
    closed,
    due_now,
    give_back,
    jobs,
    listed,
    opened,
    packed,
    r4,
    tilbakemeldinger,
    worker,
)  # fmt: skip
from tests.ssb.feedback_room import (
    at as oslo,
)

from ipis.kernel.canonical import sha256
from ipis.kernel.demo import demo_orgnr

__all__ = ["packed"]


class Killed(BaseException):
    """A worker that dies: nothing in it catches this, as nothing catches SIGKILL."""


HELD = {"collection.toml": (b'available = "at_once"', b"available = 2018-02-05")}


def test_a_loaded_delivery_gets_its_tilbakemelding_once(room, load, enrolled):
    """Zip, R4 and signature lie together; the row, the receipt and the push are there, and a second run adds nothing."""
    _, made = load()
    worker(room).run(once=True)
    (one,) = tilbakemeldinger()
    assert one.name == "040300_iplos_tilbakemelding_20180103.zip"
    assert (one.revision, one.tenant, one.state) == (1, "0403", "made")
    data = closed(room, one)
    receipt = r4(room, one).receipt
    assert receipt.details == {"zip": one.name, "zip_sha256": sha256(data), "zip_size": len(data), "revision": 1}
    assert one.zip_sha256 == sha256(data)
    assert jobs("push")[0][:2] == (one.push, "queued")
    files = opened(data)
    assert about(files)["forsendelse"] == made.forsendelse
    assert {row["status"] for row in listed(files)} == {"new"}
    assert listed(files)[0]["brukerNr"].startswith("B")


def test_a_job_that_is_given_again_makes_nothing_new(room, load, enrolled):
    """The row says that it is made."""
    from ipis.ssb.register.deliveries import FEEDBACK
    from ipis.ssb.register.models import Job

    _, made = load()
    worker(room).run(once=True)
    Job.again(FEEDBACK, made.forsendelse)
    worker(room).run(once=True)
    assert len(tilbakemeldinger()) == 1
    assert jobs(FEEDBACK) == [(made.forsendelse, "done", "")]


def test_two_the_same_day_have_two_names_and_the_second_says_what_became_of_the_first(room, load, enrolled):
    """`-2` from the second on (L17 §4.5); the same records with the same faults are open, not new."""
    first, _ = load()
    load(sequence=2, seed=1, replaces=first.forsendelse)
    worker(room).run(once=True)
    one, two = tilbakemeldinger()
    assert two.name == "040300_iplos_tilbakemelding_20180103-2.zip"
    rows = listed(opened(closed(room, two)))
    (again,) = [row for row in rows if row["rule"] == "K014"]
    assert (again["status"], again["record"], again["found"]) == (
        "new", "uttrekk", "Innholdet er identisk med forsendelse 1.",
    )  # fmt: skip
    assert {(row["status"], row["first_seen"]) for row in rows if row != again} == {("open", "1")}
    assert len(rows) == 1 + len(listed(opened(closed(room, one))))


def test_the_next_day_and_another_district_start_anew(room, load, enrolled, at):
    """The number is of sender and day."""
    enrol(room, BYDAL, bydel="01")
    load()
    load(kommune=BYDAL, bydel="01")
    worker(room).run(once=True)
    at(oslo(2018, 1, 4, 10))
    load(sequence=2, seed=2)
    worker(room).run(once=True)
    assert [one.name for one in tilbakemeldinger()] == [
        "040300_iplos_tilbakemelding_20180103.zip",
        "030101_iplos_tilbakemelding_20180103.zip",
        "040300_iplos_tilbakemelding_20180104.zip",
    ]


def test_the_password_is_the_pin_of_the_generation_that_r1_names(room, load, enrolled):
    """A PIN issued afterwards does not open it (L17 §4.6)."""
    enrol(room, pin="ANOTHERPIN234567")
    load(pin_generation=1)
    worker(room).run(once=True)
    (one,) = tilbakemeldinger()
    assert opened(closed(room, one), PIN)
    with pytest.raises(RuntimeError):
        opened(closed(room, one), "ANOTHERPIN234567")


def test_without_an_issued_pin_the_one_in_the_forsendelse_closes_it(room, load):
    """SSB holds none: the sender's own is what they know."""
    load(pin="SENDERSPIN234567")
    worker(room).run(once=True)
    (one,) = tilbakemeldinger()
    assert opened(closed(room, one), "SENDERSPIN234567")


def test_the_feedback_code_follows_the_pin(room, load, enrolled, monkeypatch):
    """A short PIN alone falls in seconds offline."""
    from ipis.kernel.secret import Secret
    from ipis.ssb.feedback import make
    from ipis.ssb.intake.contact import contact_of

    load()
    with_code = lambda *known: replace(contact_of(*known), feedback_code=Secret("ABCDEFGHJKMN"))  # noqa: E731
    monkeypatch.setattr(make, "contact_of", with_code)
    worker(room).run(once=True)
    (one,) = tilbakemeldinger()
    assert opened(closed(room, one), PIN + "ABCDEFGHJKMN")


def test_without_any_pin_it_waits_for_staff_to_issue_one(room, load):
    """Feedback that nobody can open is not made; once the PIN is there it is made by itself."""
    row, _ = load()
    (room.intake / row.forsendelse / "contact.age").unlink()
    worker(room).run(once=True)
    assert jobs("feedback") == [(row.forsendelse, "queued", "feedback.no_pin")]
    assert tilbakemeldinger() == []
    enrol(room)
    due_now()
    worker(room).run(once=True)
    assert opened(closed(room, tilbakemeldinger()[0]), PIN)


def test_a_contact_that_cannot_be_opened_is_as_good_as_none(room, load, enrolled):
    """Then the words are bokmål and the PIN is the issued one."""
    row, _ = load(language="en")
    (room.intake / row.forsendelse / "contact.age").write_bytes(b"age-encryption.org/v1\n broken")
    worker(room).run(once=True)
    assert about(opened(closed(room, tilbakemeldinger()[0])))["language"] == "nb"


@pytest.mark.parametrize("language", ["nb", "nn", "en"])
def test_it_is_written_in_the_language_of_the_contact(room, load, enrolled, language):
    """Whoever sealed it chose the language."""
    load(language=language)
    worker(room).run(once=True)
    assert about(opened(closed(room, tilbakemeldinger()[0])))["language"] == language


def test_after_a_merger_the_successors_account_gets_it(room, load):
    """The name keeps the number of the collection year; the account is of who answers for it now."""
    load(kommune="1601", orgnr=demo_orgnr("5001"))
    worker(room).run(once=True)
    (one,) = tilbakemeldinger()
    assert (one.tenant, one.name[:6]) == ("5001", "160100")


def test_a_date_in_the_collection_holds_feedback_back_until_that_midnight(room, load, enrolled, packed, at):
    """The job waits and wakes by itself when the business clock says so, whatever real time it is."""
    packed(changed=HELD)
    row, _ = load()
    worker(room).run(once=True)
    assert jobs("feedback") == [(row.forsendelse, "queued", "feedback.held_back")]
    at(oslo(2018, 2, 4, 23, 59, 59))
    worker(room).run(once=True)
    assert tilbakemeldinger() == []
    at(oslo(2018, 2, 5))
    worker(room).run(once=True)
    assert [one.name for one in tilbakemeldinger()] == ["040300_iplos_tilbakemelding_20180205.zip"]
    assert jobs("feedback")[0][:2] == (row.forsendelse, "done")


@pytest.mark.parametrize("point", ["feedback:written", "feedback:before-commit", "feedback:committed"])
def test_a_worker_that_dies_leaves_one_tilbakemelding_in_the_end(room, load, enrolled, monkeypatch, point):
    """Files without a row are garbage, swept after a day; the row has its own files, R4 and one push job."""
    from ipis.ssb.feedback import make
    from ipis.ssb.register.models import Kvittering

    row, _ = load()
    monkeypatch.setattr(os, "kill", lambda *_: (_ for _ in ()).throw(Killed))
    first = worker(room, kill_at=point)
    with pytest.raises(Killed):
        first.run(once=True)
    give_back(first)
    worker(room).run(once=True)
    (one,) = tilbakemeldinger()
    assert r4(room, one).receipt.details["zip_sha256"] == sha256(closed(room, one))
    assert Kvittering.objects.filter(forsendelse=row.forsendelse, kind="R4").count() == 1
    assert [subject for subject, _, _ in jobs("push")] == [one.push]
    folders = list((room.data / "utgaaende").iterdir())
    assert len(folders) == (1 if point == "feedback:committed" else 2)
    assert make.sweep(room) == 0, "what is young may be in the making"
    for folder in folders:
        os.utime(folder, (0, 0))
    assert make.sweep(room) == len(folders) - 1
    assert [path.name for path in (room.data / "utgaaende").iterdir()] == [one.push]


def test_neighbours_are_never_mixed_up(room, load, enrolled):
    """Each feedback says its own sender and sequence; nobody is compared with another."""
    enrol(room, NABO)
    load()
    load(kommune=NABO)
    worker(room).run(once=True)
    one, other = tilbakemeldinger()
    assert other.tenant == NABO
    files = opened(closed(room, other))
    assert about(files)["kommune"] == NABO
    assert {row["status"] for row in listed(files)} == {"new"}
    assert one.name != other.name


def test_a_delivery_whose_files_are_lost_waits_and_says_so(room, load, enrolled):
    """Nothing half made: the job stands with its problem."""
    row, _ = load()
    shutil.rmtree(room.objects)
    worker(room).run(once=True)
    assert jobs("feedback") == [(row.forsendelse, "queued", "worker.OurFault")]
    assert tilbakemeldinger() == []
