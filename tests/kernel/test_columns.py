"""Typed columns: what parses is typed, what does not keeps its text, and Python's own parsers agree."""

import datetime as dt
from decimal import Decimal, InvalidOperation

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.kernel.extract_cast import LAYOUT

from ipis.kernel import columns

TJENESTE = LAYOUT.records["tjeneste"].fields
PERSON = LAYOUT.records["person"].fields


def parse(field, *texts):
    made = columns.column(field, pa.array(texts, pa.string()))
    return made[field.name].to_pylist(), made[f"{field.name}__raw"].to_pylist()


@pytest.mark.parametrize(
    "text",
    ["2017-02-29", "2017-13-01", "2017-00-10", "2017-01-32", "2017-1-1", "20170101", "2017-01-01 ", "1899-12-31",
     "9999-12-31", "2100-01-01", "2017/01/01", "01.01.2017", "i går", "２０17-01-01", "2017-01-1å", "----------"],
)  # fmt: skip
def test_what_is_no_day_keeps_its_text(text):
    assert parse(PERSON["legeDato"], "2016-02-29", text, None) == (
        [dt.date(2016, 2, 29), None, None],
        [None, text, None],
    )


day = st.dates(dt.date(1890, 1, 1), dt.date(2110, 12, 31)).map(str)
near_day = st.from_regex(r"\A(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]\Z")


@given(st.lists(st.none() | day | near_day | st.text(max_size=12), max_size=30))
def test_days_are_what_python_calls_days(texts):
    """Within 1900–2099, by `date.fromisoformat` on the same shape."""

    def by_python(text):
        if text is None or len(text) != 10 or text[4] != "-" or text[7] != "-" or not text.isascii():
            return None
        try:
            found = dt.date.fromisoformat(text)
        except ValueError:
            return None
        return found if 1900 <= found.year <= 2099 else None

    assert columns.days(pa.array(texts, pa.string())).to_pylist() == [by_python(text) for text in texts]


def test_days_of_a_slice_are_those_of_the_slice():
    """Arrow arrays may begin in the middle of their buffers."""
    whole = pa.array(["x", "2017-01-01", "2017-01-02", None, "2017-01-03"])
    assert columns.days(whole.slice(2)).to_pylist() == [dt.date(2017, 1, 2), None, dt.date(2017, 1, 3)]
    assert columns.days(whole.slice(1, 2)).to_pylist() == [dt.date(2017, 1, 1), dt.date(2017, 1, 2)]


def test_whole_numbers_parse_with_leading_zeros_and_minus():
    """A minus parses, so that the range rule and not the form rule speaks."""
    assert parse(TJENESTE["timerUke"], "7", "007", "-1", "168") == ([7, 7, -1, 168], [None] * 4)
    bad = ["1000", "3,5", "+3", " 3", "3 ", "1e2", "٣", "3\n"]
    assert parse(TJENESTE["timerUke"], *bad) == ([None] * len(bad), bad)


def test_decimals_have_a_point_and_their_scale():
    assert parse(TJENESTE["dognUke"], "3.5", "7", "-0.5") == (
        [Decimal("3.5"), Decimal("7.0"), Decimal("-0.5")],
        [None] * 3,
    )
    bad = ["3,5", "3.55", "123", ".5", "3."]
    assert parse(TJENESTE["dognUke"], *bad) == ([None] * len(bad), bad)


@given(st.lists(st.from_regex(r"\A-?[0-9]{1,4}(\.[0-9]{1,3})?\Z") | st.text(max_size=6), max_size=20))
def test_a_decimal_is_typed_or_kept_and_never_lost(texts):
    values, raw = parse(PERSON["privatHjelpTimer"], *texts)
    for text, value, kept in zip(texts, values, raw, strict=True):
        assert (value is None) == (kept == text)
        if value is not None:
            try:
                assert value == Decimal(text)
            except InvalidOperation:  # pragma: no cover - would be a wrong parse
                pytest.fail("typed what is no number")


def test_service_codes_get_their_leading_zero():
    made = columns.column(TJENESTE["kode"], pa.array(["1", "01", "x", None, "15", "٣"]))
    assert made == {"kode": pa.array(["01", "01", "x", None, "15", "٣"])}
    assert columns.column(TJENESTE["kode"], pa.array([None], pa.string()))["kode"].null_count == 1


def test_an_empty_column_costs_nothing():
    made = columns.column(TJENESTE["sluttDato"], pa.nulls(3, pa.string()))
    assert made["sluttDato"].type == pa.date32()
    assert made["sluttDato"].null_count == made["sluttDato__raw"].null_count == 3
