"""All row rules over many municipalities at once against the same rules as a Python loop over records."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bench.loop import Finding, Row, loop_of
from bench.nation.ground import REGISTER, Ground, draw_extracts
from bench.pairs import Result
from ipis.kernel.collection import packaged
from ipis.kernel.environment import Environment
from ipis.kernel.extract import read
from ipis.kernel.foedselsnummer import judge, read_identities
from ipis.kommune.extract import supplied
from ipis.validation import relations, rulebook
from ipis.validation.catalogue import Kind
from ipis.validation.compile import stored_name
from ipis.validation.content import Content
from ipis.validation.run import run_many
from ipis.validation.terms import every_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ipis.kernel.collection import Collection

YEAR = 2017
SHARE = 1.0
LOOPED = 24
"""Deliveries that the loop judges; ours judges all, and both are counted in rows a second."""
AT = "M"


def rules() -> Iterator[Result]:
    """Judge all deliveries, and some of them by the loop as well, with the same findings."""
    collection = packaged(REGISTER, YEAR)
    numbers = row_rules(collection)
    with tempfile.TemporaryDirectory() as scratch:
        contents = extracted(collection, Path(scratch), SHARE)
    some = contents[:: max(1, len(contents) // LOOPED)]
    rows = prepared(collection, some, numbers)
    loop = loop_of(collection, AT, numbers)
    began = time.perf_counter()
    looped = [finding for name, its in rows.items() for finding in loop[name].judge(its)]
    peer = time.perf_counter() - began
    assert_same(found_by_engine(collection, some, numbers), looped)
    run_many(collection, some[:1], at=AT, only=numbers)
    began = time.perf_counter()
    run_many(collection, contents, at=AT, only=numbers)
    ours = time.perf_counter() - began
    ours_rows, peer_rows = count(contents), sum(map(len, rows.values()))
    note = (
        f"{len(numbers)} rules, {len(contents)} deliveries, {ours_rows} rows against {peer_rows}; "
        f"{len(looped)} findings, the same on both sides; the loop is given derived columns ready made"
    )
    yield Result("all row rules", "rows/s", ours_rows / ours, peer_rows / peer, "Python loop over records", 12, note)


def row_rules(collection: Collection) -> frozenset[str]:
    """Name the rules about single rows that one extract is enough for: the layout's, expressions, those of numbers."""
    book = rulebook.of(collection)
    outer = {made.rule.id for made in book.compiled if made.sources - {"header"}}
    beside = {made.rule.id for made in book.compiled if made.rule.over not in collection.layout.records}
    return frozenset(
        rule.id
        for rule in book.rules.values()
        if rule.scope == "row" and rule.kind is not Kind.CODE and AT in rule.runs_at and rule.id not in outer | beside
    )


def extracted(collection: Collection, folder: Path, share: float) -> list[Content]:
    """Draw a share of the nation and read it as the municipalities do."""
    ground = Ground(folder, YEAR)
    if not ground.extracts.exists():
        draw_extracts(ground, share)
    contents = []
    for place in ground.places():
        extract = read(ground.extract_of(place), collection.layout)
        person = extract.tables["person"]
        identities = read_identities(person["fid"], person["typeID"], Environment.TEST)
        person = person.drop_columns(["fid", "typeID"])
        for name, column in supplied(judge(identities, YEAR, Environment.TEST), YEAR).items():
            person = person.append_column(name, column)
        contents.append(Content({**extract.tables, "person": person}, extract.header))
    return contents


def prepared(collection: Collection, contents: Sequence[Content], numbers: frozenset[str]) -> dict[str, list[Row]]:
    """Give the rows as a program with records would hold them: values, raw texts, derived columns, the header's."""
    book = rulebook.of(collection)
    wanted = {
        (made.rule.over, stored_name(column))
        for made in book.compiled
        if made.rule.id in numbers
        for column in every_column(made.where, made.require)
    }
    rows: dict[str, list[Row]] = {}
    with relations.derived(collection, contents, wanted) as opened:
        for name, record in collection.layout.records.items():
            derived = opened.engine.query(f"SELECT * FROM {opened.names[name]} ORDER BY _at")  # noqa: S608
            plain = opened.tables[name]
            columns = {column: _list(derived[column]) for column in derived.column_names}
            stored = {c: _list(plain[c]) for c in plain.column_names if c in record.fields or c.endswith("__raw")}
            flags = [c for c in columns if c.endswith("__bad") and c.removesuffix("__bad") not in record.fields]
            columns |= stored
            made = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
            for row in made:
                row["_bad"] = {flag.removesuffix("__bad") for flag in flags if row[flag]}
                for field in record.fields:
                    row.setdefault(field, None)
            rows[name] = made
    return rows


def _list(column: pa.ChunkedArray) -> list[Any]:
    values = column.to_pylist()
    return [float(v) if isinstance(v, Decimal) else v for v in values] if pa.types.is_decimal(column.type) else values


def found_by_engine(collection: Collection, contents: Sequence[Content], numbers: frozenset[str]) -> list[Finding]:
    """Give what the engine finds as the loop gives it."""
    found = []
    for delivery, report in enumerate(run_many(collection, contents, at=AT, only=numbers)):
        table = report.findings.table.select(["rule", "record", "row", "field"]).to_pylist()
        found += [(delivery, each["rule"], each["record"], each["row"], each["field"]) for each in table]
    return found


def assert_same(ours: Sequence[Finding], peer: Sequence[Finding]) -> None:
    """Hold both lists against each other; a difference is told by rule."""
    one, other = Counter(ours), Counter(peer)
    if one != other:
        sides = [Counter(finding[1] for finding in part.elements()) for part in (one - other, other - one)]
        raise AssertionError(
            f"the loop finds something else: only ours {dict(sides[0])}, only the loop {dict(sides[1])}"
        )


def count(contents: Sequence[Content]) -> int:
    """Count the rows of all deliveries."""
    return sum(table.num_rows for content in contents for table in content.tables.values())
