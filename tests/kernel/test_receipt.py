"""Receipts: signed by their issuer, readable offline, forming a tree."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ipis.kernel.canonical import dumps, loads
from ipis.kernel.environment import Environment
from ipis.kernel.errors import IpisError
from ipis.kernel.receipt import CAUSED_BY, ISSUER, Kind, Receipt, SignedReceipt, check_tree, short_code, sign
from ipis.kernel.signature import SigningKey

TPF = SigningKey.from_seed(bytes([1]) * 32, "tpf-receipt", Environment.DEMO)
SSB = SigningKey.from_seed(bytes([2]) * 32, "ssb-receipt", Environment.DEMO)
FIRST = Receipt(
    kind=Kind.R1,
    forsendelse="ab" * 16,
    register="iplos",
    year=2017,
    kommune="0403",
    bydel="00",
    sequence=1,
    environment=Environment.DEMO,
    manifest_sha256="cd" * 32,
    issuer="tpf",
    at=datetime(2018, 1, 3, 10, 0, tzinfo=UTC),
    phase="open",
    audit_head="ef" * 32,
    causes=None,
    details={"pin_generation": 1, "note": None, "text": "ok"},
)


def code_of(call, *args, **kwargs):
    with pytest.raises(IpisError) as caught:
        call(*args, **kwargs)
    return caught.value.code


def caused(kind, cause, **changes):
    receipt = replace(FIRST, kind=kind, issuer=ISSUER[kind], causes=cause.sha256, **changes)
    return sign(receipt, TPF if ISSUER[kind] == "tpf" else SSB)


@pytest.fixture
def tree():
    first = sign(FIRST, TPF)
    second = caused(Kind.R2, first)
    third = caused(Kind.R3, second)
    return [first, second, third, caused(Kind.R4, third, details={"zip_sha256": "0" * 64}), caused(Kind.R5, second)]


def test_a_receipt_reads_back_as_it_was_signed(tree):
    for signed in tree:
        assert signed.receipt.to_bytes() == signed.data
    assert tree[0].verify([TPF.public], Environment.DEMO) == FIRST
    assert FIRST.file_name == f"{'ab' * 16}.R1.json"


def test_a_receipt_is_refused_under_another_key_environment_or_content(tree):
    first = tree[0]
    assert code_of(first.verify, [SSB.public], Environment.DEMO) == "signature.other_key"
    assert code_of(first.verify, [TPF.public], Environment.PRODUCTION) == "parcel.environment"
    changed = SignedReceipt(first.data.replace(b'"sequence":1', b'"sequence":2'), first.signature)
    assert code_of(changed.verify, [TPF.public], Environment.DEMO) == "signature.wrong"


def test_five_receipts_form_a_tree(tree):
    check_tree(tree)
    check_tree(tree[:1])
    check_tree([])


def test_identities_deleted_after_a_refusal_hang_on_the_first_receipt(tree):
    check_tree([tree[0], caused(Kind.R5, tree[0])])


def test_a_receipt_without_its_cause_or_with_a_wrong_one_is_refused(tree):
    first, second, third, _, _ = tree
    other = sign(replace(FIRST, sequence=2), TPF)
    foreign = caused(Kind.R2, first, forsendelse="00" * 16)
    other_manifest = caused(Kind.R2, first, manifest_sha256="00" * 32)
    for wrong in (
        [second],
        [first, third],
        [other, second],
        [first, caused(Kind.R3, first)],
        [first, foreign],
        [first, other_manifest],
    ):
        assert code_of(check_tree, wrong) == "parcel.receipt_tree"


def test_every_kind_has_an_issuer_and_a_place_in_the_tree():
    assert set(ISSUER) == set(CAUSED_BY) == set(Kind)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "R6"},
        {"issuer": "ssb"},
        {"causes": "00" * 32},
        {"details": [1]},
        {"details": {"a": [1]}},
        {"audit_head": "x"},
        {"format": 2},
        {"extra": 1},
    ],
)
def test_a_receipt_that_is_not_as_agreed_is_refused(change):
    raw = dumps({**loads(FIRST.to_bytes(), what="receipt"), **change})
    assert code_of(Receipt.parse, raw) == "parcel.field"


def test_only_the_first_receipt_has_no_cause():
    raw = dumps({**loads(FIRST.to_bytes(), what="receipt"), "kind": "R2"})
    assert code_of(Receipt.parse, raw) == "parcel.field"


def test_the_short_code_is_twelve_letters_that_nobody_misreads(tree):
    codes = [signed.short_code for signed in tree]
    assert len(set(codes)) == len(codes)
    assert all(len(code) == 12 and not set(code) & set("ILOU") for code in codes)
    assert short_code(b"") == "WERC8GMRZGE1"
