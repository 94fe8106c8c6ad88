"""Columns that only who has the register can supply: what other municipalities report of the same person in the year.

They are added to a delivery's tables before its rules run, and never stored with it: the answer changes when somebody
else delivers. Persons without a national pseudonym have none of them. The year is looked through once for all
deliveries that are asked about together: what it costs is by the rows of the year, not by deliveries times rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.ssb.register.answer_rows import nationals
from ipis.ssb.register.deliveries import Release, columns_of, counts_for
from ipis.ssb.register.models import Delivery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipis.kernel.collection import Collection
    from ipis.ssb.register.objects import ObjectStore

_PERSON: Final = "person"
_SERVICE: Final = "tjeneste"
PSEUDONYM: Final = "pseudonym"
MUNICIPALITIES: Final = "antall_kommuner"
"""How many municipalities report the person in the year (K028)."""
ELSEWHERE: Final = "langtid_annen_kommune"
"""Whether another municipality reports a long-term stay of the person in the same time (K029): "1" yes, "2" no."""
_LONG_TERM: Final = "21"
"""Langtidsopphold i institusjon, list 9151: the one service that a person cannot have in two places at once."""
_YES, _NO = "1", "2"
_STAY_COLUMNS: Final = frozenset({"_person", "kode", "startDato", "sluttDato"})
_YEARS: Final = 2
"""How many years' persons are kept in memory: a year's deliveries, and those of the year before beside them."""
_PSEUDONYMS: Final = pa.binary(16)
_STAYS: Final = pa.schema(
    [
        pa.field(PSEUDONYM, _PSEUDONYMS),
        pa.field("kommune", pa.string()),
        pa.field("from", pa.int32()),
        pa.field("to", pa.int32()),
    ]
)
"""Long-term stays of persons with a national pseudonym: first and last day, in days since 1970."""


@dataclass(frozen=True, slots=True)
class _Reported:
    """What one delivery reports by national pseudonym: persons, each once, and long-term stays (_STAYS)."""

    kommune: str
    persons: pa.Array
    stays: pa.Table


_Year = dict[str, _Reported]
"""What the counting deliveries of a year report, by forsendelse."""


@dataclass(slots=True)
class RegisterView:
    """The persons of a year's counting deliveries, each delivery read once: a delivery never changes."""

    _read: dict[tuple[str, int, bool], _Year] = field(default_factory=dict)
    """The years last asked about, with long-term stays or without, the last one at the end."""

    def supply(
        self,
        deliveries: Sequence[Delivery],
        tables: Sequence[Mapping[str, pa.Table]],
        store: ObjectStore,
        collection: Collection,
    ) -> list[Mapping[str, pa.Table]]:
        """Give the tables of deliveries of one year with the columns added that the layout declares."""
        wanted = {
            column
            for record in (_PERSON, _SERVICE)
            if record in collection.layout.records
            for column, supplied in collection.layout.records[record].supplied.items()
            if supplied.source
        }
        if not wanted & {MUNICIPALITIES, ELSEWHERE}:
            return list(tables)
        year = self._year(store, collection)
        own = [nationals(its[_PERSON]).combine_chunks() for its in tables]
        asked = pa.concat_arrays([pa.array([], _PSEUDONYMS), *own]).dictionary_encode()
        numbers, stays, start = _municipalities(asked, year), _stays(asked.dictionary, year), 0
        given: list[Mapping[str, pa.Table]] = []
        for delivery, its, persons in zip(deliveries, tables, own, strict=True):
            added = dict(its)
            if MUNICIPALITIES in wanted:
                number = numbers.slice(start, len(persons))
                added[_PERSON] = its[_PERSON].append_column(MUNICIPALITIES, number)
            if ELSEWHERE in wanted:
                elsewhere = _elsewhere(its[_SERVICE], persons, stays, delivery.kommune, collection)
                added[_SERVICE] = its[_SERVICE].append_column(ELSEWHERE, elsewhere)
            start += len(persons)
            given.append(added)
        return given

    def _year(self, store: ObjectStore, collection: Collection) -> list[_Reported]:
        """Read the newest counting delivery of each sender; what no longer counts is forgotten."""
        rows = Delivery.objects.filter(register=collection.register, year=collection.year).order_by("sequence")
        counting = {(one.kommune, one.bydel): one for one in rows if counts_for(one, Release.JUNE)}
        key = (collection.register, collection.year, _has_stays(collection))
        known = self._read.get(key, {})
        year = {
            one.forsendelse: known.get(one.forsendelse) or _reported(one, store, collection)
            for one in counting.values()
        }
        others = {other: its for other, its in self._read.items() if other != key}
        self._read = dict([*others.items(), (key, year)][-_YEARS:])
        return list(year.values())


def _reported(delivery: Delivery, store: ObjectStore, collection: Collection) -> _Reported:
    own = nationals(columns_of(delivery, store, _PERSON, {PSEUDONYM, "id_class"})).combine_chunks()
    stays = _STAYS.empty_table()
    if _has_stays(collection):
        rows = columns_of(delivery, store, _SERVICE, _STAY_COLUMNS)
        stays = _long_term(rows, own, delivery.kommune, collection)
    return _Reported(delivery.kommune, pc.unique(own.drop_null()), stays)


def _has_stays(collection: Collection) -> bool:
    """Tell whether the layout asks for long-term stays elsewhere; a newer pack of the year may be the first to."""
    services = collection.layout.records.get(_SERVICE)
    return services is not None and ELSEWHERE in services.supplied


def _long_term(rows: pa.Table, persons: pa.Array, kommune: str, collection: Collection) -> pa.Table:
    """Give the long-term stays of persons with a national pseudonym (_STAYS)."""
    stays = _days(rows.filter(pc.equal(rows["kode"], _LONG_TERM)), persons, collection)
    stays = stays.append_column("kommune", pa.repeat(pa.scalar(kommune), stays.num_rows))
    return stays.filter(pc.field(PSEUDONYM).is_valid() & pc.field("from").is_valid()).select(_STAYS.names).cast(_STAYS)


def _days(services: pa.Table, persons: pa.Array, collection: Collection) -> pa.Table:
    """Give each service's person, first and last day; one without an end lasts through the year."""
    last_day = pa.scalar(date(collection.year, 12, 31), pa.date32())
    return pa.table(
        {
            PSEUDONYM: persons.take(services["_person"].combine_chunks()),
            "from": services["startDato"].cast(pa.int32()),
            "to": pc.fill_null(services["sluttDato"], last_day).cast(pa.int32()),
        }
    )


def _municipalities(asked: pa.DictionaryArray, year: Sequence[_Reported]) -> pa.Array:
    """Count for each person asked about the municipalities that report it (int16); null for the unlinkable.

    Districts of one municipality are one. It is one at least: a delivery that does not count, such as one too late, is
    not among the year's, and its own municipality reports the person all the same.
    """
    reported = pa.chunked_array([its.persons for its in year], _PSEUDONYMS)
    person = pc.fill_null(pc.index_in(reported, value_set=asked.dictionary), -1).to_numpy()
    names, number = np.unique([its.kommune for its in year], return_inverse=True)
    kommune = np.repeat(number, np.array([len(its.persons) for its in year], np.int64))
    pairs = np.unique(person[person >= 0].astype(np.int64) * len(names) + kommune[person >= 0])
    counts = np.bincount(pairs // max(1, len(names)), minlength=len(asked.dictionary))
    return pa.array(np.maximum(counts, 1).astype(np.int16)).take(asked.indices)


def _stays(persons: pa.Array, year: Sequence[_Reported]) -> pa.Table:
    """Give the long-term stays of some persons in the year."""
    stays = pa.concat_tables([_STAYS.empty_table(), *(its.stays for its in year)])
    return stays.filter(pc.is_in(stays[PSEUDONYM], value_set=persons)).combine_chunks()


def _elsewhere(rows: pa.Table, persons: pa.Array, stays: pa.Table, kommune: str, collection: Collection) -> pa.Array:
    """Say for each service whether it is a long-term stay in the time of another municipality's; null: not known."""
    places = np.flatnonzero(pc.fill_null(pc.equal(rows["kode"], _LONG_TERM), fill_value=False))
    own = _days(rows.take(places), persons, collection).append_column("place", pa.array(places))
    unknown = pc.or_(pc.is_null(own[PSEUDONYM]), pc.is_null(own["from"]))
    said = np.full(rows.num_rows, _NO, dtype=object)
    said[places[np.asarray(unknown, bool)]] = None
    others = stays.filter(pc.not_equal(stays["kommune"], kommune))
    asked = own.filter(pc.and_(pc.invert(unknown), pc.is_in(own[PSEUDONYM], value_set=others[PSEUDONYM])))
    there: dict[bytes, list[tuple[int, int]]] = {}
    theirs = others.filter(pc.is_in(others[PSEUDONYM], value_set=asked[PSEUDONYM]))
    for person, first, last in _lines(theirs, PSEUDONYM, "from", "to"):
        there.setdefault(person, []).append((first, last))
    for place, person, start, end in _lines(asked, "place", PSEUDONYM, "from", "to"):
        if any(start <= last and first <= end for first, last in there[person]):
            said[place] = _YES
    return pa.array(said, pa.string())


def _lines(table: pa.Table, *names: str) -> zip[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in names), strict=True)
