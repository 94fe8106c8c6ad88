"""A party, the mail relay or a worker is gone for a while: nothing acknowledged is lost and nothing is done twice."""

import json
import os
import signal
import time

import pytest
from tests.journey.conftest import ipis, running_season

from ipis.kernel.calendar import receipt_instant
from ipis.local.parties import time_at

WAIT = 180


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    """Run two municipalities' season."""
    with running_season(tmp_path_factory.mktemp("outages") / "up", ("0403", "0412")) as running:
        for one in running.municipalities:
            fetch_pack(running, one)
        yield running


def fetch_pack(season, one):
    """Fetch the pack into the municipality's folder."""
    does(
        "kommune", "pack", "--url", season.parties["tpf"].url, "--collection", "iplos",
        "--year", season.collection.year, "--out", one.folder / "p.sesong",
    )  # fmt: skip


def does(*arguments):
    """Run a command that must succeed."""
    ran = ipis(*arguments)
    assert ran.code == 0, ran.err
    return ran


def seal(season, one, seed):
    """Draw and seal a small extract; gives the parcel."""
    folder = one.folder / str(seed)
    year = season.collection.year
    does("synth", "--collection", "iplos", "--year", year, "--kommune", one.kommune, "--out", folder,
         "--persons", 60, "--faults", 0.1, "--seed", seed)  # fmt: skip
    parcel = folder / "a.forsendelse"
    does("kommune", "seal", folder / f"{one.kommune}00_iplos_uttrekk_{year}.xml", "--pack", one.folder / "p.sesong",
         "--contact-email", contact(one), "--pin-file", one.pin_file, "--out", parcel,
         "--keyring", one.folder / "keyring")  # fmt: skip
    return parcel


def contact(one):
    """Give the contact's address."""
    return f"iplos@{one.user.partition('@')[2]}"


def send(season, one, parcel):
    """Send a parcel."""
    return ipis("kommune", "send", parcel, "--url", season.parties["tpf"].url, *one.login,
                "--keyring", one.folder / "keyring")  # fmt: skip


def receipts(season, one):
    """Fetch all receipts so far; gives the kinds of each forsendelse."""
    out = one.folder / "receipts"
    ipis("kommune", "receipts", "--url", season.parties["tpf"].url, *one.login,
         "--keyring", one.folder / "keyring", "--out", out)  # fmt: skip
    kinds = {}
    for path in out.glob("*.json"):
        said = json.loads(path.read_bytes())
        kinds.setdefault(said["forsendelse"], []).append(said["kind"])
    return kinds


def wait_for(season, one, kind, count=1):
    """Wait until a kind of receipt has come for so many forsendelser; gives all kinds."""
    give_up_at = time.monotonic() + WAIT
    while True:
        kinds = receipts(season, one)
        if sum(kind in its for its in kinds.values()) >= count:
            return kinds
        assert time.monotonic() < give_up_at, kinds


def kill(season, room, verb):
    """End a room's process and its children as a power cut would, and start it again."""
    process = season.parties[room].processes[verb]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    season.parties[room].start(verb)


def test_a_portal_that_is_down_gets_the_feedback_when_it_is_back(season):
    """R4 comes as soon as the feedback is made; the new-file mail when the portal has it, once."""
    one = season.municipalities[0]
    parcel = seal(season, one, 1)
    portal = season.parties["filsluse"]
    portal.stop()
    assert send(season, one, parcel).code == 0
    wait_for(season, one, "R4")
    assert not [mail for mail in season.mailbox.mails() if "Ny fil" in mail["Subject"]]
    portal.start("serve")
    portal.start("work")
    portal.wait_until_ready()
    season.mailbox.wait_for("Ny fil", one.user, WAIT)
    told = [mail for mail in season.mailbox.mails() if "Ny fil" in mail["Subject"] and one.user in mail["To"]]
    assert len(told) == 1


def test_a_relay_that_is_down_at_eight_loses_no_receipt_mail(season):
    """The mail leaves when the relay is back, once."""
    one = season.municipalities[0]
    season.mailbox.stop()
    season.turn_clocks(receipt_instant(time_at(season.parties["ssb"]), season.collection.receipt.hour))
    time.sleep(2)
    season.mailbox.start()
    season.mailbox.wait_for("", contact(one), WAIT)
    time.sleep(2)
    assert len([mail for mail in season.mailbox.mails() if contact(one) in mail["To"]]) == 1


def test_workers_killed_again_and_again_lose_and_double_nothing(season):
    """TPF's and SSB's workers die in the middle of things; each receipt comes exactly once."""
    other = season.municipalities[1]
    parcels = [seal(season, other, seed) for seed in (1, 2)]
    for parcel in parcels:
        assert send(season, other, parcel).code in (0, 3)
        for room in ("tpf", "ssb"):
            kill(season, room, "work")
            kill(season, room, "work")
    kinds = wait_for(season, other, "R4", count=2)
    assert {tuple(sorted(its)) for its in kinds.values()} == {("R1", "R2", "R3", "R4", "R5")}


def test_a_sender_whose_answer_was_lost_gets_the_same_receipt_again(season):
    """Sending the same file again is a retry, not a second submission."""
    other = season.municipalities[1]
    before = receipts(season, other)
    again = send(season, other, other.folder / "2" / "a.forsendelse")
    assert again.code == 0, again.err
    assert receipts(season, other) == before
