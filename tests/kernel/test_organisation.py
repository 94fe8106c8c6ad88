"""Organisation numbers: modulus 11 and a first digit 8 or 9, alone and in columns."""

import pyarrow as pa
import pytest
import stdnum.no.orgnr
from hypothesis import given
from hypothesis import strategies as st

from ipis.kernel.demo import demo_care_unit, demo_orgnr
from ipis.kernel.organisation import are_orgnr, is_orgnr


@pytest.mark.parametrize(
    "text", ["", "97476088", "9747608851", "000000000", "123456785", "97476088x", "９74760673", "974760674"]
)
def test_what_has_not_form_and_check_digit_is_none(text):
    assert not is_orgnr(text)
    assert not are_orgnr(pa.array([text]))[0]


@given(st.from_regex(r"\A[0-9]{9}\Z"))
def test_the_check_digit_is_that_of_python_stdnum(text):
    """stdnum accepts any first digit; the register begins them with 8 or 9."""
    assert is_orgnr(text) == (stdnum.no.orgnr.is_valid(text) and text[0] in "89")


@given(st.lists(st.none() | st.from_regex(r"\A[89][0-9]{8}\Z") | st.text(max_size=10), max_size=20))
def test_a_column_is_judged_as_its_values_are(texts):
    assert are_orgnr(pa.array(texts, pa.string())).tolist() == [text is not None and is_orgnr(text) for text in texts]


def test_demo_numbers_are_valid():
    assert all(is_orgnr(demo_orgnr(k)) and is_orgnr(demo_care_unit(k, 3)) for k in ("0301", "0403", "2030"))
