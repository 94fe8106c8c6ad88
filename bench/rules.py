"""All row rules over many municipalities at once against the same rules as a Python loop over records."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bench.loop import Count, Finding, loop_of
from bench.nation.ground import REGISTER, Ground, draw_extracts
from bench.pairs import Result
from ipis.kernel.collection import packaged
from ipis.kernel.environment import Environment
from ipis.kernel.extract import read
from ipis.kernel.foedselsnummer import judge, read_identities
from ipis.kommune.extract import supplied
from ipis.validation import rulebook, world
from ipis.validation.catalogue import Kind
from ipis.validation.compile import BREACH, HEADER, INVALID, MISSING, OK, OUTSIDE
from ipis.validation.content import Content
from ipis.validation.declared import PERSON
from ipis.validation.derived import OWNER
from ipis.validation.run import run_many

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.loop_derived import Rows
    from ipis.kernel.collection import Collection
    from ipis.validation.findings import Report

YEAR = 2017
SHARE = 1.0
LOOPED = 24
"""Deliveries that the loop judges; ours judges all, and both are counted in rows a second."""
AT = "M"


def rules() -> Iterator[Result]:
    """Judge all deliveries, and some of them by the loop as well, with the same findings and verdicts."""
    collection = packaged(REGISTER, YEAR)
    numbers = row_rules(collection)
    with tempfile.TemporaryDirectory() as scratch:
        contents = extracted(collection, Path(scratch), SHARE)
    some = contents[:: max(1, len(contents) // LOOPED)]
    records = [as_records(collection, content) for content in some]
    loop = loop_of(collection, AT, numbers)
    found: list[Finding] = []
    counts: Counter[Count] = Counter()
    began = time.perf_counter()
    for delivery, rows in enumerate(records):
        loop.judge(rows, delivery, found, counts)
    peer = time.perf_counter() - began
    assert_same(run_many(collection, some, at=AT, only=numbers), found, counts)
    began = time.perf_counter()
    run_many(collection, contents, at=AT, only=numbers)
    ours = time.perf_counter() - began
    ours_rows, peer_rows = count(contents), count(some)
    note = (
        f"{len(numbers)} rules, {len(contents)} deliveries, {ours_rows} rows against {peer_rows}; "
        f"{len(found)} findings and all verdicts the same on both sides; each derives what it reads of other rows"
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


def as_records(collection: Collection, content: Content) -> Rows:
    """Give the rows of a delivery as a program with records holds them: values, raw texts, the header's."""
    period = world.period(collection)
    header = {
        f"{HEADER}.{name}": period.get(name, world.header_value(field, content.header))
        for name, field in collection.layout.header.fields.items()
    }
    rows: Rows = {}
    for name, record in collection.layout.records.items():
        table = content.tables[name]
        usual = {**header, **dict.fromkeys(record.fields), "id_reason": None}
        columns = {column: _list(table[column]) for column in table.column_names}
        rows[name] = [
            {**usual, **dict(zip(columns, each, strict=True))} for each in zip(*columns.values(), strict=True)
        ]
        for row in rows[name]:
            row[OWNER] = row["_row"] if name == PERSON else row["_person"]
    return rows


def _list(column: pa.ChunkedArray) -> list[Any]:
    values = column.to_pylist()
    return [None if v is None else float(v) for v in values] if pa.types.is_decimal(column.type) else values


def assert_same(reports: Sequence[Report], found: Sequence[Finding], counts: Mapping[Count, int]) -> None:
    """Hold findings and verdicts against each other; a difference is told by rule."""
    ours, judged = Counter[tuple[object, ...]](), Counter[tuple[object, ...]]()
    for delivery, report in enumerate(reports):
        for each in report.findings.table.select(["rule", "record", "row", "field"]).to_pylist():
            ours[delivery, *each.values()] += 1
        for rule, verdict in report.verdicts.items():
            reasons = [verdict.reasons.get("missing_value", 0), verdict.reasons.get("invalid_value", 0)]
            judged.update(
                dict(zip(((delivery, rule, n) for n in (OK, BREACH, MISSING, INVALID)),
                         (verdict.ok, verdict.breach, *reasons), strict=True))
            )  # fmt: skip
    theirs = Counter[tuple[object, ...]](each[:-1] for each in found)
    counted = Counter[tuple[object, ...]]({key: n for key, n in counts.items() if key[2] != OUTSIDE})
    for what, one, other in (("findings", ours, theirs), ("verdicts", +judged, counted)):
        if one != other:
            sides = [Counter(key[1] for key in part.elements()) for part in (one - other, other - one)]
            raise AssertionError(f"the loop has other {what}: only ours {dict(sides[0])}, only its {dict(sides[1])}")


def count(contents: Sequence[Content]) -> int:
    """Count the rows of all deliveries."""
    return sum(table.num_rows for content in contents for table in content.tables.values())
