"""One forsendelse from login to R5, as the municipality and the disk see it."""

import json

import pytest

from ipis.kernel.receipt import Kind, SignedReceipt, check_tree
from tests.tpf import season as cast


def receipts(machine, identifier):
    rows = machine.get(f"/api/v1/forsendelser/{identifier}/kvitteringer").json()
    import base64

    return {row["kind"]: SignedReceipt(base64.b64decode(row["receipt"]), row["signature"].encode()) for row in rows}


def test_a_forsendelse_is_received_pseudonymised_and_its_identities_deleted(testvik, work, season, room):
    """R1, R2 and R5 verify by the season pack and form a tree; no identity part is left on disk."""
    path = testvik.seal()
    place = testvik.log_in().upload(path)
    work()
    state = testvik.get(place).json()
    assert state["state"] == "erased", state
    found = receipts(testvik, state["forsendelse"])
    assert list(found) == ["R1", "R2", "R5"]
    keys = season.pack.signing_keys("tpf-receipt")
    said = {kind: signed.verify(keys, cast.TEST) for kind, signed in found.items()}
    check_tree(found.values())
    assert said["R1"].phase == "open"
    assert said["R1"].details == {"pin_generation": 1}
    assert said["R2"].details["class_national"] == 5
    assert not list(room.data.rglob("identity-*"))
    assert not list(room.uploads.iterdir())
