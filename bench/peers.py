"""The rules of the layout (mandatory, code list, range, form) against pandera on Polars and pointblank, with findings.

These are the row rules that both libraries have words for. They run in an environment of their own, over the same
rows in Parquet; reading the files is outside the time on both sides.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.nation.ground import REGISTER
from bench.pairs import Result
from bench.rules import AT, YEAR, extracted
from ipis.kernel.collection import packaged
from ipis.kernel.layout import Kind
from ipis.validation import layout_rules, rulebook
from ipis.validation.content import Content
from ipis.validation.run import run_many

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import Field
    from ipis.validation.findings import Report

SHARE = 1.0
LIBRARIES = ("pandera", "pointblank")
_ROOT = Path(__file__).resolve().parent.parent
_PYTHON = _ROOT / ".venv-bench" / "bin" / "python"


def libraries() -> Iterator[Result]:
    """Judge the same rows by the same checks with each, and hold the counts against each other."""
    collection = packaged(REGISTER, YEAR)
    with tempfile.TemporaryDirectory() as scratch:
        contents = [well_formed(collection, each) for each in extracted(collection, Path(scratch) / "drawn", SHARE)]
        folder = Path(scratch) / "frames"
        folder.mkdir()
        checks = checks_of(collection)
        (folder / "checks.json").write_text(json.dumps(checks), encoding="utf-8")
        for name in collection.layout.records:
            tables = [content.tables[name] for content in contents]
            pq.write_table(_plain(pa.concat_tables(tables), collection, name), folder / f"{name}.parquet")
        told = {library: _told(library, folder) for library in LIBRARIES}
    numbers = frozenset(check["rule"] for check in checks)
    times, nation = [], [whole(contents)]
    for _ in range(3):
        began = time.perf_counter()
        (report,) = run_many(collection, nation, at=AT, only=numbers)
        times.append(time.perf_counter() - began)
    ours = _counted(report)
    for library in LIBRARIES:
        _assert_same(library, checks, told[library]["counts"], ours)
    found = len(report.findings)
    fastest = min(LIBRARIES, key=lambda library: told[library]["seconds"])
    rows = sum(table.num_rows for content in contents for table in content.tables.values())
    others = ", ".join(f"{library} {told[library]['seconds']:.2f} s" for library in LIBRARIES)
    note = (
        f"{len(checks)} checks that all can say, {rows} rows; ours {min(times):.2f} s ({found} findings, each with its "
        f"row and value), {others}; every count is the same on all sides"
    )
    peer = told[fastest]["seconds"]
    yield Result("rules of the layout", "rows/s", rows / min(times), rows / peer, fastest, 1.0, note)


def whole(contents: Sequence[Content]) -> Content:
    """Put all deliveries into one table a record type, as the libraries are given them."""
    tables = {}
    for name in contents[0].tables:
        table = pa.concat_tables([content.tables[name] for content in contents]).combine_chunks()
        place = table.column_names.index("_row")
        tables[name] = table.set_column(place, "_row", pa.array(np.arange(table.num_rows, dtype=np.int32)))
    return Content(tables, contents[0].header)


def checks_of(collection: Collection) -> list[dict[str, Any]]:
    """Write the layout's rules as checks of a data frame's columns."""
    checks: list[dict[str, Any]] = []
    book = rulebook.of(collection)
    said_otherwise = {made.rule.id for made in book.compiled}
    for predicate in book.predicates:
        field = predicate.field
        if (
            "form" in predicate.faults
            or predicate.rule in said_otherwise
            or AT not in book.rules[predicate.rule].runs_at
        ):
            continue
        for kind in sorted(predicate.faults & {"mandatory", "code", "range"}):
            about = _about(kind, field, collection)
            if about is not None:
                name = f"{predicate.record}.{field.name}.{kind}"
                checks.append(
                    {
                        "id": name,
                        "record": predicate.record,
                        "field": field.name,
                        "rule": predicate.rule,
                        "kind": kind,
                        **about,
                    }
                )
    return checks


def _about(kind: str, field: Field, collection: Collection) -> dict[str, Any] | None:
    if kind == "mandatory":
        return {}
    if kind == "code":
        known = not isinstance(field.codes, str) or field.codes in collection.codes
        return {"values": list(collection.code_values(field.codes))} if field.codes is not None and known else None
    if field.kind is Kind.DATE or field.minimum is None or field.maximum is None:
        return None
    return {"low": field.minimum, "high": field.maximum}


def _plain(table: pa.Table, collection: Collection, record: str) -> pa.Table:
    """Give the fields alone, numbers as plain ones."""
    fields = [name for name in collection.layout.records[record].fields if name in table.column_names]
    columns = {}
    for name in fields:
        column = table[name]
        columns[name] = pc.cast(column, pa.float64()) if pa.types.is_decimal(column.type) else column
    return pa.table(columns)


def _told(library: str, folder: Path) -> dict[str, Any]:
    # -P: a folder beside the script must not stand before the standard library.
    command = [str(_PYTHON), "-P", str(_ROOT / "bench" / "frames.py"), library, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def well_formed(collection: Collection, content: Content) -> Content:
    """Leave out rows with a value that broke its form: a data frame has lost it, ours keeps its text and says so."""
    tables = {}
    for name, record in collection.layout.records.items():
        table, good = content.tables[name], None
        for field in (each for each in record.fields.values() if not each.identity):
            fine = layout_rules.states(collection, field, table) != layout_rules.FORM
            good = fine if good is None else good & fine
        tables[name] = table if good is None else table.filter(pa.array(good))
    return Content(tables, content.header)


def _counted(report: Report) -> Counter[tuple[str, str, str]]:
    columns = (report.findings.table[name].to_pylist() for name in ("rule", "record", "field"))
    return Counter(zip(*columns, strict=True))


def _assert_same(
    library: str, checks: Sequence[dict[str, Any]], told: dict[str, int], ours: Counter[tuple[str, str, str]]
) -> None:
    """Hold a library's counts against ours, by rule and field."""
    theirs: Counter[tuple[str, str, str]] = Counter()
    for check in checks:
        theirs[check["rule"], check["record"], check["field"]] += told[check["id"]]
    different = {place: (ours[place], count) for place, count in theirs.items() if ours[place] != count}
    if different:
        raise AssertionError(f"{library} finds other counts than ours: {different}")
