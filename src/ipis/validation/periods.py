"""Write derived columns over periods: rows that run together. All by dated events, so that time grows with the rows.

An event is a row's first day or the day after its last; what runs on a day is the running sum of what has begun less
what has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipis.validation.compile import constant, quote, render, stored_name
from ipis.validation.declared import PERSON
from ipis.validation.derived import OWNER
from ipis.validation.stages import FOREVER, ROW, Piece, bad, key_of, taking_part
from ipis.validation.terms import Type

if TYPE_CHECKING:
    from ipis.validation.derived import Derived
    from ipis.validation.stages import Site


def concurrent_sum(derived: Derived, site: Site) -> Piece:
    """Write the sum over the rows that run on this row's first day, itself included."""
    first, last = _period(derived)
    weight = f"COALESCE({site.dialect.exact(f'{ROW}.{quote(derived.declaration.subject)}')}, 0)"
    begins = ("TRUE", first, 0, weight, "TRUE")
    ends = (f"{last} IS NOT NULL", last, 1, f"-{weight}", "FALSE")
    events = _events(derived, site, (begins, ends), taking_part(derived, site))
    return Piece(f"{site.join}.n", bad(derived, site), (_running(derived, site, events, site.join),))


def overlap(derived: Derived, site: Site) -> Piece:
    """Count the other rows that overlap: begun by my last day, less ended before my first, less myself."""
    first, last = _period(derived)
    last, taking = f"COALESCE({last}, {FOREVER})", taking_part(derived, site)
    begun = _events(derived, site, (("TRUE", first, 0, "1", "FALSE"), ("TRUE", last, 1, "0", "TRUE")), taking)
    ended = _events(derived, site, (("TRUE", last, 1, "1", "FALSE"), ("TRUE", first, 0, "0", "TRUE")), taking)
    joins = (_running(derived, site, begun, f"{site.join}a"), _running(derived, site, ended, f"{site.join}b"))
    return Piece(f"CAST({site.join}a.n - {site.join}b.n - 1 AS BIGINT)", bad(derived, site), joins)


def overlap_days(derived: Derived, site: Site) -> Piece:
    """Count the days of the row on which at least one other row runs for which `where` holds.

    Between two events the number of such rows does not change: where it is at least one (two for a row that is one
    of them itself), the days between are shared. Counted up to the row's first day and to the day after its last, the
    difference is the row's own.
    """
    join, ends = site.join, constant(site.ends_on)
    first, last = _period(derived)
    after = site.dialect.day_plus(f"COALESCE({last}, {ends})", "+", "1")
    taking = taking_part(derived, site, ends=ends)
    one_of_them = f"({render(derived.where, site.scope)}) IS TRUE" if derived.where is not None else "TRUE"
    weight = f"CASE WHEN {one_of_them} THEN 1 ELSE 0 END"
    parts = (("TRUE", first, 0, weight, "FALSE"), ("TRUE", after, 1, f"-({weight})", "TRUE"))
    events = _events(derived, site, parts, f"{taking}{_beside_one(derived, site, one_of_them)}")
    keys = ", ".join(["_delivery", *(f"k{place}" for place in range(len(derived.declaration.names("by"))))])
    window = f"PARTITION BY {keys} ORDER BY ev_at, ev_order, _at"
    running = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
    days = site.dialect.days_between(f"LEAD(ev_at) OVER ({window})", "ev_at")
    depth = f"SELECT *, SUM(ev_weight) OVER ({window} {running}) AS depth, {days} AS days FROM ({events})"
    before = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
    shared = (
        f"SELECT _at, ev_own, CASE WHEN ev_weight = 0 "
        f"THEN SUM(CASE WHEN depth >= 1 THEN days ELSE 0 END) OVER ({window} {before}) "
        f"ELSE SUM(CASE WHEN depth >= 2 THEN days ELSE 0 END) OVER ({window} {before}) END AS c FROM ({depth})"
    )
    signed = "CASE WHEN ev_own THEN COALESCE(c, 0) ELSE -COALESCE(c, 0) END"
    counted = f"SELECT _at, SUM({signed}) AS n FROM ({shared}) GROUP BY _at"
    value = f"CASE WHEN {taking} THEN COALESCE({join}.n, 0) END"
    return Piece(value, bad(derived, site), (f"LEFT JOIN ({counted}) {join} ON {ROW}._at = {join}._at",))


def _beside_one(derived: Derived, site: Site, one_of_them: str) -> str:
    """Write that a row of the same person or id is one of those whose days are counted; elsewhere there are none."""
    declaration = derived.declaration
    by = [column for column in derived.inputs if column.type is Type.ID and stored_name(column) in _ids(derived)]
    if derived.where is None or not by:
        return ""
    key, source = site.scope.column(by[0]), site.relations[declaration.owner]
    return f" AND {key} IN (SELECT {key} FROM {source} {ROW} WHERE {one_of_them} AND {key} IS NOT NULL)"


def _ids(derived: Derived) -> set[str]:
    return {OWNER if name == PERSON else name for name in derived.declaration.names("by")}


def _period(derived: Derived) -> tuple[str, str]:
    (start,), (end,) = derived.declaration.names("from"), derived.declaration.names("to")
    return f"{ROW}.{quote(start)}", f"{ROW}.{quote(end)}"


def _events(derived: Derived, site: Site, parts: tuple[tuple[str, str, int, str, str], ...], taking: str) -> str:
    """Write dated events of the rows that take part: (condition, day, order within the day, weight, own?)."""
    declaration = derived.declaration
    keys = [key_of(name, ROW) for name in declaration.names("by")]
    named = ", ".join([f"{ROW}._delivery", *(f"{key} AS k{place}" for place, key in enumerate(keys))])
    source = site.relations[declaration.owner]
    return " UNION ALL ".join(
        f"SELECT {ROW}._at, {named}, {at} AS ev_at, {order} AS ev_order, {weight} AS ev_weight, {own} AS ev_own "
        f"FROM {source} {ROW} WHERE {taking} AND {condition}"
        for condition, at, order, weight, own in parts
    )


def _running(derived: Derived, site: Site, events: str, join: str) -> str:
    keys = ", ".join(["_delivery", *(f"k{place}" for place in range(len(derived.declaration.names("by"))))])
    # Rows of the same day and order are peers and counted together: the default frame reaches to the last of them.
    total = f"{site.dialect.total('ev_weight')} OVER (PARTITION BY {keys} ORDER BY ev_at, ev_order)"
    summed = f"SELECT _at, n FROM (SELECT _at, ev_own, {total} AS n FROM ({events})) WHERE ev_own"
    return f"LEFT JOIN ({summed}) {join} ON {ROW}._at = {join}._at"
