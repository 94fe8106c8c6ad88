"""The feilliste: findings keyed on brukerNr and the record's own id, and what became of them since the delivery before.

A finding is the same as an earlier one when rule, record type, brukerNr, record id and field are. Both sides are
multisets: the n-th of a kind meets the n-th, so that two stay two. Never an identifier: the keys are the sender's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping

STORED = pa.schema(
    [
        pa.field("rule", pa.string()),
        pa.field("level", pa.string()),
        pa.field("effect", pa.string()),
        pa.field("record", pa.string()),
        pa.field("row", pa.int32()),
        pa.field("field", pa.string()),
        pa.field("value", pa.string()),
        pa.field("found", pa.string()),
        pa.field("expected", pa.string()),
        pa.field("do", pa.string()),
        pa.field("first_seen", pa.int32()),
    ]
)
"""Findings as they are kept with a delivery: by row number, never by brukerNr."""

COLUMNS = (
    "status", "level", "rule", "record", "brukerNr", "id", "field", "value", "found", "expected", "do", "effect",
    "first_seen",
)  # fmt: skip
"""The columns of the feilliste, in order."""


class Status(StrEnum):
    """What became of a finding since the delivery before."""

    NEW = "new"
    """Was not there."""
    OPEN = "open"
    """Was there already."""
    FIXED = "fixed"
    """Was there and is gone."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """Findings of one delivery as stored, with the keys of its records: record -> (_row, brukerNr, id)."""

    findings: pa.Table
    keys: Mapping[str, pa.Table]

    def joined(self) -> pa.Table:
        """Put brukerNr and id beside each finding; empty text where a finding points at no record."""
        parts = []
        for record in pc.unique(self.findings["record"]).to_pylist():
            part = self.findings.filter(pc.equal(self.findings["record"], record))
            keys = self.keys.get(record)
            for column in ("brukerNr", "id"):
                named = pa.nulls(part.num_rows, pa.string()) if keys is None else _taken(keys, column, part["row"])
                part = part.append_column(column, pc.fill_null(named, ""))
            parts.append(part)
        if not parts:
            empty = self.findings.schema.append(pa.field("brukerNr", pa.string())).append(pa.field("id", pa.string()))
            return empty.empty_table()
        return pa.concat_tables(parts)


_COMPARE = """
WITH this AS (SELECT *, row_number() OVER same AS n FROM now
              WINDOW same AS (PARTITION BY rule, record, brukerNr, id, field ORDER BY row)),
     past AS (SELECT *, row_number() OVER same AS n FROM before
              WINDOW same AS (PARTITION BY rule, record, brukerNr, id, field ORDER BY row))
SELECT CASE WHEN past.rule IS NULL THEN 'new' ELSE 'open' END AS status,
       this.* EXCLUDE (n, first_seen), coalesce(past.first_seen, this.first_seen) AS first_seen
FROM this LEFT JOIN past USING (rule, record, brukerNr, id, field, n)
UNION ALL BY NAME
SELECT 'fixed' AS status, past.* EXCLUDE (n) FROM past ANTI JOIN this USING (rule, record, brukerNr, id, field, n)
"""
_ORDER = """
SELECT * FROM listed ORDER BY list_position(['new', 'open', 'fixed'], status),
    list_position(['kritisk', 'feil', 'advarsel', 'info'], level), rule, record, brukerNr, id, field, row
"""


def make_feilliste(now: Keyed, before: Keyed | None) -> pa.Table:
    """Give the feilliste of a delivery: COLUMNS and `row`, new and open first, the weightiest first."""
    earlier = before.joined() if before is not None else now.joined().slice(0, 0)
    with duckdb.connect(config={"enable_external_access": "false", "threads": "2"}) as engine:
        engine.register("now", now.joined())
        engine.register("before", earlier)
        engine.register("listed", engine.sql(_COMPARE).to_arrow_table())
        return engine.sql(_ORDER).to_arrow_table().select([*COLUMNS, "row"])


def standing(feilliste: pa.Table) -> pa.Table:
    """Give the findings that are there now."""
    return feilliste.filter(pc.not_equal(feilliste["status"], Status.FIXED.value))


def as_stored(feilliste: pa.Table) -> pa.Table:
    """Give a delivery's findings as they are kept, each with the sequence in which it was first seen."""
    return standing(feilliste).select(STORED.names).cast(STORED)


def count_by_status(feilliste: pa.Table) -> dict[str, int]:
    """Count findings by status."""
    counted = feilliste.group_by("status").aggregate([("rule", "count")]).to_pylist()
    return {status.value: 0 for status in Status} | {row["status"]: row["rule_count"] for row in counted}


def _taken(keys: pa.Table, column: str, rows: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.take(keys[column], pc.index_in(rows, value_set=keys["_row"].combine_chunks().cast(rows.type)))
