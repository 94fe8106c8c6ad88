"""The years' own lists agree with the raw figures of Statistics Norway that lie beside them."""

import csv
import io

import pytest

from ipis.kernel.collection import packaged
from ipis.kernel.definitions import DefinitionFolder


def rows(name):
    return list(csv.DictReader(io.StringIO(DefinitionFolder.shared("geography")[name].decode("utf-8"))))


def test_old_numbers_and_changes_give_the_new_numbers():
    """428 − 3 + 1 = 426; 426 − 54 + their successors = 422."""
    changes = rows("kommune_changes.csv")
    for year, after in (
        (2016, packaged("iplos", 2017).kommuner.keys()),
        (2017, {row["number"] for row in rows("kommuner_2018.csv")}),
    ):
        due = [row for row in changes if row["valid_from"] == f"{year + 1}-01-01"]
        before = packaged("iplos", year).kommuner.keys()
        assert (before - {row["old_number"] for row in due}) | {row["new_number"] for row in due} == after
        assert packaged("iplos", year).successors == {row["old_number"]: row["new_number"] for row in due}


@pytest.mark.parametrize("year", [2016, 2017])
def test_inhabitants_are_next_years_figures_under_the_years_own_numbers(year):
    """Counted and renumbered figures are taken over; parts of a merged municipality add up to it."""
    collection = packaged("iplos", year)
    published = {
        row["number"]: int(row["total"]) for row in rows("population_kommune.csv") if row["year_1jan"] == str(year + 1)
    }
    sums: dict[str, int] = {}
    for row in collection.inhabitants().to_pylist():
        number = collection.successors.get(row["kommune"], row["kommune"])
        sums[number] = sums.get(number, 0) + row["total"]
        if row["basis"] == "counted":
            assert number == row["kommune"]
        assert row["basis"] in {"counted", "renumbered", "split"}
    assert sums == published


def test_the_source_is_named():
    assert b"Statistics Norway" in DefinitionFolder.shared("geography")["SOURCE.md"]
