"""The feilliste: findings keyed on brukerNr and the record's own id, and what became of them since the delivery before.

A finding is the same as an earlier one when rule, record type, brukerNr, record id and field are. Both sides are
multisets: the n-th of a kind meets the n-th, so that two stay two. Never an identifier: the keys are the sender's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.ssb.feedback.cells import without_numbers
from ipis.validation import problems

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

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
    "status", "level", "problem", "rule", "record", "brukerNr", "id", "field", "value", "found", "expected", "do",
    "effect", "first_seen", "answer",
)  # fmt: skip
"""The columns of the feilliste, in order."""
KEYS = ("rule", "record", "brukerNr", "id", "field")
"""What makes a finding the same as an earlier one, and what an answer names it by."""
_FREE = ("value", "found", "expected", "do", "answer")
"""Columns that show what stood in a field, or what somebody wrote."""
_BETWEEN = "\x1f"


class Status(StrEnum):
    """What became of a finding since the delivery before."""

    NEW = "new"
    """Was not there."""
    OPEN = "open"
    """Was there already."""
    ANSWERED = "answered"
    """Is there, and the municipality has said that it is right as it is."""
    FIXED = "fixed"
    """Was there and is gone."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """Findings of one delivery as stored, with the keys of its records: record -> (_row, brukerNr, id)."""

    findings: pa.Table
    keys: Mapping[str, pa.Table]
    problems: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Rule -> the name of its problem and what findings of it share (validation.problems)."""

    def joined(self) -> pa.Table:
        """Put brukerNr and id beside each finding; empty text where a finding points at no record."""
        records = self.findings["record"].combine_chunks()
        rows = self.findings["row"].combine_chunks()
        columns = {name: pa.nulls(len(rows), pa.string()) for name in ("brukerNr", "id")}
        for record, keys in self.keys.items():
            mine = pc.equal(records, record)
            for name, known in columns.items():
                columns[name] = pc.if_else(mine, _taken(keys, name, rows), known)
        joined = self.findings
        for name, column in columns.items():
            joined = joined.append_column(name, pc.fill_null(column, ""))
        return joined.set_column(joined.column_names.index("field"), "field", pc.fill_null(joined["field"], ""))


def make_feilliste(now: Keyed, before: Keyed | None, answers: pa.Table | None = None) -> pa.Table:
    """Give the feilliste of a delivery: COLUMNS and `row`, problem by problem, the weightiest first.

    `answers` says which findings are right as they are: KEYS, `begrunnelse` and `year`. Answered problems come after
    the open ones, fixed ones last. A problem's number holds within the list.
    """
    this = now.joined()
    past = before.joined() if before is not None else this.slice(0, 0)
    meets = _meetings(_same(this), _same(past))
    gone = np.ones(past.num_rows, np.bool_)
    gone[meets[meets >= 0]] = False
    reasons = _reasons(this, answers)
    met = pa.array(meets, mask=meets < 0)
    status = pc.if_else(pc.is_valid(met), Status.OPEN.value, Status.NEW.value)
    status = pc.if_else(pc.is_valid(reasons), Status.ANSWERED.value, status)
    seen = pc.coalesce(past["first_seen"].combine_chunks().take(met), this["first_seen"].combine_chunks())
    fixed = past.filter(pa.array(gone))
    listed = pa.concat_tables(
        [
            _with(this, status, seen, pc.fill_null(reasons, "")),
            _with(fixed, pa.repeat(Status.FIXED.value, len(fixed)), fixed["first_seen"], pa.repeat("", len(fixed))),
        ]
    )
    for name in _FREE:
        hidden = without_numbers(listed[name].combine_chunks())
        listed = listed.set_column(listed.column_names.index(name), name, hidden)
    return _numbered(listed, now.problems)


def standing(feilliste: pa.Table) -> pa.Table:
    """Give the findings that are there now, answered or not."""
    return feilliste.filter(pc.not_equal(feilliste["status"], Status.FIXED.value))


def unanswered(feilliste: pa.Table) -> pa.Table:
    """Give the findings that ask for something: there now, and not answered."""
    return feilliste.filter(pc.is_in(feilliste["status"], value_set=pa.array([Status.NEW.value, Status.OPEN.value])))


def of_status(feilliste: pa.Table, status: Status) -> pa.Table:
    """Give the findings of one status."""
    return feilliste.filter(pc.equal(feilliste["status"], status.value))


def as_stored(feilliste: pa.Table) -> pa.Table:
    """Give a delivery's findings as they are kept, each with the sequence in which it was first seen."""
    return standing(feilliste).select(STORED.names).cast(STORED)


def count_by_status(feilliste: pa.Table) -> dict[str, int]:
    """Count findings by status."""
    counted = pc.value_counts(feilliste["status"].combine_chunks()).to_pylist()
    return {status.value: 0 for status in Status} | {item["values"]: item["counts"] for item in counted}


def count_problems(findings: pa.Table) -> int:
    """Count the problems that findings make up."""
    return int(pc.count_distinct(findings["problem"]).as_py())


def _same(findings: pa.Table) -> pa.Array:
    """Write what makes a finding the same as another as one text."""
    return pc.binary_join_element_wise(*(findings[name].combine_chunks() for name in KEYS), _BETWEEN)


def _meetings(this: pa.Array, past: pa.Array) -> NDArray[np.int64]:
    """Give for each finding the earlier one that it meets, the n-th of a kind the n-th; -1 where there is none."""
    codes = np.asarray(pa.concat_arrays([this, past]).dictionary_encode().indices, np.int64)
    now, then = (_counted(part) for part in (codes[: len(this)], codes[len(this) :]))
    if not len(then):
        return np.full(len(now), -1, np.int64)
    order = np.lexsort((then[:, 1], then[:, 0]))
    scale = 1 + max(then[:, 1].max(), now[:, 1].max() if len(now) else 0)
    known, wanted = then[order] @ (scale, 1), now @ (scale, 1)
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    found: NDArray[np.int64] = np.where(known[places] == wanted, order[places], -1)
    return found


def _counted(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put beside each code how many times it stood before: shape (n, 2)."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(codes) else np.zeros(0, np.int64)
    lengths = np.diff(np.r_[starts, len(codes)])
    times = np.empty(len(codes), np.int64)
    times[order] = np.arange(len(codes)) - np.repeat(starts, lengths)
    return np.column_stack((codes, times))


def _reasons(findings: pa.Table, answers: pa.Table | None) -> pa.Array:
    """Give the reason that the municipality gave for each finding, null where it gave none."""
    if answers is None or not answers.num_rows:
        return pa.nulls(findings.num_rows, pa.string())
    named = pc.binary_join_element_wise(
        *(pc.fill_null(answers[name].combine_chunks().cast(pa.string()), "") for name in KEYS), _BETWEEN
    )
    reasons = pc.fill_null(answers["begrunnelse"].combine_chunks(), "")
    # The newest answer of a finding holds.
    newest = pc.sort_indices(answers["year"].combine_chunks(), sort_keys=[("", "descending")])
    return reasons.take(newest).take(pc.index_in(_same(findings), value_set=named.take(newest)))


def _with(findings: pa.Table, status: pa.Array, first_seen: pa.Array | pa.ChunkedArray, answer: pa.Array) -> pa.Table:
    added = {"status": status, "first_seen": first_seen, "answer": answer}
    rest = findings.drop_columns(["first_seen"])
    for name, column in added.items():
        rest = rest.append_column(name, column)
    return rest


def _numbered(listed: pa.Table, named: Mapping[str, tuple[str, str]]) -> pa.Table:
    status = listed["status"].combine_chunks()
    last = np.asarray(pc.fill_null(pc.index_in(status, value_set=pa.array(["answered", "fixed"])), -1), np.int8) + 1
    # What is fixed has the row numbers of the delivery before: they must not meet this one's.
    rows = pc.if_else(pa.array(last == 2), pc.subtract(-2, listed["row"]), listed["row"])
    apart = listed.set_column(listed.column_names.index("row"), "row", rows)
    numbered = problems.number(apart, named, last=last.astype(np.int8))
    made = listed.take(pa.array(numbered.order)).append_column("problem", pa.array(numbered.problem))
    return made.select([*COLUMNS, "row"]).combine_chunks()


def _taken(keys: pa.Table, column: str, rows: pa.Array) -> pa.Array:
    places = pc.index_in(rows, value_set=keys["_row"].combine_chunks().cast(rows.type), skip_nulls=True)
    return keys[column].combine_chunks().cast(pa.string()).take(places)
