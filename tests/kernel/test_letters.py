"""What the two letters fix, value by value, stands in the definitions of their years (L16, L17; domain §1)."""

from datetime import UTC, date, datetime

import pytest

from ipis.kernel.calendar import OSLO
from ipis.kernel.collection import packaged

# The letters in words, then the value in each year: 2016, 2017.
LETTERS = [
    ("module 1.4 in both", lambda c: c.versions.module, "1.4", "1.4"),
    ("guide 2.1, then 2.3", lambda c: c.versions.guide, "2.1", "2.3"),
    ("new key before submission; after 1 December", lambda c: c.versions.new_key_from_on, date(2016, 12, 1), date(2017, 12, 1)),
    ("the period is the whole year", lambda c: (c.begins_on, c.ends_on), (date(2016, 1, 1), date(2016, 12, 31)), (date(2017, 1, 1), date(2017, 12, 31))),
    ("open from 2 January", lambda c: c.window.opens_at, datetime(2017, 1, 2, tzinfo=OSLO), datetime(2018, 1, 2, tzinfo=OSLO)),
    ("last day 15 January", lambda c: c.window.closes_at, datetime(2017, 1, 16, tzinfo=OSLO), datetime(2018, 1, 16, tzinfo=OSLO)),
    ("corrections before 1 April; by 21 March", lambda c: c.window.corrections_until, datetime(2017, 4, 1, tzinfo=OSLO), datetime(2018, 3, 22, tzinfo=OSLO)),
    ("receipts every morning at 08:00", lambda c: c.receipt.hour, 8, 8),
    ("when arrived; when arrived and loaded", lambda c: c.receipt.after, "arrived", "loaded"),
    ("contact by e-mail", lambda c: c.contact.email.required, True, True),
    ("a telephone only in 2017", lambda c: c.contact.phone.asked, False, True),
    ("preferably mobile", lambda c: c.contact.phone.prefer, "mobile", "mobile"),
    ("no telephone is no hindrance", lambda c: c.contact.phone.required, False, False),
    ("feedback in week 6", lambda c: c.feedback.announced_from_on.isocalendar()[:2], (2017, 6), (2018, 6)),
    ("ours answers at once", lambda c: c.feedback.available, "at_once", "at_once"),
    ("published 15 March", lambda c: c.publication.preliminary_on, date(2017, 3, 15), date(2018, 3, 15)),
    ("and in mid-June", lambda c: c.publication.final_on, date(2017, 6, 15), date(2018, 6, 15)),
    ("00 in bydel", lambda c: c.no_bydel, "00", "00"),
    ("municipalities", lambda c: len(c.kommuner), 428, 426),
    ("password: at least 6 characters", lambda c: c.password.minimum_length, 6, 6),
    ("a letter and a digit", lambda c: (c.password.letters, c.password.digits), (1, 1), (1, 1)),
    ("unlike the user name", lambda c: c.password.unlike_username, True, True),
    ("links for 60 minutes", lambda c: c.password.link_minutes, 60, 60),
    ("send to", lambda c: c.addresses["sending"], "https://iplos.nhn.no/Sendemodul/", "https://iplos.nhn.no/Sendemodul/"),
    ("ask SSB", lambda c: c.addresses["ssb"], "iplos@ssb.no", "iplos@ssb.no"),
    ("ask the directorate", lambda c: c.addresses["directorate"], "IPLOS@helsedir.no", "IPLOS@helsedir.no"),
    ("portal mails come from", lambda c: c.addresses["sender"], "MoveitFilsluse@ssb.no", "MoveitFilsluse@ssb.no"),
    ("the portal", lambda c: c.addresses["portal"], "https://filsluse.ssb.no", "https://filsluse.ssb.no"),
    ("minimum: municipality and district", lambda c: set(c.minimum_fields) >= {"uttrekk.kommuneNr", "uttrekk.bydel"}, True, True),
    ("minimum: the person's identity", lambda c: "person.fid" in c.minimum_fields, True, True),
    ("minimum: services and refusals", lambda c: set(c.minimum_fields) >= {"tjeneste.kode", "vedtak.utfall"}, True, True),
]  # fmt: skip

# "institusjoner og boliger med fast tilknyttet personell" (L16); "på noen tjenester … boligopplysninger og GPS … ikke" (L17, and the page on
# organisation numbers): code, 2016, 2017.
ORGNR = """
01 optional required            | 02 optional required            | 03 optional required | 04 optional required
05 optional optional            | 06 optional optional            | 07 optional optional | 08 required required
09 optional optional            | 11 optional optional            | 12 required_if_staffed forbidden
13 required_if_staffed forbidden| 14 optional optional            | 15 optional required | 16 optional optional
17 required required            | 18 required required            | 19 required required | 20 required required
21 required required            | 22 required required            | 23 optional optional | 24 optional optional
25 required required            | 26 optional forbidden           | 27 - - | 28 - - | 29 - -
"""


@pytest.mark.parametrize(("words", "value", "first", "second"), LETTERS, ids=[row[0] for row in LETTERS])
def test_the_definitions_say_what_the_letters_say(words, value, first, second):
    assert (value(packaged("iplos", 2016)), value(packaged("iplos", 2017))) == (first, second), words


def test_each_service_has_the_years_rule_for_the_organisation_number():
    drawn = [cell.split() for line in ORGNR.split("\n") for cell in line.split("|") if cell.strip()]
    for place, year in enumerate((2016, 2017), 1):
        listed = packaged("iplos", year).codes["service_types"]
        found = dict(zip(listed["code"].to_pylist(), listed["orgnr"].to_pylist(), strict=True))
        assert {code: rule or "-" for code, rule in found.items()} == {row[0]: row[place] for row in drawn}


def test_the_windows_are_instants_of_oslo_in_winter_and_summer():
    """1 April 2017 is summer time, the other deadlines are in winter."""
    in_utc = [
        [each.astimezone(UTC).isoformat() for each in (w.opens_at, w.closes_at, w.corrections_until)]
        for w in (packaged("iplos", year).window for year in (2016, 2017))
    ]
    assert in_utc == [
        ["2017-01-01T23:00:00+00:00", "2017-01-15T23:00:00+00:00", "2017-03-31T22:00:00+00:00"],
        ["2018-01-01T23:00:00+00:00", "2018-01-15T23:00:00+00:00", "2018-03-21T23:00:00+00:00"],
    ]


def test_districts_are_those_of_the_four_cities():
    """Oslo 01–17, Stavanger 01–07, Bergen 01–08, Trondheim 01–04, by the year's numbers; Oslo's first fifteen submit apart."""
    for year in (2016, 2017):
        collection = packaged("iplos", year)
        found: dict[str, list[str]] = {}
        for row in collection.codes["bydeler"].to_pylist():
            found.setdefault(row["kommune"], []).append(row["code"])
        assert {kommune: (min(codes), max(codes), len(codes)) for kommune, codes in found.items()} == {
            "0301": ("01", "17", 17), "1103": ("01", "07", 7), "1201": ("01", "08", 8), "1601": ("01", "04", 4),
        }  # fmt: skip
        assert collection.agreements == {"0301": {f"{bydel:02}" for bydel in range(1, 16)}}


def test_mergers_have_their_successors():
    """Sandefjord after 2016; Holmestrand, Larvik, Færder and Indre Fosen after 2017."""
    assert packaged("iplos", 2016).successors == {"0706": "0710", "0719": "0710", "0720": "0710"}
    merged = {
        row["code"]: row["successor"]
        for row in packaged("iplos", 2017).codes["successors"].to_pylist()
        if row["kind"] == "merge"
    }
    assert merged == {
        "0702": "0715", "0714": "0715", "0709": "0712", "0728": "0712", "0722": "0729", "0723": "0729", "1624": "5054", "1718": "5054",
    }  # fmt: skip
