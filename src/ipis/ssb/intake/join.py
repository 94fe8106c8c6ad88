"""Joins data and mapping on the person key, puts SSB's layer over the pseudonyms, lets the person key fall away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel.errors import ParcelRefused
from ipis.kernel.identifiers import IdentifierClass, Reason
from ipis.kernel.rows import KEY, keys_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ipis.ssb.layer import LayerKey

PERSON = "person"
PSEUDONYM_TYPE = pa.binary(16)
_CLASSES = pa.array([each.text for each in IdentifierClass])
_REASONS = pa.array([each.text for each in Reason])
_KJOENN = pa.array(["1", "2"])
_FIRST_YEAR = 1800


def join(
    tables: Mapping[str, pa.Table], mapping: pa.Table, layer: LayerKey, *, year: int, key_version: int
) -> dict[str, pa.Table]:
    """Give the delivery's tables: `_row` and `_person` before the fields, pseudonym and supplied columns on `person`.

    Both sides are sorted by person key, and their commitments are equal. Raises ParcelRefused (`intake.mapping`,
    `intake.person_doubled`).
    """
    _check_mapping(mapping, year, key_version)
    persons = keys_of(tables[PERSON])
    if (persons[1:] == persons[:-1]).any():
        raise ParcelRefused("intake.person_doubled")
    joined = {name: _numbered(table, persons) for name, table in tables.items()}
    joined[PERSON] = _with_supplied(joined[PERSON], persons, mapping, layer, year)
    return joined


def _numbered(table: pa.Table, persons: NDArray[np.bytes_]) -> pa.Table:
    """Give rows their numbers and their person's, null where there is none, and drop the person key."""
    keys = keys_of(table)
    place = np.searchsorted(persons, keys)
    found = place < len(persons)
    found[found] = persons[place[found]] == keys[found]
    numbers = pa.array(np.arange(table.num_rows, dtype=np.int32))
    person = pa.array(place.astype(np.int32), mask=~found)
    rest = table.drop_columns([KEY])
    return pa.table([numbers, person, *rest.columns], names=["_row", "_person", *rest.column_names])


def _with_supplied(
    table: pa.Table, persons: NDArray[np.bytes_], mapping: pa.Table, layer: LayerKey, year: int
) -> pa.Table:
    """Add the pseudonym under SSB's layer, and sex, birth year, age, class and reason, in the order of the persons."""
    rows = pa.array(np.searchsorted(keys_of(mapping), persons))
    mine = mapping.take(rows)
    covered = layer.cover(_bytes16(mine["pseudonym"]))
    packed = pa.Array.from_buffers(PSEUDONYM_TYPE, len(covered), [None, pa.py_buffer(covered.tobytes())])
    alder = pc.subtract(pa.scalar(year, pa.int16()), mine["foedselsaar"])
    columns: dict[str, Any] = {
        "pseudonym": packed,
        "kjoenn": mine["kjoenn"],
        "foedselsaar": mine["foedselsaar"],
        "alder": alder,
        "id_class": mine["id_class"],
        "id_reason": mine["id_reason"],
    }
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def _check_mapping(mapping: pa.Table, year: int, key_version: int) -> None:
    """Refuse values that TPF's format does not know; the form itself has been checked."""
    birth = pc.drop_null(mapping["foedselsaar"])
    kept = {
        "id_class": pc.all(pc.is_in(mapping["id_class"], value_set=_CLASSES)),
        "id_reason": pc.all(pc.is_in(mapping["id_reason"], value_set=_REASONS)),
        "kjoenn": pc.all(pc.is_in(pc.drop_null(mapping["kjoenn"]), value_set=_KJOENN)),
        "key_version": pc.all(pc.equal(mapping["key_version"], key_version)),
        "foedselsaar": pc.all(pc.and_(pc.greater_equal(birth, _FIRST_YEAR), pc.less_equal(birth, year))),
    }
    for column, fits in kept.items():
        if fits.as_py() is False:
            raise ParcelRefused("intake.mapping", column=column)


def _bytes16(column: pa.ChunkedArray) -> NDArray[np.uint8]:
    """View a 16-byte column as an array of shape (n, 16)."""
    parts = []
    for chunk in column.chunks:
        raw = np.frombuffer(chunk.buffers()[1] or b"", np.uint8)
        parts.append(raw[chunk.offset * 16 : (chunk.offset + len(chunk)) * 16].reshape(-1, 16))
    return np.concatenate(parts) if parts else np.empty((0, 16), np.uint8)
