"""Which findings of a delivery are answered: by its own and earlier answers of the year, and by last year's.

Within the year by the finding's key, through `lokal`. Across years never by it: by pseudonym, rule, record type, field
and service code, or for records without a person by municipality in the pseudonym's place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ipis.kernel.answers import SVAR
from ipis.ssb.register.answer_rows import named, pseudonyms, rows_of
from ipis.ssb.register.deliveries import lokal, open_tables
from ipis.ssb.register.models import Delivery

if TYPE_CHECKING:
    from collections.abc import Collection as Container
    from collections.abc import Iterator

    from ipis.kernel.layout import Layout
    from ipis.ssb.register.objects import ObjectStore

FILE = f"{SVAR}.parquet"
ANSWERS = pa.schema(
    [
        pa.field("rule", pa.string()),
        pa.field("record", pa.string()),
        pa.field("brukerNr", pa.string()),
        pa.field("id", pa.string()),
        pa.field("field", pa.string()),
        pa.field("begrunnelse", pa.string()),
        pa.field("year", pa.int32()),
    ]
)
"""One row an answered key: brukerNr, id and field as feedback shows them, empty for none; the year of the answer."""
_KEY = ANSWERS.names[:5]
_ACROSS = ("rule", "record", "field", "kode")


def answers_of(
    delivery: Delivery, store: ObjectStore, layout: Layout, predecessors: Container[str] = ()
) -> pa.Table | None:
    """Give the answers that hold for a delivery (ANSWERS), each key once, the newest answer; None where there is none.

    `predecessors` are the municipalities that were merged or renumbered into this one since the year before.
    """
    own = [_within_year(one, store) for one in _of_year(delivery)]
    earlier = [_kept(one, store) for one in _of_last_year(delivery, {delivery.kommune, *predecessors})]
    parts = [*own, *(_into(pa.concat_tables(earlier), delivery, store, layout) if earlier else ())]
    if not parts:
        return None
    return _newest(pa.concat_tables(parts))


def _of_year(delivery: Delivery) -> list[Delivery]:
    """List the sender's deliveries of the year up to this one that carry answers, the newest first."""
    rows = Delivery.objects.filter(
        register=delivery.register,
        year=delivery.year,
        kommune=delivery.kommune,
        bydel=delivery.bydel,
        sequence__lte=delivery.sequence,
    )
    return [one for one in rows.order_by("-sequence") if FILE in one.objects_sha256]


def _of_last_year(delivery: Delivery, kommuner: set[str]) -> list[Delivery]:
    """List last year's deliveries of the municipality that carry answers, as of when this one came, newest first."""
    rows = Delivery.objects.filter(
        register=delivery.register, year=delivery.year - 1, kommune__in=kommuner, loaded_at__lt=delivery.loaded_at
    )
    return [one for one in rows.order_by("-sequence") if FILE in one.objects_sha256]


def _within_year(one: Delivery, store: ObjectStore) -> pa.Table:
    kept, known = _kept(one, store), lokal(one, store)
    if known.num_rows == 0:
        # `lokal` has been destroyed, or there is nothing to name: what is left are answers about the delivery.
        kept = kept.filter(pc.and_(pc.is_null(kept["brukerNr"]), pc.is_null(kept["id"])))
    return _answers(kept, named(kept["brukerNr"], known), named(kept["id"], known), one.year)


def _kept(one: Delivery, store: ObjectStore) -> pa.Table:
    return pq.read_table(store.file(one.folder, FILE), partitioning=None)


def _into(earlier: pa.Table, delivery: Delivery, store: ObjectStore, layout: Layout) -> Iterator[pa.Table]:
    """Give last year's answers as answers to this delivery's keys; those about an unlinkable person have lapsed."""
    year, tables, known = delivery.year - 1, open_tables(delivery, store), lokal(delivery, store)
    about_none = pc.and_(pc.is_null(earlier["brukerNr"]), pc.is_null(earlier["id"]))
    whole = earlier.filter(about_none)
    yield _answers(whole, _empty(whole.num_rows), _empty(whole.num_rows), year)
    rest = earlier.filter(pc.invert(about_none))
    for record in pc.unique(rest["record"]).to_pylist():
        its = rest.filter(pc.equal(rest["record"], record))
        rows = rows_of(layout.records[record], tables, known)
        rows = rows.append_column("pseudonym", pseudonyms(tables["person"], rows["_person"]))
        linked = pc.is_valid(its["pseudonym"])
        yield from (
            _matched(its.filter(linked), rows.filter(pc.is_valid(rows["pseudonym"])), "pseudonym", year),
            # A record without a person: what is left of the key is the municipality, whose deliveries these are.
            _matched(its.filter(pc.invert(its["has_person"])), rows.filter(pc.is_null(rows["_person"])), None, year),
        )


def _matched(its: pa.Table, rows: pa.Table, by: str | None, year: int) -> pa.Table:
    """Join last year's answers with this year's rows by service code and, if named, the column `by`."""
    keys = ["kode", *([by] if by else [])]
    left = pa.table(
        {
            **{name: its[name] for name in (*_ACROSS[:3], "begrunnelse")},
            "kode": pc.fill_null(its["kode"], ""),
            **({by: its[by].cast(pa.binary())} if by else {}),
        }
    )
    right = pa.table(
        {
            "brukerNr": rows["brukerNr"],
            "id": rows["id"],
            "kode": pc.fill_null(rows["kode"], ""),
            **({by: rows[by].cast(pa.binary())} if by else {}),
        }
    )
    joined = left.join(right, keys=keys, join_type="inner", use_threads=False)
    return _answers(joined, joined["brukerNr"], joined["id"], year)


def _answers(table: pa.Table, bruker_nr: pa.ChunkedArray, own_id: pa.ChunkedArray, year: int) -> pa.Table:
    columns = {name: table[name] for name in ("rule", "record", "field", "begrunnelse")}
    years = pa.repeat(pa.scalar(year, pa.int32()), table.num_rows)
    return pa.table({**columns, "brukerNr": bruker_nr, "id": own_id, "year": years}).select(ANSWERS.names).cast(ANSWERS)


def _newest(answers: pa.Table) -> pa.Table:
    """Keep the first answer of each key."""
    numbered = answers.append_column("place", pa.array(range(answers.num_rows), pa.int64()))
    first = numbered.group_by(_KEY, use_threads=False).aggregate([("place", "min")])["place_min"]
    return answers.take(first)


def _empty(count: int) -> pa.ChunkedArray:
    return pa.chunked_array([pa.repeat(pa.scalar("", pa.string()), count)])
