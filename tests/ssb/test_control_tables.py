"""Control tables: the whole grid, what lies outside it, and the comparison with last year."""

import pyarrow as pa
import pytest

from ipis.kernel.collection import DefinitionFolder, load
from ipis.kernel.errors import DefinitionRefused
from ipis.ssb.tables.compute import compare, compute, outcomes_of
from ipis.ssb.tables.definition import load_tables


@pytest.fixture(scope="module")
def collection():
    """The newest year as shipped."""
    return load(DefinitionFolder.packaged("iplos", 2017))


@pytest.fixture(scope="module")
def tables(collection):
    """Its tables by id."""
    return {table.id: table for table in load_tables(collection)}


def rows(**columns):
    """Make a table with row numbers."""
    count = len(next(iter(columns.values())))
    return pa.table({"_row": pa.array(range(count), pa.int32()), **columns})


PERSONS = rows(kjoenn=["1", "2", "2", None], alder=pa.array([17, 18, 95, None], pa.int16()))
SERVICES = rows(_person=pa.array([0, 0, 1, 2], pa.int32()), kode=["01", "01", "01", "77"])
FINDINGS = pa.table({"record": ["person", "tjeneste"], "row": pa.array([1, 3], pa.int32())})


@pytest.fixture(scope="module")
def cells(tables):
    """The cells of a small delivery in which one service is left out of nothing."""
    outcomes = outcomes_of({"person": PERSONS, "tjeneste": SERVICES}, FINDINGS, {"tjeneste": pa.array([2], pa.int32())})
    return compute(tuple(tables.values()), {"person": PERSONS, "tjeneste": SERVICES}, outcomes)


def test_persons_fall_in_their_age_band(cells):
    """17 is a child, 18 is not, 95 is in the last band, unknown is unknown."""
    assert cells["T03"] == {("1", "0"): 1, ("2", "18"): 1, ("2", "90"): 1, ("", ""): 1}


def test_users_are_counted_once_for_each_service(cells):
    """Two rows of one person are one user."""
    assert cells["T05"] == {("01",): 2, ("77",): 1}


def test_each_record_has_one_outcome(cells):
    """Left out wins over remarked on."""
    assert cells["T01"] == {
        ("person", "godtatt"): 3,
        ("person", "merknad"): 1,
        ("tjeneste", "godtatt"): 2,
        ("tjeneste", "utenfor"): 1,
        ("tjeneste", "merknad"): 1,
    }


def test_the_grid_is_whole_and_what_lies_outside_is_shown(tables, cells):
    """A service that nobody has shows 0; a code that no list knows shows as it stands."""
    made = compare(tables["T05"], cells["T05"], None)
    by_key = {row.keys: row for row in made.rows}
    assert by_key["02",].this == 0
    assert by_key["77",].this == 1
    assert made.labels(by_key["77",], "nb") == ["77"]
    assert made.labels(by_key["01",], "nb")[0].startswith("01 Praktisk bistand")
    assert by_key["01",].last_year is None
    assert by_key["01",].change is None


def test_last_year_and_the_nation_stand_beside(tables, cells):
    """The change is this year less the last, also for what there is none of now."""
    made = compare(tables["T05"], cells["T05"], {("01",): 5, ("02",): 3}, {("01",): 900})
    by_key = {row.keys: row for row in made.rows}
    assert (by_key["01",].last_year, by_key["01",].change, by_key["01",].nation) == (5, -3, 900)
    assert (by_key["02",].this, by_key["02",].change, by_key["02",].nation) == (0, -3, 0)


GOOD = """
- id: T90
  title: {nb: a, nn: a, en: a}
  record: person
  keys: [{column: kjoenn, label: {nb: k, nn: k, en: k}, bands: [0, 10]}]
  measure: {count: rows, label: {nb: n, nn: n, en: n}}
"""


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("- [", "tables.unreadable"),
        ("a: b", "tables.unreadable"),
        (GOOD + GOOD, "tables.twice"),
        (GOOD.replace("record: person", "record: hest"), "tables.shape"),
        (GOOD.replace("count: rows", "count: money"), "tables.shape"),
        (GOOD.replace("count: rows", "sum: rows"), "tables.shape"),
        (GOOD.replace("bands: [0, 10]", "codes: none"), "tables.shape"),
        (GOOD.replace(", bands: [0, 10]", ""), "tables.shape"),
        (GOOD + "  extra: 1\n", "tables.shape"),
        (GOOD.replace("title: {nb: a, nn: a, en: a}", "title: {nb: a}"), "tables.languages"),
    ],
)
def test_what_is_no_table_is_refused_with_its_file(collection, text, code):
    """A statistician's slip is named, and nothing is half loaded."""
    folder = {name: content for name, content in collection.folder.items() if not name.startswith("tables/")}
    folder["tables/test.yaml"] = text.encode()
    with pytest.raises(DefinitionRefused) as caught:
        load_tables(load(DefinitionFolder.from_members(folder)))
    assert caught.value.code == code
