"""The nation as last published: counted, written, read again; what rules look up in it."""

from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest
from tests.ssb.tables_drawn import HEADER, collection, delivery, figures

from ipis.kernel.errors import OurFault
from ipis.ssb.register.objects import ObjectStore
from ipis.ssb.tables.nation import last_published, lookups_of, nation_of, write
from ipis.validation.run import run

AT = datetime(2018, 3, 15, 7, 0, tzinfo=UTC)
PLACES = [("0403", "00"), ("0412", "00")]


@pytest.fixture(scope="module")
def year():
    """The year that is drawn."""
    return collection()


@pytest.fixture(scope="module")
def nation(year):
    """A nation of two municipalities with the same people."""
    two = [delivery(year), delivery(year, header={**HEADER, "kommuneNr": "0412"})]
    return nation_of(year, two, PLACES, release="march")


def test_the_nation_is_all_deliveries_counted_together(nation):
    """A median is that of all rows; a rate is by all inhabitants."""
    assert figures(nation.cells, "T06")["15",] == 6
    assert figures(nation.cells, "T10", "median")["15",] == 21.5
    assert nation.indicators["N05", ""] == 2
    assert 0 < nation.indicators["N01", ""] < 100 * 2 / 1729


def test_what_is_written_is_what_is_read(nation, tmp_path):
    """Cells, indicators and lookups, with the release; a later release of the year takes its place."""
    store = ObjectStore(tmp_path)
    assert last_published(store, "iplos", 2017) is None
    path = write(store, "iplos", nation, AT)
    assert path.relative_to(tmp_path).as_posix() == "nation/iplos/2017.parquet"
    read = last_published(store, "iplos", 2017)
    assert (read.year, read.release) == (2017, "march")
    assert read.cells.equals(nation.cells)
    assert read.indicators == nation.indicators
    wanted = nation.lookups["nasjon_tjeneste"]
    assert read.lookups["nasjon_tjeneste"].select(wanted.column_names).equals(wanted)
    assert list(tmp_path.rglob("*.part")) == []


def test_the_newest_year_up_to_ones_own_is_read(nation, tmp_path):
    """Before the March list of the year the year before stands beside; never a later one."""
    store = ObjectStore(tmp_path)
    write(store, "iplos", nation, AT)
    assert last_published(store, "iplos", 2018).year == 2017
    assert last_published(store, "iplos", 2016) is None
    assert last_published(store, "annet", 2018) is None


def test_a_file_that_the_publication_did_not_write_is_not_believed(nation, tmp_path):
    """Our fault, by its file name and nothing of its content."""
    store = ObjectStore(tmp_path)
    path = write(store, "iplos", nation, AT)
    pq.write_table(nation.cells, path)
    with pytest.raises(OurFault) as caught:
        last_published(store, "iplos", 2017)
    assert caught.value.code == "tables.nation"


def test_lookups_are_percentiles_of_rows_and_of_municipalities_rates(year):
    """Hours by all rows of the year; users per 1000 inhabitants by municipality, those without any as 0."""
    drawn = delivery(year)
    nothing = delivery(year, {}, header={**HEADER, "kommuneNr": "0412"})
    made = {row["kode"]: row for row in lookups_of(year, [drawn, nothing], PLACES)["nasjon_tjeneste"].to_pylist()}
    rate = 1000 * 3 / 30930
    assert made["15"]["timer_p995"] == pytest.approx(3 + 0.995 * 37)
    assert made["15"]["per1000_p01"] == pytest.approx(0.01 * rate)
    assert made["15"]["per1000_p99"] == pytest.approx(0.99 * rate)
    assert made["21"]["timer_p995"] is None


def test_rules_can_look_the_lookups_up(year, nation):
    """K074 and K103 are assessed once there is a nation."""
    tables, header = delivery(year).tables, HEADER
    without = run(year, tables, at="S", header=header, only={"K074", "K103"}).verdicts
    given = run(year, tables, at="S", header=header, nation=nation.lookups, only={"K074", "K103"}).verdicts
    assert "no_nation" in without["K103"].reasons
    assert "no_nation" not in given["K103"].reasons
    assert given["K103"].ok + given["K103"].breach > 0
