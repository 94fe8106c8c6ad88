"""The worklist: what feedback asks a municipality to look at, person by person, with its own identity numbers.

It stays inside the secure zone. Its last columns are empty: what is right as it is, is answered there and sealed along.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from ipis.kernel.errors import FeedbackRefused
from ipis.lib.delimited import unmarked, write_csv
from ipis.lib.spreadsheet import Column, Sheet, write_workbook
from ipis.validation.problems import LEVELS

if TYPE_CHECKING:
    from ipis.kernel.extract import Extract

NAME: Final = "worklist.csv"
WORKBOOK: Final = "worklist.xlsx"
ANSWERS: Final = ("svar", "begrunnelse")
"""Columns for whoever works through the list (docs/spec/forsendelse.md)."""
COLUMNS: Final = (
    "brukerNr", "fid", "level", "problem", "record", "id", "field", "value", "found", "expected", "do", "status",
    "rule", "first_seen", *ANSWERS,
)  # fmt: skip
"""The worklist's columns: whom it is about, then what, then where it comes from, then room for answers."""
_OWN: Final = {"fid", *ANSWERS}
_WIDTHS: Final = {
    "found": 44,
    "expected": 34,
    "do": 44,
    "svar": 10,
    "begrunnelse": 40,
    "fid": 16,
    "brukerNr": 14,
    "id": 18,
}
_WRAPPED: Final = {"found", "expected", "do", "begrunnelse"}


def read_findings(feilliste: bytes, name: str) -> pa.Table:
    """Read the feilliste of the zip named as texts, the marks against spreadsheets taken off."""
    header = feilliste.split(b"\r\n", 1)[0].removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").split(";")
    if not set(COLUMNS) - _OWN <= set(header) or len(set(header)) != len(header):
        raise FeedbackRefused("open.damaged", file=name)
    convert = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False, quoted_strings_can_be_null=False
    )
    parse = arrow_csv.ParseOptions(delimiter=";", newlines_in_values=True, ignore_empty_lines=False)
    # One block: a line break inside quotes is then no matter where it falls.
    read = arrow_csv.ReadOptions(block_size=max(len(feilliste) + 1, 1 << 16))
    try:
        table = arrow_csv.read_csv(io.BytesIO(feilliste), read, parse, convert).combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise FeedbackRefused("open.damaged", file=name) from error
    return pa.table({name: unmarked(table[name]) for name in table.column_names})


def standing(findings: pa.Table) -> pa.Table:
    """Give the findings that ask for something: neither fixed nor answered."""
    return findings.filter(pc.invert(pc.is_in(findings["status"], value_set=pa.array(["fixed", "answered"]))))


def identifiers(own: Extract) -> pa.Table:
    """Give brukerNr and fid of one's own extract; a doubled brukerNr gives all that bear it."""
    person = own.tables["person"].select(["brukerNr", "fid"])
    known = person.filter(pc.and_(pc.is_valid(person["brukerNr"]), pc.not_equal(pc.fill_null(person["fid"], ""), "")))
    listed = known.group_by("brukerNr", use_threads=False).aggregate([("fid", "distinct")])
    return pa.table({"brukerNr": listed["brukerNr"], "fid": pc.binary_join(listed["fid_distinct"], " / ")})


def worklist(findings: pa.Table, known: pa.Table | None) -> pa.Table:
    """Give what is to be looked at (COLUMNS): person by person, whoever has the weightiest problem first."""
    work = standing(findings)
    weight = pc.fill_null(pc.index_in(work["level"], value_set=pa.array(LEVELS)), len(LEVELS))
    heaviest = pa.table({"brukerNr": work["brukerNr"], "weight": weight}).group_by("brukerNr", use_threads=False)
    least = heaviest.aggregate([("weight", "min")])
    person = least["weight_min"].combine_chunks().take(pc.index_in(work["brukerNr"], value_set=least["brukerNr"]))
    keys = {"person": person, "brukerNr": work["brukerNr"], "weight": weight}
    keys |= {name: work[name] for name in ("rule", "record", "id")}
    order = pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in keys])
    named = pa.nulls(work.num_rows, pa.string())
    if known is not None:
        at = pc.index_in(work["brukerNr"].combine_chunks(), value_set=known["brukerNr"].combine_chunks())
        named = known["fid"].combine_chunks().take(at)
    empty = pa.repeat("", work.num_rows)
    whole = {name: work[name] for name in work.column_names} | {"fid": pc.fill_null(named, ""), "svar": empty}
    return pa.table({**whole, "begrunnelse": empty}).select(COLUMNS).take(order)


def as_csv(work: pa.Table) -> bytes:
    """Write the worklist as CSV."""
    return write_csv(work)


def as_workbook(work: pa.Table) -> bytes:
    """Write the worklist as a workbook of texts: no number loses its leading zero, and saved as CSV it is the same."""
    columns = [
        Column(name, work[name].combine_chunks(), _WIDTHS.get(name, 12), wrap=name in _WRAPPED) for name in COLUMNS
    ]
    return write_workbook([Sheet("worklist", columns, frozen=2)], title="worklist", at=datetime.now(UTC))
