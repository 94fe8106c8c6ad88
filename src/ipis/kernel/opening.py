"""Opening the parts of a forsendelse: each by the party it is sealed to, strictly, and joined only when all fit.

Identity and contact are opened in memory only. Data and mapping are opened into a private staging folder; read what
strangers sent in a child process (`kernel.confined`), since Parquet metadata lie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ipis.kernel import container
from ipis.kernel.answers import SVAR, SVAR_SCHEMA, check_answers
from ipis.kernel.contact import Contact
from ipis.kernel.errors import ParcelRefused
from ipis.kernel.identifiers import MAPPING_SCHEMA
from ipis.kernel.layout import Layout
from ipis.kernel.manifest import Facts, Part, commitment_of
from ipis.kernel.packing import CONTACT, IDENTITIES, RECORD, seal_container
from ipis.kernel.parquet import read_part_parquet, write_parquet
from ipis.kernel.parts import Content, Header, check_whole, clear_part, read_clear
from ipis.kernel.rows import (
    LOKAL,
    LOKAL_SCHEMA,
    all_keys,
    check_local_keys,
    check_sorted,
    content_sha256,
    keys_of,
    part_schemas,
)
from ipis.kernel.sealed import Identity, Recipient, open_bytes

MAPPING: Final = "mapping.parquet"
_ANSWERS: Final = f"{SVAR}.parquet"
_MAX_CONTACT: Final = 1 << 14


@dataclass(frozen=True, slots=True, repr=False)
class IdentityPart:
    """An opened identity part: its records as bytes, to be read by `identifiers.unpack_identities`."""

    header: Header
    records: bytes


@dataclass(frozen=True, slots=True)
class DataPart:
    """An opened data part: the record tables, `lokal` and answers, checked by themselves."""

    header: Header
    tables: Mapping[str, pa.Table]
    lokal: pa.Table
    answers: pa.Table | None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The rows of a whole forsendelse, proved complete."""

    tables: Mapping[str, pa.Table]
    lokal: pa.Table
    commitment: str
    content_sha256: str
    answers: pa.Table | None = None
    """Findings that the municipality says are right as they are (SVAR_SCHEMA); None: the forsendelse carries none."""


def open_identity(sealed: bytes, part: Part, facts: Facts, identity: Identity) -> IdentityPart:
    """Open a sealed identity part in memory."""
    check_key(part.key_id, identity, part.name)
    clear = open_bytes(sealed, identity, part=part.name)
    found = read_clear(clear, facts, "identity", (part.k, part.n), (IDENTITIES,), part=part.name)
    records = found.archive.read(IDENTITIES, len(clear))
    if len(records) != RECORD * found.header.part_rows.get("identity", -1):
        raise ParcelRefused("parcel.rows", part=part.name)
    return IdentityPart(found.header, records)


def join_identities(parts: Sequence[IdentityPart]) -> bytes:
    """Join all identity parts of a forsendelse; gives its records, proved to be all, sorted, each key once."""
    header = check_whole([part.header for part in parts], role="identity")
    joined = b"".join(part.records for part in parts)
    keys = np.frombuffer(joined, np.uint8).reshape(-1, RECORD)[:, :16]
    _check_keys(np.ascontiguousarray(keys).view("S16").reshape(-1), header.commitment, "identity")
    return joined


def open_contact(sealed: bytes, part: Part, facts: Facts, identity: Identity) -> Contact:
    """Open the contact part in memory."""
    check_key(part.key_id, identity, part.name)
    clear = open_bytes(sealed, identity, part=part.name)
    found = read_clear(clear, facts, "contact", (1, 1), (CONTACT,), part=part.name)
    return Contact.parse(found.archive.read(CONTACT, _MAX_CONTACT))


def read_data_part(staged: Path | bytes, part: Part, facts: Facts, layout: Layout) -> DataPart:
    """Read a data part that has been opened into a file or in memory."""
    schemas = part_schemas(layout)
    members = [f"{name}.parquet" for name in schemas]
    found = read_clear(staged, facts, "data", (part.k, part.n), members, part=part.name, last=_ANSWERS)
    if _ANSWERS in found.archive.names:
        schemas[SVAR] = SVAR_SCHEMA
    tables = {name: _table(found.archive, f"{name}.parquet", schema) for name, schema in schemas.items()}
    if {name: table.num_rows for name, table in tables.items()} != dict(found.header.part_rows):
        raise ParcelRefused("parcel.rows", part=part.name)
    lokal, answers = tables.pop(LOKAL), tables.pop(SVAR, None)
    check_sorted(tables, part.name)
    check_local_keys(tables, lokal, layout, part.name, answers)
    if answers is not None:
        check_answers(answers, layout, part.name)
        if part.k > 1 and answers.num_rows:
            raise ParcelRefused("parcel.answers", part=part.name)
    return DataPart(found.header, tables, lokal, answers)


def join_data(parts: Sequence[DataPart], layout: Layout) -> Delivered:
    """Join all data parts of a forsendelse and prove rows, commitment and content sum."""
    header = check_whole([part.header for part in parts], role="data")
    tables = {name: pa.concat_tables([part.tables[name] for part in parts]) for name in layout.records}
    check_sorted(tables, "data")
    lokal = _join_lokal([part.lokal for part in parts])
    if lokal.num_rows != header.rows.get(LOKAL):
        raise ParcelRefused("parcel.rows", part="data")
    _check_keys(all_keys(tables), header.commitment, "data")
    answers = parts[0].answers
    summed = content_sha256(tables, lokal, layout, answers)
    if summed != header.content_sha256:
        raise ParcelRefused("parcel.content", part="data")
    return Delivered(tables, lokal, str(header.commitment), summed, answers)


def seal_mapping(
    facts: Facts, mapping: pa.Table, place: tuple[int, int], whole: tuple[str, int], to: Recipient, path: Path
) -> None:
    """Seal mapping part k of n (`place`) into a new file; `whole` is the commitment and the rows of all parts."""
    commitment, rows = whole
    content = Content("mapping", commitment, {"mapping": rows})
    members = [container.Source.of_bytes(MAPPING, memoryview(write_parquet(mapping.cast(MAPPING_SCHEMA))))]
    seal_container(clear_part(facts, content, place, {"mapping": mapping.num_rows}, members), to, path)


def read_mapping_part(
    staged: Path | bytes, place: tuple[int, int], facts: Facts, *, part: str
) -> tuple[Header, pa.Table]:
    """Read mapping part k of n (`place`) that has been opened into a file or in memory."""
    found = read_clear(staged, facts, "mapping", place, (MAPPING,), part=part)
    table = _table(found.archive, MAPPING, MAPPING_SCHEMA)
    if dict(found.header.part_rows) != {"mapping": table.num_rows}:
        raise ParcelRefused("parcel.rows", part=part)
    return found.header, table


def join_mapping(parts: Sequence[tuple[Header, pa.Table]], commitment: str) -> pa.Table:
    """Join all mapping parts and prove that they map exactly the person keys of the data (`commitment`)."""
    header = check_whole([each for each, _ in parts], role="mapping")
    if header.commitment != commitment:
        raise ParcelRefused("parcel.commitment", part="mapping")
    table = pa.concat_tables([each for _, each in parts])
    _check_keys(keys_of(table), commitment, "mapping")
    return table


def check_key(key_id: str, identity: Identity, part: str) -> None:
    """Refuse a part that was sealed to another key than one's own, in the words of K002 (last year's key)."""
    if key_id != identity.key_id:
        raise ParcelRefused("parcel.other_key", rule="K002", part=part, key=key_id)


def _check_keys(keys: NDArray[np.bytes_], commitment: str | None, part: str) -> None:
    if (keys[1:] <= keys[:-1]).any() or commitment_of(keys.tobytes()) != commitment:
        raise ParcelRefused("parcel.commitment", part=part)


def _join_lokal(tables: Sequence[pa.Table]) -> pa.Table:
    """Join the parts' local keys; one that stands for two values is refused. A part has been proved by itself."""
    if len(tables) == 1:
        return tables[0]
    joined = pa.concat_tables(tables).group_by(["local_key", "value"], use_threads=False).aggregate([])
    joined = joined.select(["local_key", "value"]).sort_by("local_key").cast(LOKAL_SCHEMA)
    keys = joined["local_key"].to_numpy()
    if (keys[1:] == keys[:-1]).any():
        raise ParcelRefused("parcel.local_keys", part="data")
    return joined


def _table(archive: container.Archive, member: str, schema: pa.Schema) -> pa.Table:
    content = archive.read(member, archive[member].size)
    return read_part_parquet(content, schema, name=f"{archive.name}/{member}")
