"""Answers "this is right as it is": read from a worklist in which `svar` is filled, sealed into the next forsendelse.

An answer names a finding's key by brukerNr and id; here they become local keys, so that nothing else leaves.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel import leak
from ipis.kernel.answers import KEY_COLUMNS, LONGEST, SVAR_SCHEMA, as_read, in_order
from ipis.kernel.errors import ExtractRefused
from ipis.kernel.keying import draw_local_keys
from ipis.kernel.rows import LOKAL_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ipis.kernel.layout import Layout
    from ipis.kernel.seasonpack import SeasonPack

COLUMNS: Final = (*KEY_COLUMNS, "svar", "begrunnelse")
"""What is read of a worklist; its other columns stay here."""
RIGHT: Final = frozenset({"riktig", "rett", "right"})
"""What `svar` may say: that it is right as it is, in the three languages."""
_MOST_BYTES: Final = 64 << 20
_MARKED: Final = re.compile(r"'(?=[=+\-@\t\r\n'])")


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as written, and its line in the file; empty text where the finding shows no brukerNr, id or field."""

    line: int
    rule: str
    record: str
    bruker_nr: str
    id: str
    field: str
    begrunnelse: str

    @property
    def key(self) -> tuple[str, ...]:
        """Give what it is about."""
        return (self.rule, self.record, self.bruker_nr, self.id, self.field)


@dataclass(frozen=True, slots=True)
class Kept:
    """The answers to seal, and the lines of those about records or rules that this extract or year does not have."""

    answers: tuple[Answer, ...]
    left_out: tuple[int, ...]


def read_answers(path: Path) -> tuple[Answer, ...]:
    """Read the rows of which `svar` is filled; raises ExtractRefused with the line for whatever is not as it must be.

    UTF-8 or Windows-1252, `;` between columns, the columns in any order; each key once.
    """
    found: dict[tuple[str, ...], Answer] = {}
    for line, row in _rows(path):
        answer = _answer(path.name, line, row)
        if answer is None:
            continue
        standing = found.setdefault(answer.key, answer)
        if standing.begrunnelse != answer.begrunnelse:
            raise ExtractRefused("answers.doubled", file=path.name, line=line, first=standing.line)
    return tuple(found.values())


def refuse_identity_numbers(answers: Sequence[Answer], identifiers: pa.ChunkedArray, file: str) -> None:
    """Refuse a begrunnelse that holds an identity number, by form or one of the extract's own; names line, never it."""
    texts = as_read(pa.table({"begrunnelse": pa.array([answer.begrunnelse for answer in answers], pa.string())}))
    if not _has_number(texts, identifiers):
        return
    for place, answer in enumerate(answers):
        if _has_number(texts.slice(place, 1), identifiers):
            raise ExtractRefused("answers.identity", file=file, line=answer.line)


def keep_known(answers: Sequence[Answer], tables: Mapping[str, pa.Table], season: SeasonPack) -> Kept:
    """Part the answers about rules of the year and records of this extract from the others."""
    from ipis.validation import rulebook

    rules, layout = rulebook.of(season.collection).rules, season.collection.layout
    known = {name: _keys_of(tables[name], layout, name) for name in {a.record for a in answers} & tables.keys()}
    known[layout.header.name] = set()
    # A rule of a field's form or code list stands in the catalogue under one record type, and is found in several.
    # A finding about what does not exist, such as a service that nobody has, points at no record.
    kept = [
        answer
        for answer in answers
        if answer.rule in rules
        and answer.record in known
        and ((answer.bruker_nr, answer.id) in known[answer.record] or not answer.bruker_nr + answer.id)
    ]
    gone = {answer.line for answer in answers} - {answer.line for answer in kept}
    return Kept(tuple(kept), tuple(sorted(gone)))


def seal_rows(answers: Sequence[Answer], lokal: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Give the answers as they travel (SVAR_SCHEMA) and `lokal` with the ids that only answers name added."""
    named = pa.array([text for answer in answers for text in (answer.bruker_nr, answer.id) if text], pa.string())
    more = pc.unique(named.filter(pc.invert(pc.is_in(named, value_set=lokal["value"].combine_chunks()))))
    if len(more):
        numbers = draw_local_keys(len(more), taken=lokal["local_key"].to_numpy())
        joined = pa.concat_tables([lokal, pa.Table.from_arrays([pa.array(numbers), more], schema=LOKAL_SCHEMA)])
        lokal = joined.take(pa.array(np.argsort(joined["local_key"].to_numpy())))
    columns = {
        "rule": [answer.rule for answer in answers],
        "record": [answer.record for answer in answers],
        "brukerNr": _local([answer.bruker_nr for answer in answers], lokal),
        "id": _local([answer.id for answer in answers], lokal),
        "field": [answer.field for answer in answers],
        "begrunnelse": [answer.begrunnelse for answer in answers],
    }
    return in_order(pa.table(columns, schema=SVAR_SCHEMA)), lokal


def _local(texts: list[str], lokal: pa.Table) -> pa.ChunkedArray:
    wanted = pa.array([text or None for text in texts], pa.string())
    return lokal["local_key"].take(pc.index_in(wanted, value_set=lokal["value"]))


def _keys_of(table: pa.Table, layout: Layout, record: str) -> set[tuple[str, str]]:
    """Give (brukerNr, id) of a record's rows as feedback shows them."""
    id_field = layout.records[record].id_field
    shown = [
        pc.fill_null(pc.cast(table[name], pa.string()), "").to_pylist()
        if name in table.column_names
        else [""] * table.num_rows
        for name in ("brukerNr", id_field)
    ]
    return set(zip(*shown, strict=True))


def _answer(file: str, line: int, row: Mapping[str, str]) -> Answer | None:
    """Read one row, or None where nothing is answered."""
    svar, begrunnelse = row["svar"].strip().lower(), row["begrunnelse"].strip()
    if not svar:
        if begrunnelse:
            raise ExtractRefused("answers.no_svar", file=file, line=line)
        return None
    if svar not in RIGHT:
        raise ExtractRefused("answers.unknown", file=file, line=line)
    if len(begrunnelse) > LONGEST or not begrunnelse.replace("\r", "").replace("\n", "").isprintable():
        raise ExtractRefused("answers.begrunnelse", file=file, line=line, most=LONGEST)
    rule, record, bruker_nr, own_id, field = (row[column].strip() for column in KEY_COLUMNS)
    if not rule or not record:
        raise ExtractRefused("answers.key", file=file, line=line)
    return Answer(line, rule, record, bruker_nr, own_id, field, begrunnelse)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Give each row with the line on which it begins, the marks against spreadsheets taken off."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), delimiter=";", strict=True)
    header: list[str] = []
    line = 1
    try:
        for row in reader:
            if not header:
                header = _header(path.name, row)
            elif any(row):
                if len(row) != len(header):
                    raise ExtractRefused("answers.columns", file=path.name, line=line, found=len(row), most=len(header))
                yield line, dict(zip(header, map(_unmarked, row), strict=True))
            line = reader.line_num + 1
    except csv.Error as error:
        raise ExtractRefused("answers.csv", file=path.name, line=line) from error
    if not header:
        raise ExtractRefused("answers.header", file=path.name, column=COLUMNS[0])


def _header(file: str, row: list[str]) -> list[str]:
    names = [name.strip() for name in row]
    for column in COLUMNS:
        if names.count(column) != 1:
            raise ExtractRefused("answers.header", file=file, column=column)
    return names


def _text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES or b"\0" in data:
        raise ExtractRefused("answers.file", file=path.name, most=_MOST_BYTES >> 20)
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ExtractRefused("answers.file", file=path.name, most=_MOST_BYTES >> 20)


def _unmarked(value: str) -> str:
    """Take off the mark that keeps a spreadsheet from running a cell."""
    return value[1:] if _MARKED.match(value) else value


def _has_number(texts: pa.Table, identifiers: pa.ChunkedArray) -> bool:
    return any(found.hits for found in (*leak.scan(texts), *leak.own_hits(texts, identifiers)))
