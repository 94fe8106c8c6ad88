"""What `check` finds in an extract, in the form of faults.csv: the other side of the oracle."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel import extract
from ipis.kernel.collection import Collection
from ipis.kernel.environment import Environment
from ipis.kernel.foedselsnummer import judge, read_identities
from ipis.kernel.identifiers import Reason
from ipis.validation.content import Content
from ipis.validation.findings import Report
from ipis.validation.run import run, run_many


def found_in(path: Path, collection: Collection) -> Counter[tuple[str, ...]]:
    """Run all rules of the municipality over an extract file; rule, record, brukerNr, id, field."""
    read = extract.read(path, collection.layout)
    tables = _with_judgement(read, collection)
    return _counted(run(collection, tables, at="M", header=dict(read.header)), tables, collection)


def found_in_many(paths: list[Path], collection: Collection) -> Iterator[Counter[tuple[str, ...]]]:
    """Run all rules of the municipality over many extract files in one run; a count for each."""
    read = [extract.read(path, collection.layout) for path in paths]
    tables = [_with_judgement(each, collection) for each in read]
    contents = [Content(mine, dict(each.header)) for mine, each in zip(tables, read, strict=True)]
    for report, mine in zip(run_many(collection, contents, at="M"), tables, strict=True):
        yield _counted(report, mine, collection)


def found_at_ssb(path: Path, collection: Collection, last_year: Path | None) -> Counter[tuple[str, ...]]:
    """Run SSB's rules over it, last year's extract beside it; a person's number stands for the pseudonym."""
    read = extract.read(path, collection.layout)
    tables = _with_judgement(read, collection)
    linked = pc.equal(tables["person"]["id_reason"], Reason.OK.text)
    number = read.tables["person"]["fid"]
    pseudonym = pc.if_else(linked, number, pa.scalar(None, pa.string()))
    tables["person"] = tables["person"].append_column("pseudonym", pseudonym)
    before = None
    if last_year is not None:
        before = dict(extract.read(last_year, collection.layout).tables)
        before["person"] = before["person"].drop_columns(["fid", "typeID"])
    report = run(collection, tables, at="S", header=dict(read.header), last_year=before)
    return _counted(report, tables, collection)


def _with_judgement(read: extract.Extract, collection: Collection) -> dict[str, pa.Table]:
    tables = dict(read.tables)
    person = tables["person"]
    identities = read_identities(person["fid"], person["typeID"], Environment.DEMO)
    judged = judge(identities, collection.year, Environment.DEMO)
    for name, column in judged.columns().items():
        person = person.append_column(name, column)
    year = judged.foedselsaar.astype(np.int64)
    age = pa.array((collection.year - year).astype(np.int16), mask=year == 0)
    tables["person"] = person.append_column("alder", age).drop_columns(["fid", "typeID"])
    return tables


def _counted(report: Report, tables: dict[str, pa.Table], collection: Collection) -> Counter[tuple[str, ...]]:
    assert not report.culprits
    found: Counter[tuple[str, ...]] = Counter()
    for finding in report.findings.table.to_pylist():
        found[finding["rule"], finding["record"], *_key(tables, collection, finding), finding["field"]] += 1
    return found


def _key(tables: dict[str, pa.Table], collection: Collection, finding: dict[str, object]) -> tuple[str, str]:
    row, record = finding["row"], str(finding["record"])
    if row is None:
        return "", ""
    table = tables[record]
    id_field = collection.layout.records[record].id_field
    user = table["brukerNr"][row].as_py() or ""
    return user, "" if not id_field else str(table[id_field][row].as_py() or "")


def listed_in(path: Path) -> Counter[tuple[str, ...]]:
    """Read faults.csv."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        assert next(rows) == ["rule", "record", "brukerNr", "id", "field"]
        return Counter(tuple(row) for row in rows)
