"""`send`, `receipts` and `pack` against a real TPF on loopback."""

import json
import os

import pytest
from tests.kommune.tpf_room import Room, SsbDouble, send_words
from tests.tpf import season as cast

from ipis.__main__ import run
from ipis.kernel.environment import Environment
from ipis.kommune.keyring import Keyring


@pytest.fixture(scope="module")
def ssb():
    double = SsbDouble()
    yield double
    double.close()


@pytest.fixture(scope="module")
def room(ssb, tmp_path_factory):
    room = Room(tmp_path_factory.mktemp("tpf"), ssb)
    room.enrol()
    room.enrol(cast.NABO)
    room.start("serve").start("work")
    yield room
    room.close()


@pytest.fixture
def in_window(room):
    room.turn(cast.IN_WINDOW)
    return room


@pytest.fixture(scope="module")
def keyring(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keyring")
    folder.chmod(0o700)
    Keyring(folder).sender_key(Environment.TEST)
    return folder


def seal(room, keyring, out, **facts):
    key = Keyring(keyring).sender_key(Environment.TEST)
    return cast.seal(room.season, out, key, **facts)


def pin_of(room, kommune=cast.TESTVIK):
    return room.folder / f"pin-{kommune}"


def test_send_waits_for_r1_and_proves_it(in_window, keyring, tmp_path, capsys):
    files = seal(in_window, keyring, tmp_path / "a.forsendelse")
    receipt = tmp_path / "R1.json"
    code = run(["kommune", "send", *send_words(in_window, files, keyring, pin_of(in_window), receipt=receipt)])
    assert code == 0, capsys.readouterr().err
    assert json.loads(receipt.read_bytes())["kind"] == "R1"
    assert (tmp_path / "R1.json.sig").read_bytes().startswith(b"-----BEGIN SSH SIGNATURE")
