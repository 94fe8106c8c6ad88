"""Columns that only who has the register can supply: what other municipalities report of the same person in the year.

They are added to a delivery's tables before its rules run, and never stored with it: the answer changes when somebody
else delivers. Persons without a national pseudonym have none of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.ssb.register.answer_rows import pseudonyms
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


@dataclass(frozen=True, slots=True)
class _Reported:
    """What one delivery reports by national pseudonym: persons, and long-term stays with first and last day."""

    kommune: str
    persons: pa.ChunkedArray
    stays: pa.Table


@dataclass(slots=True)
class RegisterView:
    """The persons of a year's counting deliveries, each delivery read once: a delivery never changes."""

    _read: dict[str, _Reported] = field(default_factory=dict)

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
        year = self._year(collection, store)
        counted, stays = _counted(year), _stays(year)
        return [
            _with_columns(delivery, its, wanted, counted, stays, collection)
            for delivery, its in zip(deliveries, tables, strict=True)
        ]

    def _year(self, collection: Collection, store: ObjectStore) -> list[_Reported]:
        """Read the newest counting delivery of each sender; what no longer counts is forgotten."""
        rows = Delivery.objects.filter(register=collection.register, year=collection.year).order_by("sequence")
        counting = {(one.kommune, one.bydel): one for one in rows if counts_for(one, Release.JUNE)}
        known = self._read
        self._read = {
            one.forsendelse: known.get(one.forsendelse) or _reported(one, store, collection)
            for one in counting.values()
        }
        return list(self._read.values())


def _reported(delivery: Delivery, store: ObjectStore, collection: Collection) -> _Reported:
    persons = columns_of(delivery, store, _PERSON, {PSEUDONYM, "id_class"})
    own = pseudonyms(persons, pa.array(np.arange(persons.num_rows)))
    stays = _EMPTY
    services = collection.layout.records.get(_SERVICE)
    if services is not None and ELSEWHERE in services.supplied:
        rows = columns_of(delivery, store, _SERVICE, _STAY_COLUMNS)
        stays = _long_term(rows, own, delivery.kommune, collection)
    return _Reported(delivery.kommune, pc.unique(own.combine_chunks().drop_null()), stays)


_EMPTY: Final = pa.table(
    {PSEUDONYM: pa.array([], pa.binary()), "kommune": pa.array([], pa.string()), "from": pa.array([], pa.int32()),
     "to": pa.array([], pa.int32())}
)  # fmt: skip


def _long_term(rows: pa.Table, persons: pa.ChunkedArray, kommune: str, collection: Collection) -> pa.Table:
    """Give the long-term stays of persons with a national pseudonym; one without an end lasts through the year."""
    stays = rows.filter(pc.equal(rows["kode"], _LONG_TERM))
    last_day = pa.scalar(date(collection.year, 12, 31), pa.date32())
    return pa.table(
        {
            PSEUDONYM: persons.take(stays["_person"]).cast(pa.binary()),
            "kommune": pa.repeat(pa.scalar(kommune), stays.num_rows),
            "from": stays["startDato"].cast(pa.int32()),
            "to": pc.fill_null(stays["sluttDato"], last_day).cast(pa.int32()),
        }
    ).filter(pc.field(PSEUDONYM).is_valid() & pc.field("from").is_valid())


def _counted(year: Sequence[_Reported]) -> pa.Table:
    """Count for each pseudonym the municipalities that report it; districts of one are one."""
    listed = [
        pa.table(
            {PSEUDONYM: its.persons.cast(pa.binary()), "kommune": pa.repeat(pa.scalar(its.kommune), len(its.persons))}
        )
        for its in year
    ]
    none = pa.table({PSEUDONYM: pa.array([], pa.binary()), "kommune": pa.array([], pa.string())})
    pairs = pa.concat_tables([none, *listed]).group_by([PSEUDONYM, "kommune"], use_threads=False).aggregate([])
    return pairs.group_by(PSEUDONYM, use_threads=False).aggregate([("kommune", "count")]).combine_chunks()


def _stays(year: Sequence[_Reported]) -> pa.Table:
    return pa.concat_tables([_EMPTY, *(its.stays for its in year)]).combine_chunks()


def _with_columns(
    delivery: Delivery,
    tables: Mapping[str, pa.Table],
    wanted: set[str],
    counted: pa.Table,
    stays: pa.Table,
    collection: Collection,
) -> dict[str, pa.Table]:
    persons = tables[_PERSON]
    own = pseudonyms(persons, pa.array(np.arange(persons.num_rows))).combine_chunks()
    given = dict(tables)
    if MUNICIPALITIES in wanted:
        at = pc.index_in(own.cast(pa.binary()), value_set=counted[PSEUDONYM].combine_chunks(), skip_nulls=True)
        number = counted["kommune_count"].combine_chunks().take(at).cast(pa.int16())
        # A delivery that does not count, such as one too late, is not among those counted: its own municipality is.
        number = pc.if_else(pc.is_valid(own), pc.max_element_wise(number, pa.scalar(1, pa.int16())), number)
        given[_PERSON] = persons.append_column(MUNICIPALITIES, number)
    if ELSEWHERE in wanted:
        rows = tables[_SERVICE]
        given[_SERVICE] = rows.append_column(ELSEWHERE, _elsewhere(rows, own, stays, delivery.kommune, collection))
    return given


def _elsewhere(rows: pa.Table, persons: pa.Array, stays: pa.Table, kommune: str, collection: Collection) -> pa.Array:
    """Say for each service whether it is a long-term stay in the time of another municipality's; null: not known."""
    long_term = np.asarray(pc.fill_null(pc.equal(rows["kode"], _LONG_TERM), fill_value=False))
    said = np.full(rows.num_rows, _NO, dtype=object)
    others = stays.filter(pc.not_equal(stays["kommune"], kommune))
    known: dict[bytes, list[tuple[int, int]]] = {}
    mine = persons.take(rows["_person"].combine_chunks())
    interesting = others.filter(pc.is_in(others[PSEUDONYM], value_set=mine.drop_null().cast(pa.binary())))
    for person, first, last in zip(*(interesting[name].to_pylist() for name in (PSEUDONYM, "from", "to")), strict=True):
        known.setdefault(person, []).append((first, last))
    last_day = pa.scalar(date(collection.year, 12, 31), pa.date32())
    starts = rows["startDato"].cast(pa.int32()).to_pylist()
    ends = pc.fill_null(rows["sluttDato"], last_day).cast(pa.int32()).to_pylist()
    for place in np.flatnonzero(long_term):
        person, start, end = mine[int(place)].as_py(), starts[place], ends[place]
        if person is None or start is None:
            said[place] = None
        elif any(start <= last and first <= end for first, last in known.get(person, ())):
            said[place] = _YES
    return pa.array(said, pa.string())
