"""The identity record of 32 bytes is written and read to the byte, and refused when a byte is out of place."""

import numpy as np
import pyarrow as pa
import pytest

from ipis.kernel.environment import Environment
from ipis.kernel.foedselsnummer import judge, read_identities
from ipis.kernel.identifiers import (
    FIELD_OF_REASON,
    RECORD_SIZE,
    RULE_OF_REASON,
    IdentifierClass,
    Identities,
    Reason,
    pack_identities,
    unpack_identities,
)

KEY = bytes(range(16))


def record(type_=1, length=11, digits=b"01815012352"):
    return KEY + bytes([type_, length]) + digits.ljust(14, b"\x00")


def packed(fids, types, environment=Environment.DEMO):
    identities = read_identities(pa.array(fids, pa.string()), pa.array(types), environment)
    keys = np.frombuffer(KEY * len(fids), np.uint8).reshape(-1, 16)
    return pack_identities(keys, identities, judge(identities, 2017, environment).reason).tobytes()


def test_records_are_laid_out_as_the_specification_says():
    content = packed(["01815012352", None, "018150", "0181501X352"], ["1", "1", "9", "1"])
    assert content[:32] == record()
    assert content[32:64] == record(1, 0, b"")
    assert content[64:96] == record(9, 6, b"018150")
    assert content[96:] == record(1, 128 + Reason.FORM, b"")


@pytest.mark.parametrize(
    ("fid", "type_id", "environment"),
    [
        ("01815012352", "1", Environment.PRODUCTION),
        ("01015012352", "1", Environment.DEMO),
        ("010150 12352", "1", Environment.DEMO),
        ("Kari Nordmann", "1", Environment.PRODUCTION),
        ("0101501", "1", Environment.PRODUCTION),
        ("200012345607", "1", Environment.PRODUCTION),
    ],
)
def test_what_must_not_travel_leaves_no_digit_in_the_record(fid, type_id, environment):
    content = packed([fid], [type_id], environment)
    assert content[17] >= 128
    assert content[18:] == bytes(14)


def test_what_is_packed_is_read_back():
    fids, types = ["01815012352", None, "01815012353", "x"], ["1", "7", "2", "1"]
    keys, identities = unpack_identities(packed(fids, types))
    assert keys.tobytes() == KEY * 4
    assert identities.types.tolist() == [1, 0, 2, 1]
    assert identities.lengths.tolist() == [11, 0, 11, 128 + Reason.FORM]
    assert judge(identities, 2017, Environment.DEMO).reason.tolist() == [
        Reason.OK, Reason.MISSING, Reason.CHECK_DIGITS, Reason.FORM,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        record()[:-1],
        record(type_=4),
        record(length=10, digits=b"0181501235"),
        record(length=128 + Reason.OK, digits=b""),
        record(length=128 + Reason.MISSING, digits=b""),
        record(length=200, digits=b""),
        record(digits=b"0181501235X"),
        record(digits=b"01815012352\x01"),
        record(length=0, digits=b"01815012352"),
        record(length=128 + Reason.FORM, digits=b"01815012352"),
        record(digits=b"0181501235\x00"),
    ],
)
def test_a_record_out_of_form_refuses_the_part_without_its_content(content):
    with pytest.raises(ValueError, match=r"^(an identity part|a record)") as refusal:
        unpack_identities(record() + content)
    assert "0181" not in str(refusal.value)


def test_an_empty_part_holds_nobody():
    keys, identities = unpack_identities(b"")
    assert keys.shape == (0, 16)
    assert len(identities) == 0
    assert len(packed([], [])) == 0
    assert RECORD_SIZE == 32


def test_every_reason_has_its_rule_and_field():
    assert set(RULE_OF_REASON) == set(FIELD_OF_REASON) == set(Reason)
    assert {rule for rules in RULE_OF_REASON.values() for rule in rules} == {f"K02{n}" for n in range(7)}
    assert [each.text for each in IdentifierClass] == ["unlinkable", "national"]


def test_identities_show_their_number_only():
    identities = Identities(np.zeros(3, np.uint8), np.zeros(3, np.uint8), np.zeros((3, 14), np.uint8))
    assert repr(identities) == "Identities(3)"
