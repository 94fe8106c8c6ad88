"""Control tables: the whole grid, what lies outside it, and the comparison with last year."""

import pyarrow as pa
import pytest

from ipis.kernel.collection import DefinitionFolder, load
from ipis.ssb.tables.compute import Counted, compute_many, outcomes_of


@pytest.fixture(scope="module")
def collection():
    """The newest year as shipped."""
    return load(DefinitionFolder.packaged("iplos", 2017))


def rows(**columns):
    """Make a table with row numbers."""
    count = len(next(iter(columns.values())))
    return pa.table({"_row": pa.array(range(count), pa.int32()), **columns})


PERSONS = rows(kjoenn=["1", "2", "2", None], alder=pa.array([17, 18, 95, None], pa.int16()))
SERVICES = rows(_person=pa.array([0, 0, 1, 2], pa.int32()), kode=["01", "01", "01", "02"])
FINDINGS = pa.table({"record": ["person", "tjeneste"], "row": pa.array([1, 3], pa.int32())})
TABLES = {"person": PERSONS, "tjeneste": SERVICES}


def cells_of(cells, table):
    """Give the cells of one table as keys -> value."""
    taken = cells.filter(pa.compute.equal(cells["table"], table)).to_pylist()
    return {tuple(row[key] for key in ("k0", "k1", "k2") if row[key]): row["value"] for row in taken}


@pytest.fixture(scope="module")
def cells(collection):
    """The cells of a small delivery of which one service is left out."""
    outcomes = outcomes_of(TABLES, FINDINGS, {"person": PERSONS, "tjeneste": SERVICES.take([0, 1, 3])})
    (made,) = compute_many(collection, [Counted(TABLES, outcomes=outcomes)])
    return made


def test_persons_fall_in_their_age_band(cells):
    """17 is a child, 18 is not, 95 is in the last band, unknown is unknown."""
    found = cells_of(cells, "T03")
    assert {keys: found[keys] for keys in [("1", "0"), ("2", "18"), ("2", "90"), ("*", "*")]} == {
        ("1", "0"): 1,
        ("2", "18"): 1,
        ("2", "90"): 1,
        ("*", "*"): 4,
    }


def test_each_record_has_one_outcome(cells):
    """Left out wins over remarked on."""
    found = {keys: value for keys, value in cells_of(cells, "T01").items() if keys[1] != "*"}
    assert found == {
        ("person", "godtatt"): 3,
        ("person", "merknad"): 1,
        ("tjeneste", "godtatt"): 2,
        ("tjeneste", "utenfor"): 1,
        ("tjeneste", "merknad"): 1,
    }
