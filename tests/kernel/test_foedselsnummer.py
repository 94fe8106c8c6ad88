"""Identity numbers are judged the same for any column, agree with python-stdnum, and show nothing of themselves."""

import copy
import json
import pickle
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from stdnum.no import fodselsnummer as stdnum

from ipis.kernel.environment import Environment
from ipis.kernel.errors import ExtractRefused
from ipis.kernel.foedselsnummer import Foedselsnummer, judge, read_identities, refuse_real_numbers
from ipis.kernel.identifiers import HELD_BACK, Identities, Reason

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "identifiers.json").read_text(encoding="utf-8"))
YEAR = VECTORS["collection_year"]
FIRST, SECOND = (3, 7, 6, 1, 8, 9, 4, 5, 2), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)


def judged(fids, types, environment=Environment.DEMO, year=YEAR, **options):
    """Judge texts and give the columns as lists."""
    identities = read_identities(pa.array(fids, pa.string()), pa.array(types, pa.string()), environment)
    columns = judge(identities, year, environment, **options).columns()
    return [
        dict(zip(columns, row, strict=True)) for row in zip(*(c.to_pylist() for c in columns.values()), strict=True)
    ]


def with_check_digits(nine, first_remainder=0):
    """Append check digits; None where one of them would be ten."""
    one = (first_remainder - sum(int(d) * w for d, w in zip(nine, FIRST, strict=True))) % 11
    two = -sum(int(d) * w for d, w in zip(f"{nine}{one}", SECOND, strict=False)) % 11
    return None if 10 in (one, two) else f"{nine}{one}{two}"


@pytest.mark.parametrize("row", VECTORS["rows"], ids=lambda row: f"{row[1]}-{row[2]}-{row[3]}-{row[0]}")
def test_vector_is_judged_as_the_specification_says(row):
    fid, type_id, environment, reason, id_class, sex, born = row
    (answer,) = judged([fid], [type_id], Environment(environment))
    assert answer == {"id_reason": reason, "id_class": id_class, "kjoenn": sex, "foedselsaar": born}


def test_a_column_is_judged_as_its_values_one_by_one():
    """No row sees another: all vectors of an environment in one column, many times over several blocks."""
    rows = [row for row in VECTORS["rows"] if row[2] == "demo"] * 700
    together = judged([row[0] for row in rows], [row[1] for row in rows])
    assert [answer["id_reason"] for answer in together] == [row[3] for row in rows]
    assert [answer["foedselsaar"] for answer in together] == [row[6] for row in rows]


@given(
    st.dates(date(1854, 1, 1), date(2039, 12, 31)),
    st.integers(0, 999),
    st.integers(0, 99),
    st.booleans(),
    st.booleans(),
)
def test_stdnum_says_the_same_of_eleven_digits(born, individual, checks, d_number, right):
    """python-stdnum is the oracle, in production and, month − 80, in a demo."""
    nine = f"{born.day + 40 * d_number:02}{born:%m%y}{individual:03}"
    number = (with_check_digits(nine) if right else None) or f"{nine}{checks:02}"
    with time_machine.travel(date(YEAR, 12, 31)):
        expected = stdnum.is_valid(number)
    type_id = "2" if d_number else "1"
    assert (judged([number], [type_id], Environment.PRODUCTION)[0]["id_reason"] == "ok") is expected
    marked = nine[:2] + f"{int(nine[2:4]) + 80}" + nine[4:]
    synthetic = (with_check_digits(marked) if right else None) or f"{marked}{checks:02}"
    back = with_check_digits(nine)
    (answer,) = judged([synthetic], [type_id])
    if right and with_check_digits(marked) and back:
        with time_machine.travel(date(YEAR, 12, 31)):
            assert (answer["id_reason"] == "ok") is stdnum.is_valid(back)
            if answer["id_reason"] == "ok":
                assert answer["kjoenn"] == {"M": "1", "F": "2"}[stdnum.get_gender(back)]
                assert answer["foedselsaar"] == stdnum.get_birth_date(back).year


@given(st.text(max_size=20), st.text(max_size=3), st.sampled_from(Environment))
def test_any_text_is_judged_and_nothing_malformed_keeps_its_digits(fid, type_id, environment):
    identities = read_identities(pa.array([fid]), pa.array([type_id]), environment)
    reason = judge(identities, YEAR, environment).reason[0]
    assert Reason(reason) in Reason
    if identities.lengths[0] >= HELD_BACK:
        assert not identities.digits.any()
        assert reason == identities.lengths[0] - HELD_BACK


def test_chunked_sliced_and_null_columns_are_read():
    fid = pa.chunked_array([pa.array(["x", "01815012352", None])[1:], pa.array(["01815024598"])])
    type_id = pa.chunked_array([pa.array(["1", "1", "1"])])
    judgement = judge(read_identities(fid, type_id, Environment.DEMO), YEAR, Environment.DEMO)
    assert judgement.reason.tolist() == [Reason.OK, Reason.MISSING, Reason.OK]
    assert (
        len(
            judge(
                read_identities(pa.array([], pa.string()), pa.array([], pa.string()), Environment.DEMO),
                YEAR,
                Environment.DEMO,
            )
        )
        == 0
    )


@pytest.mark.parametrize(
    ("remainder", "rule", "reason"),
    [
        (0, "before_2032", "ok"),
        (1, "before_2032", "check_digits"),
        (3, "before_2032", "check_digits"),
        (0, "from_2032", "ok"),
        (1, "from_2032", "ok"),
        (2, "from_2032", "ok"),
        (3, "from_2032", "ok"),
        (4, "from_2032", "check_digits"),
    ],
)
def test_numbers_of_2032_are_a_rule_that_is_off(remainder, rule, reason):
    """Old numbers stay valid; new ones have other check digits and tell no sex."""
    number = next(filter(None, (with_check_digits(f"018105{n:03}", remainder) for n in range(500, 600))))
    (answer,) = judged([number], ["1"], remainders=rule)
    assert answer["id_reason"] == reason
    assert (answer["kjoenn"] is None) is (remainder > 0)


def test_the_rule_of_2032_is_off_unless_asked_for():
    number = next(filter(None, (with_check_digits(f"018105{n:03}", 2) for n in range(500, 600))))
    assert judged([number], ["1"])[0]["id_reason"] == "check_digits"


def test_real_numbers_refuse_an_extract_of_a_demo_by_count_only():
    identities = read_identities(pa.array(["01015012352", "01815012352"]), pa.array(["1", "1"]), Environment.DEMO)
    judgement = judge(identities, YEAR, Environment.DEMO)
    with pytest.raises(ExtractRefused) as refusal:
        refuse_real_numbers(judgement, Environment.DEMO)
    assert refusal.value.code == "numbers.real_in_test"
    assert refusal.value.params == {"count": 1, "environment": "demo"}
    refuse_real_numbers(judgement.take(np.array([1])), Environment.DEMO)


def test_both_parties_judge_a_held_back_value_alike():
    """TPF sees the reason where the municipality saw the text."""
    lengths = np.array([HELD_BACK + Reason.FORM, HELD_BACK + Reason.SYNTHETIC_IN_PRODUCTION], np.uint8)
    travelled = Identities(np.array([1, 9], np.uint8), lengths, np.zeros((2, 14), np.uint8))
    judgement = judge(travelled, YEAR, Environment.PRODUCTION)
    assert judgement.reason.tolist() == [Reason.FORM, Reason.SYNTHETIC_IN_PRODUCTION]
    assert not judgement.id_class.any()
    assert not judgement.foedselsaar.any()


def test_a_number_shows_and_carries_nothing():
    number = Foedselsnummer("01815012352")
    assert "0181" not in f"{number!r} {number!s} {number} {number:>40}"
    for carry in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            carry(number)
    assert number.reveal() == "01815012352"
    assert number == Foedselsnummer("01815012352")
    assert number != "01815012352"
    assert len({number, Foedselsnummer("01815012352")}) == 1
