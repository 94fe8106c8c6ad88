"""What stands beside: the whole grid, last year, predecessors, the delivery before, the nation; and the words of it."""

import pyarrow as pa
import pytest
from tests.ssb.tables_drawn import DRAWN, HEADER, cells_of, collection, delivery, figures

from ipis.ssb.tables.compare import FIGURES, Sides, compare, compare_many
from ipis.ssb.tables.compute import CELLS, compute_many
from ipis.ssb.tables.definition import load_tables


@pytest.fixture(scope="module")
def year():
    """The year that is drawn."""
    return collection()


def cells(*rows):
    """Make CELLS of (table, k0, k1, k2, measure, value)."""
    return pa.Table.from_arrays(
        [pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), CELLS, strict=True)], schema=CELLS
    )


NOTHING = CELLS.empty_table()


def finished(year, sides, of, nation=None):
    """Give one finished table."""
    return next(each for each in compare(load_tables(year), sides, nation) if each.definition.id == of)


def by_key(table, figure="this"):
    """Give a finished table's figures by its keys and measure."""
    keys = [name for name in table.frame.column_names if name not in FIGURES]
    return {tuple(row[key] for key in keys): row[figure] for row in table.frame.to_pylist()}


def test_the_grid_is_whole_and_what_nobody_fills_is_0(year):
    """Each service of the year has its row, with 0 for counts and nothing for means."""
    made = finished(year, Sides(NOTHING), "T10")
    hours = [row["code"] for row in year.codes["service_types_valid"].to_pylist() if row["unit"] == "hours"]
    assert by_key(made) == {
        (code, each): {"antall": 0, "mangler": 0}.get(each)
        for code in ["*", *hours]
        for each in made.definition.decimals
    }
    assert finished(year, Sides(NOTHING), "T22").frame["this"].null_count == 20


def test_sparse_tables_and_unknown_values_show_what_is_there_alone(year):
    """No row for each of 400 municipalities, none for "not stated" where nobody is."""
    assert finished(year, Sides(NOTHING), "T25").frame.num_rows == 0
    assert ("*", "", "personer") not in by_key(finished(year, Sides(NOTHING), "T03"))
    assert by_key(finished(year, Sides(cells(("T03", "*", "", "", "personer", 2.0))), "T03"))["*", "", "personer"] == 2


def test_last_year_stands_beside_also_where_there_is_none_of_it_now(year):
    """The change is this year less the last; a mean without anybody has no change."""
    now = cells(("T05", "01", "", "", "brukere", 2.0), ("T10", "01", "", "", "snitt", 3.0))
    then = cells(
        ("T05", "01", "", "", "brukere", 5.0),
        ("T05", "02", "", "", "brukere", 3.0),
        ("T05", "77", "", "", "brukere", 1.0),
    )
    made = finished(year, Sides(now, last_year=then), "T05")
    assert by_key(made, "last_year")["01", "brukere"] == 5
    assert by_key(made, "change")["01", "brukere"] == -3
    assert by_key(made, "change")["02", "brukere"] == -3
    assert by_key(made, "this")["77", "brukere"] == 0
    assert made.labels("nb")["k0"].to_pylist()[-1] == "77"
    assert by_key(finished(year, Sides(now, last_year=then), "T10"), "change")["01", "snitt"] is None


def test_without_a_side_its_figures_are_empty_and_the_reason_is_said(year):
    """No delivery last year, no published nation; for a table to which the nation says nothing, that."""
    made = finished(year, Sides(NOTHING), "T05")
    assert made.notes == {"last_year": "none", "nation": "not_published"}
    assert made.frame["last_year"].null_count == made.frame["nation"].null_count == made.frame.num_rows
    assert finished(year, Sides(NOTHING, last_year=NOTHING, merged=True), "T05").notes["last_year"] == "merged"
    assert finished(year, Sides(NOTHING, last_year=NOTHING), "T05", NOTHING).notes == {
        "last_year": None,
        "nation": None,
    }
    assert finished(year, Sides(NOTHING), "T25", NOTHING).notes["nation"] == "not_compared"


def test_findings_and_records_are_compared_with_the_delivery_before(year):
    """T02 and T27: last year's delivery says nothing there, nor is it a sum of predecessors."""
    now, before = cells(("T27", "person", "", "", "poster", 9.0)), cells(("T27", "person", "", "", "poster", 7.0))
    made = finished(year, Sides(now, last_year=NOTHING, previous=before, merged=True), "T27")
    assert by_key(made, "last_year")["person", "poster"] == 7
    assert made.notes["last_year"] is None
    assert finished(year, Sides(now, last_year=before), "T27").notes["last_year"] == "none"


def test_the_nation_is_the_published_one_and_what_it_suppressed_stays_empty(year):
    """A cell that is not in the file is 0, one that is null there is not published."""
    nation = cells(("T05", "01", "", "", "brukere", 900.0), ("T05", "02", "", "", "brukere", None))
    found = by_key(finished(year, Sides(NOTHING), "T05", nation), "nation")
    assert (found["01", "brukere"], found["02", "brukere"], found["03", "brukere"]) == (900, None, 0)


def test_predecessors_of_a_merged_municipality_are_counted_together(year):
    """Sandefjord 0710 of 2017 is 0706, 0719 and 0720 of 2016: guests are each one's own, medians are of all rows."""
    before = collection(2016)
    hours = DRAWN["tjeneste"].splitlines()
    drawn = [
        DRAWN,
        {**DRAWN, "tjeneste": "\n".join([hours[1], "0 1 t0 15 2016-01-01 - 10 0 - - -"])},
        {**DRAWN, "tjeneste": "\n".join([hours[1], "0 1 t0 15 2016-01-01 - 20 0 - - -"])},
    ]
    kommuner = ("0706", "0719", "0720")
    parts = [
        delivery(
            before,
            {name: text.replace("0403", kommune) for name, text in its.items()},
            {**HEADER, "kommuneNr": kommune},
            None,
            None,
        )
        for its, kommune in zip(drawn, kommuner, strict=True)
    ]
    (together,) = compute_many(before, parts, units=[0, 0, 0])
    # On 31 December 2016 the first has 15 with 3 hours and one without; 40 hours began in 2017.
    assert figures(together, "T10", "median")["15",] == 10
    assert figures(together, "T10", "antall")["15",] == 4
    assert figures(together, "T25", "gjester")["*", "*"] == 3
    made = finished(year, Sides(cells_of(delivery(year), year), last_year=together, merged=True), "T10")
    assert by_key(made, "last_year")["15", "median"] == 10
    assert by_key(made, "change")["15", "median"] == pytest.approx(11.5)
    assert made.notes["last_year"] == "merged"


def test_many_deliveries_finished_at_once_are_those_finished_alone(year):
    """Whoever has a last year keeps it, and nobody gets another's."""
    now, then = cells(("T05", "01", "", "", "brukere", 2.0)), cells(("T05", "01", "", "", "brukere", 5.0))
    sides = [Sides(now, last_year=then), Sides(then), Sides(NOTHING, last_year=now, previous=then)]
    tables = load_tables(year)
    for made, each in zip(compare_many(tables, sides, now), sides, strict=True):
        alone = compare(tables, each, now)
        assert [table.frame for table in made] == [table.frame for table in alone]
        assert [table.notes for table in made] == [table.notes for table in alone]
    assert compare_many((), sides) == [(), (), ()]
    assert compare_many(tables, []) == []


@pytest.mark.parametrize(("language", "words"), [("nb", "I alt"), ("nn", "I alt"), ("en", "Total")])
def test_rows_stand_in_order_and_in_words(year, language, words):
    """The total first, then the values of each key in their order, whatever was filled."""
    made = finished(year, Sides(cells(("T03", "2", "", "", "personer", 1.0))), "T03")
    said = [line for line, _ in made.lines(language)]
    assert said[0][:2] == [words, words]
    assert [line[1] for line in said[:7]] == [words, "0–17", "18–49", "50–66", "67–79", "80–89", "90+"]
    assert len(said) == 3 * 7 + 1
    assert made.labels(language).column_names == ["k0", "k1", "measure"]


def test_figures_are_shown_with_the_decimals_of_their_measure(year):
    """A count is a whole number, a mean has one decimal."""
    now = cells(("T10", "01", "", "", "antall", 2.0), ("T10", "01", "", "", "snitt", 3.14159))
    lines = {tuple(said): numbers[0] for said, numbers in finished(year, Sides(now), "T10").lines("en")}
    of = {key[1]: value for key, value in lines.items() if key[0].startswith("01 ")}
    assert of["Services"] == 2
    assert isinstance(of["Services"], int)
    assert of["Hours, mean"] == pytest.approx(3.1)
