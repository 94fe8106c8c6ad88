"""The header against the year: wrong year, period, municipality, district and organisation number, each with its K-rule."""

from datetime import date, datetime, timedelta, timezone

import pytest
from tests.kernel.extract_cast import COLLECTION, header
from tests.kernel.years import copied_year

from ipis.kernel.collection import packaged
from ipis.kernel.demo import demo_orgnr
from ipis.kernel.errors import LANGUAGES, ExtractRefused
from ipis.kernel.header import judge_header


def refused(written, collection=COLLECTION, **more):
    with pytest.raises(ExtractRefused) as caught:
        judge_header(written, collection, **more)
    for language in LANGUAGES:
        text = caught.value.render(language)
        assert "{" not in text.found + text.expected + text.do
    return caught.value.code, caught.value.rule


def test_a_right_header_comes_out_typed():
    judged = judge_header(header(innsending="12"), COLLECTION, organisations={"0403": demo_orgnr("0403")})
    assert (judged.kommune, judged.bydel, judged.orgnr) == ("0403", "00", demo_orgnr("0403"))
    assert (judged.year, judged.innsending) == (2017, 12)
    assert (judged.begins_on, judged.ends_on) == (date(2017, 1, 1), date(2017, 12, 31))
    assert judged.extracted_at == datetime(2018, 1, 2, 9, 30, tzinfo=timezone(timedelta(hours=1)))


def test_another_year_is_refused_by_name():
    assert refused(header(), packaged("iplos", 2016)) == ("extract.year", "K005")
    assert refused(header(aargang="2018")) == ("extract.year", "K005")


@pytest.mark.parametrize(
    "changes",
    [{"fraDato": "2017-01-02"}, {"tilDato": "2017-12-30"}, {"fraDato": "2016-01-01"}, {"tilDato": "2018-01-01"}],
)
def test_a_period_that_is_not_the_whole_year_is_refused(changes):
    assert refused(header(**changes)) == ("extract.period", "K006")


@pytest.mark.parametrize(
    ("year", "kommune", "right"),
    [(2017, "5001", False), (2017, "1601", True), (2017, "0710", True), (2016, "0710", False), (2016, "0719", True),
     (2017, "0719", False), (2017, "9999", False), (2017, "0000", False)],
)  # fmt: skip
def test_the_municipality_must_be_of_the_collection_year(year, kommune, right):
    """5001 Trondheim from 2018 is wrong for 2017, and 1601 in January 2018 is right (L17)."""
    period = {"aargang": str(year), "fraDato": f"{year}-01-01", "tilDato": f"{year}-12-31"}
    written = header(kommuneNr=kommune, orgNr=demo_orgnr("0403"), **period)
    if right:
        assert judge_header(written, packaged("iplos", year)).kommune == kommune
    else:
        assert refused(written, packaged("iplos", year)) == ("extract.kommune", "K007")


def test_a_district_needs_an_agreement():
    """The season pack's agreements replace those of the collection."""
    oslo = header(kommuneNr="0301", bydel="03")
    assert judge_header(oslo, COLLECTION).bydel == "03"
    assert refused(oslo, agreements={}) == ("extract.bydel", "K008")
    assert refused(header(bydel="01")) == ("extract.bydel", "K008")
    assert judge_header(header(bydel="01"), COLLECTION, agreements={"0403": frozenset({"01"})}).bydel == "01"


def test_another_municipality_s_number_is_refused():
    assert refused(header(orgNr=demo_orgnr("0402")), organisations={"0403": demo_orgnr("0403")}) == (
        "extract.orgnr",
        "K010",
    )
    assert refused(header(), organisations={}) == ("extract.orgnr", "K010")
    assert refused(header(orgNr="123456785")) == ("extract.orgnr_form", "K010")


def test_after_a_merger_the_successor_s_number_answers():
    """0723 Tjøme became Færder on 1 January 2018; the pack names the number that answers."""
    written = header(kommuneNr="0723", orgNr=demo_orgnr("0729"))
    assert judge_header(written, COLLECTION, organisations={"0723": demo_orgnr("0729")}).kommune == "0723"


@pytest.mark.parametrize("field", sorted(COLLECTION.layout.header.fields))
def test_every_part_of_the_header_must_be_there(field):
    assert refused(header(**{field: None})) == ("extract.header_missing", "K004")


@pytest.mark.parametrize(
    "changes",
    [{"aargang": "to"}, {"aargang": "20171"}, {"innsending": "0"}, {"innsending": "-1"}, {"innsending": "٣"},
     {"fraDato": "20170101"}, {"fraDato": "2017-02-30"}, {"uttakTid": "2018-01-02"}, {"uttakTid": "2018-01-02T09:30:00"},
     {"uttakTid": "nå"}, {"kommuneNr": "403"}, {"bydel": "1"}, {"bydel": "00\n"}, {"leverandor": "x" * 101}],
)  # fmt: skip
def test_a_malformed_part_is_refused(changes):
    assert refused(header(**changes)) == ("extract.header_form", "K004")


def test_another_format_is_refused():
    assert refused(header(formatVersjon="2.0")) == ("extract.format", "K004")


def test_a_copied_year_judges_by_its_own_data(tmp_path):
    later = copied_year(tmp_path, 2099)
    written = header(aargang="2099", fraDato="2099-01-01", tilDato="2099-12-31")
    assert judge_header(written, later).year == 2099
    assert refused(header(), later) == ("extract.year", "K005")
