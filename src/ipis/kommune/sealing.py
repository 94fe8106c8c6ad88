"""What must hold before anything is sealed: header and identities judged, no identity number outside the identity part.

`prepare` then parts identities from rows under fresh keys; nothing has touched the disk yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel import foedselsnummer, keying, leak
from ipis.kernel.errors import ExtractRefused
from ipis.kernel.extract import Extract
from ipis.kernel.forsendelse import Rows
from ipis.kernel.header import Header, judge_header
from ipis.kernel.identifiers import DIGITS_WIDTH, Identities, Judgement, pack_identities
from ipis.kernel.keying import PERSON, Keyed
from ipis.kernel.layout import Layout, RecordType
from ipis.kernel.rows import id_columns, travelling_fields
from ipis.kernel.seasonpack import SeasonPack
from ipis.kommune.answers import Answer, seal_rows

if TYPE_CHECKING:
    from ipis.kommune.extract import ClearExtract

_BRUKERNR = "brukerNr"


@dataclass(frozen=True, slots=True)
class Prepared:
    """An extract that may be sealed."""

    header: Header
    rows: Rows


def prepare(clear: ClearExtract, layout: Layout, answers: Sequence[Answer] = ()) -> Prepared:
    """Give the rows of an extract that has been read and judged under fresh keys, identities apart, with answers."""
    keyed = keying.key_rows(clear.extract.tables, layout)
    records = _records(keyed, clear.identities, clear.judgement)
    svar, lokal = seal_rows(answers, keyed.lokal) if answers else (None, keyed.lokal)
    return Prepared(clear.header, Rows(records, keyed.tables, lokal, layout, svar))


def header_of(written: Mapping[str, str | None], season: SeasonPack) -> Header:
    """Judge the extract's header by the season pack: year, period, municipality, district, organisation number."""
    return judge_header(
        written,
        season.collection,
        agreements={kommune: frozenset(bydeler) for kommune, bydeler in season.body.agreements.items()},
        organisations={kommune: each.orgnr for kommune, each in season.body.organisations.items()},
    )


def judge_identities(extract: Extract, season: SeasonPack) -> tuple[Identities, Judgement]:
    """Judge all identity numbers; a real one to a demo or test key refuses the whole extract."""
    person = extract.tables[PERSON]
    identities = foedselsnummer.read_identities(person["fid"], person["typeID"], season.environment)
    judgement = foedselsnummer.judge(identities, season.year, season.environment)
    foedselsnummer.refuse_real_numbers(judgement, season.environment)
    return identities, judgement


def refuse_identity_numbers(extract: Extract, layout: Layout) -> None:
    """Refuse an extract of which any other text holds one of its own identity numbers (architecture §2.2).

    Separators are looked through, dummies of one repeated digit left aside. Shorter identifiers are compared with the
    person's own ids only. A column in which strangers' numbers stand by the share is refused as SSB would refuse it.
    """
    fid = extract.tables[PERSON]["fid"]
    own = leak.OwnNumbers(fid)
    short = pc.if_else(pc.match_substring_regex(fid, "^[0-9]{6,10}$"), fid, pa.scalar(None, pa.string()))
    for name, record in layout.records.items():
        table = extract.tables[name]
        suspects = leak.Suspects(table.select(list(_text_columns(record))))
        for found in leak.own_hits(suspects, own):
            if found.hits:
                raise _refusal(name, found.column, found.hits)
        for found in leak.leaking(leak.scan(suspects)):
            raise ExtractRefused("numbers.leak", column=found.column, hits=found.hits, values=found.values)
        for column, hits in _short_hits(table, record, short):
            if hits:
                raise _refusal(name, column, hits)


def _refusal(record: str, column: str, hits: int) -> ExtractRefused:
    code = "seal.bruker_nr" if column == _BRUKERNR else "seal.own_identifier"
    return ExtractRefused(code, record=record, column=column, hits=hits)


def _text_columns(record: RecordType) -> Iterator[str]:
    """Name the columns whose text would travel in the data part."""
    for field in travelling_fields(record):
        yield f"{field.name}__raw" if field.has_raw else field.name


def _short_hits(table: pa.Table, record: RecordType, short: pa.ChunkedArray) -> Iterator[tuple[str, int]]:
    """Count ids that equal their own person's identifier of fewer than eleven digits (`short`, by person)."""
    own = short if record.name == PERSON else short.take(table["_person"])
    if own.null_count < len(own):
        for column in id_columns(record):
            yield column, int(pc.sum(pc.equal(table[column], own)).as_py() or 0)


def _records(
    keyed: Keyed, identities: Identities, judgement: Judgement
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Lay out the identity part: persons, then an empty identifier for each key of rows without a person."""
    orphans = len(keyed.orphan_keys)
    empty = Identities(
        np.zeros(orphans, np.uint8), np.zeros(orphans, np.uint8), np.zeros((orphans, DIGITS_WIDTH), np.uint8)
    )
    return np.concatenate(
        [
            pack_identities(keyed.person_keys, identities, judgement.reason),
            pack_identities(keyed.orphan_keys, empty, np.zeros(orphans, np.int8)),
        ]
    )
