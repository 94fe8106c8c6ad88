"""Answers as a delivery keeps them: by local keys for the year, by pseudonym and service code for the next. No Django.

An answer about a person whose pseudonym is unlinkable keeps none, so that it lapses with the year.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel.answers import SVAR_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipis.kernel.layout import Layout, RecordType

KEPT_SCHEMA: Final = pa.schema(
    [
        *SVAR_SCHEMA,
        pa.field("has_person", pa.bool_(), nullable=False),
        pa.field("pseudonym", pa.binary(16)),
        pa.field("kode", pa.string()),
    ]
)
"""SVAR_SCHEMA, whether the answered record has a person, its pseudonym if it is a national one, its service code."""
_PERSON: Final = "person"
_NATIONAL: Final = "national"
_SERVICE_CODES: Final = "service_types"
_BETWEEN: Final = "\x1f"


def kept_answers(answers: pa.Table, tables: Mapping[str, pa.Table], lokal: pa.Table, layout: Layout) -> pa.Table:
    """Give answers as a delivery keeps them (KEPT_SCHEMA): `tables` are the delivery's, as `open_tables` gives them."""
    parts = [KEPT_SCHEMA.empty_table()]
    for record in pc.unique(answers["record"]).to_pylist():
        its = answers.filter(pc.equal(answers["record"], record))
        if record not in tables:
            parts.append(_with(its, pa.nulls(its.num_rows, pa.int32()), None, None))
            continue
        rows = rows_of(layout.records[record], tables, lokal)
        asked = _joined(named(its["brukerNr"], lokal), named(its["id"], lokal))
        # Without brukerNr and id the finding is of what does not exist: it has no row.
        there = pc.if_else(pc.equal(asked, _BETWEEN), None, asked)
        at = pc.index_in(there, value_set=_joined(rows["brukerNr"], rows["id"]).combine_chunks(), skip_nulls=True)
        parts.append(_with(its, rows["_person"].take(at), tables[_PERSON], rows["kode"].take(at)))
    return pa.concat_tables(parts)


def rows_of(record: RecordType, tables: Mapping[str, pa.Table], lokal: pa.Table) -> pa.Table:
    """Give of each row of a record: brukerNr and id as shown (empty for none), `_person`, and the service code."""
    table = tables[record.name]
    person = table["_row"] if record.name == _PERSON else table["_person"]
    code = service_field(record)
    return pa.table(
        {
            "brukerNr": _shown(table, "brukerNr", lokal),
            "id": _shown(table, record.id_field, lokal),
            "_person": person.cast(pa.int32()),
            "kode": pa.nulls(table.num_rows, pa.string()) if code is None else table[code].cast(pa.string()),
        }
    )


def service_field(record: RecordType) -> str | None:
    """Name the field of a record that says which service it is about, or None."""
    names = (f.name for f in record.fields.values() if isinstance(f.codes, str) and f.codes.startswith(_SERVICE_CODES))
    return next(names, None)


def nationals(persons: pa.Table) -> pa.ChunkedArray:
    """Give the national pseudonym of each person; null for the unlinkable."""
    national = pc.fill_null(pc.equal(persons["id_class"], _NATIONAL), fill_value=False)
    return pc.if_else(national, persons["pseudonym"], pa.scalar(None, persons["pseudonym"].type))


def pseudonyms(persons: pa.Table, rows: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray:
    """Give the national pseudonyms of persons by their row number; null for the unlinkable and for none."""
    return nationals(persons).take(rows)


def named(local_keys: pa.ChunkedArray, lokal: pa.Table) -> pa.ChunkedArray:
    """Give the values of local keys, empty text for none."""
    return pc.fill_null(lokal["value"].take(pc.index_in(local_keys, value_set=lokal["local_key"])), "")


def _with(its: pa.Table, person: pa.Array, persons: pa.Table | None, kode: pa.Array | None) -> pa.Table:
    count = its.num_rows
    columns = {
        **{name: its[name] for name in SVAR_SCHEMA.names},
        "has_person": pc.is_valid(person),
        "pseudonym": pa.nulls(count, pa.binary(16)) if persons is None else pseudonyms(persons, person),
        "kode": pa.nulls(count, pa.string()) if kode is None else kode,
    }
    return pa.table(columns).cast(KEPT_SCHEMA)


def _joined(first: pa.ChunkedArray, second: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(first, second, _BETWEEN)


def _shown(table: pa.Table, field: str, lokal: pa.Table) -> pa.ChunkedArray:
    """Give a key column as the municipality wrote it; a column that is no local key as it is, one absent empty."""
    if field not in table.column_names:
        return pa.chunked_array([pa.array(np.full(table.num_rows, ""), pa.string())])
    column = table[field]
    if not pa.types.is_int64(column.type):
        return pc.fill_null(pc.cast(column, pa.string()), "")
    return named(column, lokal)
