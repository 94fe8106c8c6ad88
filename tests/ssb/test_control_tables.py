"""Every control table against figures counted by hand from the deliveries drawn in `tables_drawn`."""

import pytest
from tests.ssb.tables_drawn import DRAWN, FINDINGS, OUTCOMES, cells_of, collection, delivery, figures, table

from ipis.kernel.collection import DefinitionFolder, load
from ipis.ssb.tables.compute import CELLS, Counted, compute_many, findings_of, outcomes_of
from ipis.ssb.tables.definition import load_tables
from ipis.validation import rulebook

YEARS = (2016, 2017)


@pytest.fixture(scope="module")
def year():
    """The year that is drawn."""
    return collection()


@pytest.fixture(scope="module")
def cells(year):
    """All cells of the drawn delivery."""
    return cells_of(delivery(year), year)


@pytest.mark.parametrize("number", YEARS)
def test_both_years_have_all_27_tables_in_three_languages(number):
    """T01 to T27, each key and measure with its words."""
    tables = load_tables(collection(number))
    assert [each.id for each in tables] == [f"T{n:02}" for n in range(1, 28)]
    for each in tables:
        texts = [each.title, *(key.label for key in each.keys), *(measure.label for measure in each.measures)]
        assert all(set(text) == {"nb", "nn", "en"} and all(text.values()) for text in texts), each.id


COUNTED = {
    ("T01", "poster"): {("person", "godtatt"): 1, ("person", "merknad"): 1, ("person", "*"): 2, ("tjeneste", "utenfor"): 1, ("tjeneste", "*"): 1},
    ("T02", "funn"): {("K063", "feil"): 2, ("K031", "info"): 1, ("*", "feil"): 2, ("*", "info"): 1},
    ("T03", "personer"): {
        ("1", "0"): 1, ("2", "18"): 1, ("2", "67"): 1, ("1", "80"): 1, ("2", "90"): 1, (): 1,
        ("1", "*"): 2, ("2", "*"): 3, ("*",): 1, ("*", "0"): 1, ("*", "18"): 1, ("*", "67"): 1, ("*", "80"): 1, ("*", "90"): 1, ("*", "*"): 6,
    },
    ("T04", "personer"): {("ok",): 4, ("not_linkable",): 1, ("missing",): 1, ("*",): 6},
    ("T05", "brukere"): {("01",): 1, ("06",): 1, ("09",): 1, ("12",): 1, ("15",): 3, ("20",): 1, ("21",): 1, ("*",): 5},
    ("T06", "brukere"): {("01",): 1, ("09",): 1, ("12",): 1, ("15",): 3, ("21",): 1, ("*",): 5},
    ("T07", "brukere"): {
        ("home", "18"): 1, ("home", "67"): 1, ("home", "90"): 1, ("home", "*"): 3, ("activity", "0"): 1, ("activity", "*"): 1,
        ("institution", "80"): 1, ("institution", "*"): 1, ("housing", "90"): 1, ("housing", "*"): 1,
        ("*", "0"): 1, ("*", "18"): 1, ("*", "67"): 1, ("*", "80"): 1, ("*", "90"): 1, ("*", "*"): 5,
    },
    ("T08", "personer"): {("1",): 3, ("3",): 2, ("*",): 5},
    ("T08", "andel"): {("1",): 60, ("3",): 40, ("*",): 100},
    ("T10", "antall"): {("01",): 1, ("09",): 1, ("15",): 3, ("*",): 5},
    ("T10", "mangler"): {("01",): 0, ("09",): 0, ("15",): 1, ("*",): 1},
    ("T10", "snitt"): {("01",): 2, ("09",): 4.5, ("15",): 21.5, ("*",): 12.375},
    ("T10", "median"): {("01",): 2, ("09",): 4.5, ("15",): 21.5, ("*",): 3.75},
    ("T10", "p95"): {("01",): 2, ("09",): 4.5, ("15",): 38.15, ("*",): 4.5 + 0.85 * 35.5},
    ("T10", "maks"): {("01",): 2, ("09",): 4.5, ("15",): 40, ("*",): 40},
    ("T11", "timer"): {("01",): 2 * 365 / 7, ("09",): 4.5 * 306 / 7, ("15",): (40 * 92 + 3 * 365) / 7, ("*",): (2 * 365 + 4.5 * 306 + 40 * 92 + 3 * 365) / 7},
    ("T12", "doegn"): {("21",): 365, ("20",): 10, ("*",): 375},
    ("T12", "brukere"): {("21",): 1, ("20",): 1, ("*",): 2},
    ("T13", "vedtak"): {("09",): 1, ("15",): 3, ("*",): 4},
    ("T13", "innvilget"): {("09",): 1, ("15",): 1, ("*",): 2},
    ("T13", "avslag"): {("09",): 0, ("15",): 1, ("*",): 1},
    ("T13", "venter"): {("09",): 0, ("15",): 1, ("*",): 1},
    ("T13", "avslagsandel"): {("09",): 0, ("15",): 50, ("*",): 100 / 3},
    ("T14", "vedtak"): {("09",): 1, ("15",): 2, ("*",): 3},
    ("T14", "median"): {("09",): 30, ("15",): 15, ("*",): 20},
    ("T14", "p90"): {("09",): 30, ("15",): 19, ("*",): 28},
    ("T16", "brukere"): {
        ("egen", "804030018"): 1, ("egen", "804030107"): 2, ("egen", "*"): 3, ("annen", "801010008"): 1, ("annen", "*"): 1,
        ("ukjent", "899999991"): 1, ("ukjent", "*"): 1, ("*", "*"): 4,
    },
    ("T17", "brukere"): {
        ("begge", "noe"): 1, ("begge", "*"): 1, ("helse", "middels"): 1, ("helse", "uoppgitt"): 1, ("helse", "*"): 2, ("langtid", "omfattende"): 1,
        ("langtid", "*"): 1, ("annet", "uoppgitt"): 1, ("annet", "*"): 1,
        ("*", "noe"): 1, ("*", "middels"): 1, ("*", "omfattende"): 1, ("*", "uoppgitt"): 2, ("*", "*"): 5,
    },
    ("T19", "brukere"): {("0",): 1, ("92",): 1, ("184",): 1, ("366",): 1, (): 1, ("*",): 5},
    ("T19", "andel"): {("0",): 20, ("92",): 20, ("184",): 20, ("366",): 20, (): 20, ("*",): 100},
    ("T22", "brukere"): {("alle",): 2, ("icd10",): 1, ("icpc2",): 2, ("P",): 2},
    ("T22", "andel"): {("alle",): 40, ("icd10",): 20, ("icpc2",): 40, ("P",): 40},
    ("T23", "brukere"): {("noe",): 1, ("middels",): 1, ("omfattende",): 1, ("uoppgitt",): 2, ("*",): 5},
    ("T23", "plan"): {("noe",): 0, ("middels",): 0, ("omfattende",): 1, ("uoppgitt",): 1, ("*",): 2},
    ("T23", "plan_andel"): {("noe",): 0, ("middels",): 0, ("omfattende",): 100, ("uoppgitt",): 50, ("*",): 40},
    ("T23", "koordinator"): {("noe",): 0, ("middels",): 0, ("omfattende",): 0, ("uoppgitt",): 1, ("*",): 1},
    ("T25", "personer"): {("0403", "00"): 4, ("0403", "*"): 4, ("0412", "00"): 1, ("0412", "*"): 1, (): 1, ("*",): 1, ("*", "*"): 6},
    ("T25", "gjester"): {("0403", "00"): 0, ("0403", "*"): 0, ("0412", "00"): 1, ("0412", "*"): 1, (): 0, ("*",): 0, ("*", "*"): 1},
    ("T26", "mange_timer"): {("0",): 0, ("18",): 1, ("67",): 0, ("90",): 0, ("*",): 1},
    ("T26", "hjemmeboende"): {("0",): 1, ("18",): 1, ("67",): 1, ("90",): 1, ("*",): 4},
    ("T26", "andel"): {("0",): 0, ("18",): 100, ("67",): 0, ("90",): 0, ("*",): 25},
    ("T27", "poster"): {("person",): 2, ("tjeneste",): 1, ("*",): 3},
    ("T27", "merknad"): {("person",): 1, ("tjeneste",): 0, ("*",): 1},
    ("T27", "utenfor"): {("person",): 0, ("tjeneste",): 1, ("*",): 1},
}  # fmt: skip


@pytest.mark.parametrize("about", COUNTED, ids="-".join)
def test_the_figures_are_those_counted_by_hand(cells, about):
    """Cells with nobody in them have no row here; the finished table fills them."""
    assert figures(cells, *about) == pytest.approx(COUNTED[about])


def test_who_lives_at_home_and_who_stays_are_mapped_item_by_item(cells):
    """T20 and T21 have no keys: each measure is a row. Unknown counts as not mapped."""
    found = {
        of: {row["measure"]: row["value"] for row in cells.to_pylist() if row["table"] == of} for of in ("T20", "T21")
    }
    assert found["T20"] == {
        "antall": 1,
        **dict.fromkeys(("diagnose", "lege", "tannhelse", "ernaering", "bistand", "plan"), 100),
    }
    assert found["T21"] == {
        "antall": 4, "diagnose": 25, "lege": 50, "tannhelse": 25, "ernaering": 0, "bistand": 50, "plan": 75, "husstand": 75, "privat_hjelp": 75,
    }  # fmt: skip


def test_starts_and_ends_each_fall_in_the_month_of_their_own_day(cells):
    """What started in another year is no start of this one."""
    assert {keys for keys, value in figures(cells, "T09", "start").items() if value and keys[0] == "*"} == {
        ("*", "*"),
        ("*", "03"),
        ("*", "10"),
        ("*", "12"),
    }
    ends = {keys: value for keys, value in figures(cells, "T09", "stopp").items() if value}
    assert ends == {
        ("06", "06"): 1,
        ("15", "12"): 1,
        ("20", "12"): 1,
        ("*", "06"): 1,
        ("*", "12"): 2,
        ("06", "*"): 1,
        ("15", "*"): 1,
        ("20", "*"): 1,
        ("*", "*"): 3,
    }


def test_organisation_numbers_are_held_against_the_demand_of_the_year(cells):
    """In 2017 health services at home need one, housing must not have one, and the list knows which there are."""
    of = {measure: figures(cells, "T15", measure) for measure in ("kreves", "oppgitt", "mangler", "forbudt", "ukjent")}
    assert {name: of[name]["15",] for name in of} == {
        "kreves": 3,
        "oppgitt": 2,
        "mangler": 1,
        "forbudt": 0,
        "ukjent": 1,
    }
    assert {name: of[name]["12",] for name in of} == {
        "kreves": 0,
        "oppgitt": 1,
        "mangler": 0,
        "forbudt": 1,
        "ukjent": 0,
    }


def test_the_newest_assessment_alone_is_shown_variable_by_variable(cells):
    """The older one of person 2 counts no more; blank, 9 and 1–5 are three things."""
    shares = {name: figures(cells, "T18", name) for name in ("vurderte", "s1", "s3", "s5", "s9", "blank")}
    assert {name: shares[name]["F01",] for name in shares} == {
        "vurderte": 4,
        "s1": 25,
        "s3": 25,
        "s5": 25,
        "s9": 25,
        "blank": 0,
    }
    assert {name: shares[name]["F02",] for name in shares} == {
        "vurderte": 4,
        "s1": 25,
        "s3": 25,
        "s5": 25,
        "s9": 0,
        "blank": 25,
    }


def test_a_resident_of_housing_is_shown_by_staff_stock_and_age(cells):
    """All eight combinations of totals have the one resident."""
    assert figures(cells, "T24")["1", "1", "90"] == 1
    assert figures(cells, "T24")["*", "*", "*"] == 1
    assert len(figures(cells, "T24")) == 8


def test_a_share_of_linkable_persons_stands_beside_the_counts(cells):
    """Four of six can be followed over time."""
    assert figures(cells, "T04", "koblbare")["*",] == pytest.approx(400 / 6)


@pytest.mark.parametrize("number", YEARS)
def test_an_empty_delivery_gives_tables_without_cells(number):
    """Nobody is counted and nothing breaks; not even a total has a row."""
    year = collection(number)
    made = cells_of(Counted({}), year)
    assert made.schema == CELLS
    assert not {row["value"] for row in made.to_pylist()} - {0.0, None}


def test_rows_left_out_are_counted_as_such_and_nowhere_else(year):
    """A delivery of which every record is left out has outcomes, and no person, service or decision."""
    tables = {name: table(text, name, year) for name, text in DRAWN.items()}
    nothing = {name: each.slice(0, 0) for name, each in tables.items()}
    outcomes = outcomes_of(
        tables,
        FINDINGS.select(["record"]).append_column(
            "row", FINDINGS["rule"].cast("string").slice(0, 3).is_null().cast("int32")
        ),
        nothing,
    )
    made = cells_of(Counted(nothing, outcomes=outcomes), year)
    assert figures(made, "T27", "utenfor")["*",] == sum(each.num_rows for each in tables.values())
    assert {row["table"] for row in made.to_pylist() if row["value"]} == {"T01", "T27"}


def test_one_person_alone_is_shown_to_the_municipality_itself(year):
    """Small numbers are one's own: nothing is suppressed here."""
    one = {"person": DRAWN["person"].strip().splitlines()[0] + "\n" + DRAWN["person"].strip().splitlines()[1]}
    made = cells_of(delivery(year, one, outcomes=None, findings=None), year)
    assert figures(made, "T03")["1", "0"] == 1
    assert figures(made, "T05") == {}


def test_many_deliveries_at_once_give_what_each_gives_alone(year, cells):
    """Same numbers of rows and persons in two deliveries are two persons; a header is each delivery's own."""
    other = delivery(year, header={"kommuneNr": "0412", "bydel": "00"}, outcomes=None, findings=None)
    first, second = compute_many(year, [delivery(year), other])
    key = [(name, "ascending") for name in ("table", "k0", "k1", "k2", "measure")]
    assert first.sort_by(key).equals(cells.sort_by(key))
    assert second.sort_by(key).equals(cells_of(other, year).sort_by(key))
    assert figures(second, "T25", "gjester")["*", "*"] == 4


def test_deliveries_of_one_unit_are_counted_together(year, cells):
    """A median is that of all rows, never a sum of medians; a person stands once in each delivery."""
    whole = cells_of(delivery(year), year)
    (both,) = compute_many(year, [delivery(year), delivery(year)], units=[0, 0])
    assert figures(both, "T05")["15",] == 2 * figures(whole, "T05")["15",]
    assert figures(both, "T10", "median") == figures(whole, "T10", "median")
    assert figures(both, "T08", "andel") == figures(whole, "T08", "andel")


def test_only_the_tables_asked_for_are_computed(year):
    """For the delivery before, two tables are enough."""
    made = cells_of(delivery(year), year, only={"T02", "T27"})
    assert {row["table"] for row in made.to_pylist()} == {"T02", "T27"}


def test_each_record_has_one_outcome(year):
    """Left out wins over remarked on; findings of staff's rules are not told of."""
    tables = {"person": table(DRAWN["person"], "person", year)}
    rules = rulebook.of(year).rules
    found = findings_of(FINDINGS.append_column("row", [[0, 1, 2]]), rules)
    assert found.num_rows == 3
    staff = FINDINGS.set_column(0, "rule", [["K028", "K028", "K063"]])
    assert findings_of(staff, rules)["rule"].to_pylist() == ["K063"]
    remarked = FINDINGS.set_column(2, "record", [["person"] * 3]).append_column("row", [[0, 1, 2]])
    kept = {"person": tables["person"].take([0, 3, 4, 5])}
    assert outcomes_of(tables, remarked, kept)["utfall"].to_pylist() == [
        "merknad",
        "utenfor",
        "utenfor",
        "godtatt",
        "godtatt",
        "godtatt",
    ]
    assert outcomes_of({}, remarked, {}).num_rows == 0
    assert OUTCOMES.num_rows == 3


OTHER_KINDS = """\
- id: T90
  title: {nb: a, nn: a, en: a}
  record: diagnose
  keys: [{column: kode, prefix: 1, sparse: true, label: {nb: k, nn: k, en: k}}]
  measures:
    - {id: uten_dato, missing: dato, label: {nb: n, nn: n, en: n}}
    - {id: koder, distinct: kode, label: {nb: n, nn: n, en: n}}
- id: T91
  title: {nb: a, nn: a, en: a}
  record: tjeneste
  keys: []
  measures: [{id: minst, min: timer, where: har_timer, label: {nb: n, nn: n, en: n}}]
"""


def test_kinds_that_no_shipped_table_uses_count_as_the_spec_says(year):
    """Missing, distinct values, the least; a key by its first letter."""
    kept = {name: content for name, content in year.folder.items() if not name.startswith(("tables/", "indicators/"))}
    own = load(DefinitionFolder.from_members(kept | {"tables/a.yaml": OTHER_KINDS.encode()}))
    made = cells_of(delivery(own), own)
    assert figures(made, "T90", "uten_dato") == {("P",): 2, ("F",): 1, ("A",): 1}
    assert figures(made, "T90", "koder") == {("P",): 2, ("F",): 1, ("A",): 1}
    assert figures(made, "T91") == {(): 2}
