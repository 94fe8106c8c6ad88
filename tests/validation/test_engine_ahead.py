"""Statements that do not need each other run on two connections at once, and nobody can tell but by the clock."""

import pyarrow as pa
import pytest
from tests.validation import desk

from ipis.kernel.collection import packaged
from ipis.validation.engines import ScanFailed, duckdb
from ipis.validation.engines.duckdb import DuckDB
from ipis.validation.run import run

LONG, SHORT = "SELECT a + 1 AS b, a + 2 AS c FROM v", "SELECT a AS b FROM v"


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    """These are about two cores, whatever machine they run on."""
    monkeypatch.setattr(duckdb, "_TWO_CORES", True)


def asked(engine, values, *selects):
    engine.register("t", pa.table({"a": values}))
    engine.view("v", "SELECT a FROM t")
    engine.ahead(selects)
    return [engine.query(select)["b"].to_pylist() for select in selects]


def second_of(engine):
    return engine._database.second()


def test_each_statement_is_answered_as_if_it_were_asked_alone():
    with DuckDB(kind="both") as engine:
        assert asked(engine, [1, 2], SHORT, LONG) == [[1, 2], [2, 3]]
        # One was run on each connection, and both have been handed out.
        assert (list(engine._database.plans), list(second_of(engine).plans)) == ([LONG], [SHORT])
        assert not engine._answers


def test_the_second_connection_answers_from_the_rows_of_the_run_at_hand_by_plans_that_stay():
    found = []
    for values in ([1], [5, 6], [], [7]):
        with DuckDB(kind="turns") as engine:
            found.append(asked(engine, pa.array(values, pa.int64()), LONG, SHORT)[1])
            second = second_of(engine)
            planned = second.planned
    assert found == [[1], [5, 6], [], [7]]
    assert planned == 1
    assert [held.table.num_rows for held in second.held.values()] == [0]


def test_names_that_are_given_later_are_known_to_both_by_the_next_time():
    with DuckDB(kind="later") as engine:
        assert asked(engine, [1], LONG, SHORT) == [[2], [1]]
        engine.register("u", pa.table({"a": ["x"]}))
        engine.view("v", "SELECT a FROM u")
        again = ["SELECT a || 'y' AS b, 1 AS longer FROM v", "SELECT a AS b FROM v"]
        engine.ahead(again)
        assert [engine.query(select)["b"].to_pylist() for select in again] == [["xy"], ["x"]]


@pytest.mark.parametrize(
    "failing", [LONG.replace("a + 2", "CAST(d AS INTEGER)"), "SELECT CAST(d AS INTEGER) AS b FROM v"]
)
def test_a_statement_that_fails_does_so_when_it_is_asked_for_and_spoils_no_other(failing):
    with DuckDB(kind="fails") as engine:
        engine.register("t", pa.table({"a": [1], "d": ["x"]}))
        engine.view("v", "SELECT a, d FROM t")
        engine.ahead([LONG, failing, SHORT])
        assert engine.query(LONG)["c"].to_pylist() == [3]
        with pytest.raises(ScanFailed) as caught:
            engine.query(failing)
        assert str(caught.value) == "ConversionException"
        assert engine.query(SHORT)["b"].to_pylist() == [1]
    with DuckDB(kind="fails") as engine:
        assert asked(engine, [2], LONG, SHORT) == [[3], [2]]


def test_what_is_left_to_another_kind_of_run_has_no_names_on_either_connection():
    for kind in range(7):
        with DuckDB(kind=("kinds", kind)) as engine:
            values = [kind] if kind % 2 else [f"{kind}"]
            engine.register("t", pa.table({"a": values}))
            engine.view("v", "SELECT a FROM t")
            selects = [f"SELECT a AS b, {kind} AS longer FROM v", SHORT]
            engine.ahead(selects)
            assert [engine.query(select)["b"].to_pylist() for select in selects] == [values, values]


def test_a_run_of_no_kind_and_kept_rows_are_left_to_one_connection():
    with DuckDB() as engine:
        assert asked(engine, [1], LONG, SHORT) == [[2], [1]]
    with DuckDB(kind="kept") as engine:
        engine.keep("k", "SELECT 1 AS a")
        assert asked(engine, [1], LONG, "SELECT a AS b FROM k") == [[2], [1]]


def test_all_rules_come_to_the_same_on_one_connection_and_on_two(monkeypatch):
    collection = packaged("iplos", desk.YEAR)
    persons = [{"brukerNr": str(row), "bostedKommuneNr": "0403", "id_reason": "ok"} for row in range(5)]
    services = [{"_person": row, "brukerNr": str(row), "tjenesteId": str(row), "kode": "01"} for row in range(5)]
    tables = desk.tables(collection, {"person": persons, "tjeneste": services})
    reports = []
    for two in (True, True, True, False):
        monkeypatch.setattr(duckdb, "_TWO_CORES", two)
        reports.append(run(collection, tables, at="M", header={"kommuneNr": "0403"}))
    alone = reports.pop()
    assert alone.findings.table.num_rows > 0
    for report in reports:
        assert report.findings.table.equals(alone.findings.table)
        assert dict(report.verdicts) == dict(alone.verdicts)
