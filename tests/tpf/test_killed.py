"""`kill -9` of the worker inside each step, alone and in a batch: nothing acknowledged is lost, nothing done twice."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import closing

import pytest
from tests.kommune.tpf_room import Room, SsbDouble
from tests.tpf import season as cast

from ipis.kernel.demo import demo_orgnr, demo_pin
from ipis.kernel.receipt import SignedReceipt, check_tree
from ipis.kernel.secret import Secret
from ipis.kommune.receiver import Fields, Receiver
from ipis.tpf.faultpoint import POINTS


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    ssb = SsbDouble()
    room = Room(tmp_path_factory.mktemp("tpf"), ssb)
    room.enrol()
    room.start("serve")
    room.key, room.sequence = cast.sender_key(), 0
    yield room
    room.close()
    ssb.close()


def work_once(room, point=""):
    """Run the worker until nothing is due, or until it is killed; gives its exit code."""
    room.write_settings(**({"fault_point": point} if point else {}))
    words = [sys.executable, "-m", "ipis", "tpf", "work", "--once", "--settings", str(room.settings)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    room.write_settings()
    return done.returncode


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_at_a_point_goes_on_where_it_stopped(live, tmp_path, point):
    live.sequence += 1
    (path,) = cast.seal(live.season, tmp_path / "a.forsendelse", live.key, sequence=live.sequence)
    with Receiver(live.url, "nb") as tpf:
        tpf.log_in(Fields(cast.TESTVIK, "00", demo_orgnr(cast.TESTVIK)), Secret(demo_pin(cast.TESTVIK)), live.key)
        place = tpf.upload(path, lambda _: None)
        assert work_once(live, point) == -signal.SIGKILL
        before = (
            {signed.sha256 for signed in tpf.receipts() if signed.receipt.sequence == live.sequence}
            if live.sequence > 1
            else set()
        )
        assert work_once(live) == 0
        state = tpf.state(place, 0)
        assert (state.state, state.receipts) == ("done", ("R1", "R2", "R5"))
        own = [signed for signed in tpf.receipts() if signed.receipt.sequence == live.sequence]
    check_tree(own)
    assert before <= {signed.sha256 for signed in own}
    assert {signed.receipt.kind.value for signed in own} == {"R1", "R2", "R5"}
    assert not [*(live.data / "forsendelser").iterdir(), *(live.data / "opplasting").iterdir()]
    forwarded = Counter(json.dumps(note, sort_keys=True) for note in live.ssb.notes)
    assert len(forwarded) == live.sequence


CROWD = (cast.TESTVIK, cast.NABO, cast.STORBY)
TOGETHER = [point for point in POINTS if point.partition(":")[0] in ("receive", "pseudonymise", "erase")]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """A room of its own for three municipalities, each with its machine."""
    ssb = SsbDouble()
    room = Room(tmp_path_factory.mktemp("tpf"), ssb)
    for kommune in CROWD:
        room.enrol(kommune)
    room.start("serve")
    room.keys, room.sequence = {kommune: cast.sender_key() for kommune in CROWD}, 0
    yield room
    room.close()
    ssb.close()


@pytest.mark.parametrize("point", TOGETHER)
def test_a_worker_killed_within_a_batch_loses_and_doubles_nothing_of_any(crowd, tmp_path, point):
    """The three lie in the queue together; after the kill each is taken by itself, wherever it stood."""
    crowd.sequence += 1
    for kommune in CROWD:
        facts = {"kommune": kommune, "sequence": crowd.sequence}
        (path,) = cast.seal(crowd.season, tmp_path / f"{kommune}.forsendelse", crowd.keys[kommune], **facts)
        with Receiver(crowd.url, "nb") as tpf:
            fields = Fields(kommune, "00", demo_orgnr(kommune))
            tpf.log_in(fields, Secret(demo_pin(kommune)), crowd.keys[kommune])
            tpf.upload(path, lambda _: None)
    assert work_once(crowd, point) == -signal.SIGKILL
    before = set(rows(crowd, "SELECT sha256 FROM tpf_receiptrow"))
    assert work_once(crowd) == 0
    found = rows(crowd, "SELECT forsendelse_id, content, signature, sha256 FROM tpf_receiptrow")
    assert before <= {(sha256,) for *_, sha256 in found}
    of_each = defaultdict(list)
    for parcel, content, signature, _ in found:
        of_each[parcel].append(SignedReceipt(content, signature.encode()))
    for receipts in of_each.values():
        check_tree(receipts)
        assert sorted(signed.receipt.kind for signed in receipts) == ["R1", "R2", "R5"]
    parcels = crowd.sequence * len(CROWD)
    assert len(of_each) == len(crowd.ssb.notes) == parcels
    assert rows(crowd, "SELECT state, count(*) FROM tpf_forsendelse GROUP BY state") == [("done", parcels)]
    assert rows(crowd, "SELECT DISTINCT state FROM tpf_upload") == [("unpacked",)]
    assert rows(crowd, "SELECT DISTINCT state FROM tpf_job") == [("done",)]
    assert not [*(crowd.data / "forsendelser").iterdir(), *(crowd.data / "opplasting").iterdir()]
    assert "whole" in crowd.run("audit").stdout


def rows(room, question):
    with closing(sqlite3.connect(f"file:{room.data / 'tpf.sqlite3'}?mode=ro", uri=True)) as database:
        return database.execute(question).fetchall()


def test_the_audit_chain_is_whole_after_all_of_it(live):
    assert "whole" in live.run("audit").stdout


def test_a_fault_point_is_refused_outside_the_test_environment():
    from pydantic import ValidationError

    from ipis.tpf.settings import TpfSettings

    with pytest.raises(ValidationError, match="fault_point"):
        TpfSettings(environment="demo", data=".", public_url="x", ssb_url="http://127.0.0.1:1", fault_point="x")
