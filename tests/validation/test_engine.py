"""DuckDB is handed tables and can reach nothing else; and the scan is fast enough to be run at every draft."""

import time

import pyarrow as pa
import pytest
from tests.validation import desk

from ipis.kernel.collection import load
from ipis.kernel.definitions import DefinitionFolder
from ipis.validation import examples, rulebook
from ipis.validation.catalogue import Kind
from ipis.validation.engines import ScanFailed
from ipis.validation.engines.duckdb import DuckDB
from ipis.validation.run import run


@pytest.mark.parametrize(
    "statement",
    [
        "select * from read_csv('/etc/passwd')", "copy (select 1) to '/tmp/ipis-out.csv'", "attach '/tmp/ipis-out.db'",
        "set enable_external_access = true", "set threads = 8", "install httpfs", "load httpfs", "select getenv('HOME')",
        "select * from tabell", "import database '/tmp'", "export database '/tmp/ipis-out'", "select * from glob('/*')",
    ],
)  # fmt: skip
def test_an_engine_reaches_no_file_no_variable_and_no_setting(statement):
    tabell = pa.table({"a": [1]})
    with DuckDB() as engine, pytest.raises(ScanFailed) as caught:
        engine.query(statement)
    assert tabell.num_rows == 1
    # The kind of error and nothing else: an engine's own words may hold values.
    assert str(caught.value).endswith(("Error", "Exception"))


def test_an_engine_answers_from_the_tables_it_was_handed():
    with DuckDB() as engine:
        engine.register("t", pa.table({"a": [1, 2]}))
        engine.keep("u", "select a + 1 as b from t")
        engine.view("v", "select b from u")
        assert engine.query("select b from v order by b")["b"].to_pylist() == [2, 3]


FIELDS = [f"f{number:02}" for number in range(17)]


def ranges():
    """Give a register with 17 range rules, and 100,000 rows of which some break each."""
    fields = "\n".join(
        f'[person.fields.{name}]\nkind = "int"\nlength = 9\nminimum = 0\nmaximum = 990\nlabel = {{ nb = "N", nn = "N", en = "N" }}\nrules = {{ form = "L002", range = "L004" }}'
        for name in FIELDS
    )
    layout = desk.LAYOUT.replace("[person.supplied]", f"{fields}\n[person.supplied]")
    collection = load(desk.folder(layout=layout))
    rows = 100_000
    columns = {
        name: pa.array([(row * 7 + place) % 1000 for row in range(rows)], pa.int32())
        for place, name in enumerate(FIELDS)
    }
    empty = {f"{name}__raw": pa.nulls(rows, pa.string()) for name in FIELDS}
    rest = {
        "_row": pa.array(range(rows), pa.int32()),
        "_person": pa.array(range(rows), pa.int32()),
        "brukerNr": pa.array([str(row) for row in range(rows)]),
    }
    return collection, {"person": pa.table(columns | empty | rest)}


def test_seventeen_range_rules_on_a_hundred_thousand_rows_take_a_tenth_of_a_second():
    """peers.md: pointblank 0.24 s, pandera 0.3; ours 0.1 s with the findings written. The machine may be busy: the processor's time counts, best of ten."""
    collection, tables = ranges()
    rulebook.of(collection)
    wall, busy = [], []
    for _ in range(10):
        start, ticks = time.perf_counter(), time.process_time()
        report = run(collection, tables, at="M")
        wall.append(time.perf_counter() - start)
        busy.append(time.process_time() - ticks)
    assert report.findings.count_by_rule() == {"L004": 17 * 900}
    assert min(busy) < 0.15, f"{min(wall):.3f} s, {min(busy):.3f} s of processor"


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.string_view()])
def test_texts_of_another_kind_are_judged_as_any_other(kind):
    """peers.md: a check that validates nothing on lazy input and passes."""
    known = desk.collection(desk.rule("matches(tekst, 'a')"))
    tables = desk.tables(known, {"ting": [{"tid": "altfor-lang", "kode": "77", "tekst": "b"}]})
    ting = tables["ting"]
    for name in ("tid", "kode", "tekst"):
        ting = ting.set_column(ting.column_names.index(name), name, ting[name].cast(kind))
    report = run(known, tables | {"ting": ting}, at="M")
    assert report.findings.table["rule"].to_pylist() == ["K900", "L002", "L003"]


def test_a_later_year_is_a_copy_of_the_folder_with_its_year_changed():
    """The year is a parameter: nothing in code knows one."""
    packaged = DefinitionFolder.packaged("iplos", desk.YEAR)
    text = packaged["collection.toml"].decode().replace(str(desk.YEAR), "2099").replace(str(desk.YEAR + 1), "2100")
    later = load(DefinitionFolder.from_members(dict(packaged) | {"collection.toml": text.encode()}))
    book = rulebook.of(later)
    assert later.year == 2099
    assert "K077" in book.rules
    assert "K086" not in book.rules
    # K060 looks at the years of the code list: what was not valid then may be now.
    for rule in (
        rule for rule in book.rules.values() if rule.id != "K060" and rule.kind in {Kind.EXPRESSION, Kind.LAYOUT}
    ):
        for example in rule.examples.get("breaks", ())[:1]:
            assert examples.judge(later, rule, example).verdicts[rule.id].breach, rule.id
