"""The summary measure of need (samlemål; domain §3), drawn: scores in, level out. Families and thresholds are data."""

import csv
from functools import cache

import pytest

from ipis.kernel.collection import packaged
from ipis.validation import examples
from ipis.validation.relations import derived
from ipis.validation.run import Content

COLLECTION = packaged("iplos", 2017)

# Scores by sub-measure: self-care (F04 F08 F09 F10 F12), cognitive (F02 F13 F14), social (F01 F15), household (F05 F06 F07 F11),
# own health (F03); sight and hearing are in none. - is not filled in, 9 not relevant.
DRAWN = """
  self-care cognitive social household own  level       why
  11111     111       11     1111      1    noe         nothing above 2.0
  22222     222       22     2222      2    noe         2.0 is not above 2.0
  22223     222       22     2222      2    middels     self-care 2.2
  22222     222       22     2223      2    middels     household 2.25
  22222     222       22     2222      3    middels     own health 3.0
  33333     333       33     3333      3    middels     3.0 is not above 3.0
  33334     111       11     1111      1    omfattende  self-care 3.2
  11111     334       11     1111      1    omfattende  cognitive 3.3
  11111     111       34     1111      1    omfattende  social 3.5
  11111     111       11     5555      5    middels     household and own health alone do not make it extensive
  99999     999       99     9999      9    noe         not relevant counts as no problem
  95999     999       99     9999      9    noe         so one score of five is lost in the mean: 1.8
  55---     111       11     1111      1    noe         two of five are less than half: self-care is not counted
  555--     111       11     1111      1    omfattende  three of five are more than half
  11111     5--       11     1111      1    noe         one of three is less than half
  11111     55-       11     1111      1    omfattende  two of three are not
  11111     111       5-     1111      1    omfattende  one of two is half
  11111     111       11     5---      1    noe         one of four is less than half
  11111     111       --     ----      -    uoppgitt    eight are filled in
  11111     111       11     ----      -    noe         ten are filled in
  5555-     555       5-     1---      -    uoppgitt    nine are filled in
  -----     ---       --     ----      -    uoppgitt    nothing is filled in
"""
PLACES = ("F04 F08 F09 F10 F12", "F02 F13 F14", "F01 F15", "F05 F06 F07 F11", "F03")


def scores(cells):
    """Spread the drawn scores over the variables."""
    row = {}
    for places, drawn in zip(PLACES, cells, strict=True):
        row |= {name: None if score == "-" else score for name, score in zip(places.split(), drawn, strict=True)}
    return row


def lines():
    for line in DRAWN.strip().split("\n")[1:]:
        *cells, level, why = line.split(maxsplit=6)
        yield scores(cells), level, why.strip()


def levels(assessments, persons=({},)):
    """Give the level of each assessment, and each person's."""
    records = COLLECTION.layout.records
    rows = {"person": list(persons), "vurdering": assessments}
    tables = {name: examples.table(record, rows.get(name, [])) for name, record in records.items()}
    wanted = [("vurdering", "bistandsnivaa"), ("person", "bistandsnivaa"), ("person", "nyeste_vurdering")]
    with derived(COLLECTION, [Content(tables, {}, None)], wanted) as relations:
        return [
            relations.engine.query(f"SELECT bistandsnivaa FROM {relations.names[name]} ORDER BY _row")
            .column("bistandsnivaa")
            .to_pylist()
            for name in ("vurdering", "person")
        ]


@cache
def drawn_levels():
    """Judge all drawn lines at once, each the assessment of a person of its own."""
    rows = [{"dato": "2017-03-01", **row, "_person": place} for place, (row, _, _) in enumerate(lines())]
    return levels(rows, [{}] * len(rows))


@pytest.mark.parametrize(
    ("place", "level"), [pytest.param(place, level, id=why) for place, (_, level, why) in enumerate(lines())]
)
def test_scores_come_to_a_level(place, level):
    of_assessments, of_persons = drawn_levels()
    assert (of_assessments[place], of_persons[place]) == (level, level)


def test_a_person_has_the_level_of_the_newest_assessment_up_to_the_end_of_the_year():
    large, small = scores(["55555", "555", "55", "5555", "5"]), scores(["11111", "111", "11", "1111", "1"])
    assessments = [
        {"dato": "2017-03-01", **large, "_person": 0},
        {"dato": "2016-03-01", **small, "_person": 0},
        {"dato": "2018-01-01", **small, "_person": 0},
        {"dato": "2015-03-01", **small, "_person": 1},
    ]
    assert levels(assessments, [{}, {}, {}])[1] == ["omfattende", "noe", "uoppgitt"]


def test_the_families_are_those_of_the_list_of_variables():
    families = COLLECTION.layout.records["vurdering"].families
    listed = csv.DictReader(COLLECTION.folder["codes/bistandsvariabler.csv"].decode("utf-8").splitlines())
    by_measure: dict[str, list[str]] = {}
    for row in listed:
        by_measure.setdefault(row["sub_measure"], []).append(row["code"])
    assert by_measure.pop("none") == ["F16", "F17"]
    assert by_measure == {name: list(members) for name, members in families.items() if name != "F"}
