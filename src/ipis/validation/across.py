"""Write derived columns that look into another relation: by the row's person, by an id, or into a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipis.validation.compile import quote, render, stored_name
from ipis.validation.stages import FALSE, OTHER, ROW, Piece, bad, key_of

if TYPE_CHECKING:
    from ipis.validation.derived import Derived
    from ipis.validation.stages import Site


def lookup(derived: Derived, site: Site) -> Piece:
    """Write a column of a list, of the row's person, or of the one row that has an id."""
    if _in_list(derived, site):
        return _in_a_list(derived, site)
    declaration = derived.declaration
    name = str(declaration.options["value"])
    if declaration.subject == "person" and declaration.names("on") == ("person",):
        join = "jp"
        joined = f"LEFT JOIN {site.relations['person']} {join} ON {_own(derived, site)} = {join}._at"
        return Piece(
            f"{join}.{quote(name)}", _either(derived, site, f"{join}.{quote(name + '__bad')}", name), (joined,)
        )
    join, value = site.join, f"{OTHER}.{quote(name)}"
    flag = f", BOOL_OR({OTHER}.{quote(name + '__bad')}) AS b" if _dirty(derived, site, name) else ""
    # An id that stands more than once names no row.
    return _joined(
        derived,
        site,
        f"MAX({value}) AS v{flag}",
        f"{join}.v",
        having=" HAVING COUNT(*) = 1",
        flag=_either(derived, site, f"{join}.b", name),
    )


def exists(derived: Derived, site: Site) -> Piece:
    """Write whether there is such a row; unknown where no row holds for certain but one might, as in any `or`."""
    if _in_list(derived, site):
        return _in_a_list(derived, site)
    declaration, own, join = derived.declaration, _own(derived, site), site.join
    if declaration.subject == "person" and declaration.names("on") == ("person",) and derived.where is None:
        return Piece(f"({own} IS NOT NULL)", FALSE)
    holds = render(derived.where, site.other(derived.other)) if derived.where is not None else "TRUE"
    value = f"CASE WHEN {own} IS NULL THEN NULL WHEN {join}.hit THEN TRUE WHEN {join}.open THEN NULL ELSE FALSE END"
    return _joined(derived, site, f"BOOL_OR({holds}) AS hit, BOOL_OR(({holds}) IS NULL) AS open", value)


def count(derived: Derived, site: Site) -> Piece:
    """Write how many rows have the row's person or id; none is 0."""
    value = f"CASE WHEN {_own(derived, site)} IS NOT NULL THEN COALESCE({site.join}.n, 0) END"
    return _joined(derived, site, "COUNT(*) AS n", value, filtered=True)


def total(derived: Derived, site: Site) -> Piece:
    """Write the sum of what is known."""
    number = site.dialect.exact(f"{OTHER}.{quote(derived.declaration.subject)}")
    return _joined(derived, site, f"{site.dialect.total(number)} AS n", f"{site.join}.n", filtered=True)


def least(derived: Derived, site: Site) -> Piece:
    """Write the least known value."""
    return _joined(
        derived, site, f"MIN({OTHER}.{quote(derived.declaration.subject)}) AS n", f"{site.join}.n", filtered=True
    )


def greatest(derived: Derived, site: Site) -> Piece:
    """Write the greatest known value."""
    return _joined(
        derived, site, f"MAX({OTHER}.{quote(derived.declaration.subject)}) AS n", f"{site.join}.n", filtered=True
    )


def newest(derived: Derived, site: Site) -> Piece:
    """Write the value in the row of the greatest order; of equal ones the greatest value."""
    declaration, join = derived.declaration, site.join
    key, value = _key(derived), f"{OTHER}.{quote(declaration.subject)}"
    order = f"{OTHER}.{quote(str(declaration.options['order']))}"
    dirty = _dirty(derived, site, declaration.subject)
    flag = f", {OTHER}.{quote(declaration.subject + '__bad')} AS b" if dirty else ""
    ranked = (
        f"SELECT {OTHER}._delivery, {key} AS k, {value} AS v{flag}, ROW_NUMBER() OVER (PARTITION BY "
        f"{OTHER}._delivery, {key} ORDER BY {order} DESC NULLS LAST, {value} DESC NULLS LAST, {OTHER}._row) AS place "
        f"FROM {site.relations[derived.other]} {OTHER} "
        f"WHERE {key} IS NOT NULL AND {order} IS NOT NULL{_holds(derived, site)}"
    )
    joined = f"LEFT JOIN ({ranked}) {join} ON {_on(derived, site)} AND {join}.place = 1"
    return Piece(f"{join}.v", _either(derived, site, f"{join}.b", declaration.subject), (joined,))


def _dirty(derived: Derived, site: Site, value: str) -> bool:
    """Tell whether what is given back of the other relation is invalid there on any row."""
    return derived.value_flagged and value in site.dirty[derived.other]


def _either(derived: Derived, site: Site, flag: str, value: str) -> str:
    """Write whether an input of the row is invalid, or what is given back."""
    own = bad(derived, site)
    if not _dirty(derived, site, value):
        return own
    theirs = f"COALESCE({flag}, FALSE)"
    return theirs if own == FALSE else f"({own} OR {theirs})"


def _joined(
    derived: Derived,
    site: Site,
    aggregates: str,
    value: str,
    *,
    filtered: bool = False,
    having: str = "",
    flag: str = "",
) -> Piece:
    """Write a join with what the other relation's rows come to by person or id."""
    key = _key(derived)
    holds = _holds(derived, site) if filtered else ""
    found = (
        f"SELECT {OTHER}._delivery, {key} AS k, {aggregates} FROM {site.relations[derived.other]} {OTHER} "
        f"WHERE {key} IS NOT NULL{holds} GROUP BY {OTHER}._delivery, {key}{having}"
    )
    return Piece(value, flag or bad(derived, site), (f"LEFT JOIN ({found}) {site.join} ON {_on(derived, site)}",))


def _on(derived: Derived, site: Site) -> str:
    return f"{ROW}._delivery = {site.join}._delivery AND {_own(derived, site)} = {site.join}.k"


def _holds(derived: Derived, site: Site) -> str:
    return f" AND ({render(derived.where, site.other(derived.other))}) IS TRUE" if derived.where is not None else ""


def _own(derived: Derived, site: Site) -> str:
    return site.scope.column(derived.inputs[0])


def _key(derived: Derived) -> str:
    declaration = derived.declaration
    return key_of((declaration.names("key") or declaration.names("on"))[0], OTHER)


def _in_list(derived: Derived, site: Site) -> bool:
    return derived.other not in site.relations or derived.declaration.owner in site.tables


def _in_a_list(derived: Derived, site: Site) -> Piece:
    """Write a list's column, or whether the row's values stand together in it (unknown where one of them is)."""
    declaration = derived.declaration
    keys = derived.list_keys
    own = [site.scope.column(column) for column in derived.inputs]
    relation = site.lists.get((declaration.subject, keys))
    if relation is None:
        return Piece("NULL", bad(derived, site))
    join = quote(f"{relation} on {' and '.join(stored_name(column) for column in derived.inputs)}")
    matched = " AND ".join(f"{mine} = {join}.{quote(key)}" for mine, key in zip(own, keys, strict=True))
    joins = (f"LEFT JOIN {relation} {join} ON {matched}",)
    if declaration.kind == "lookup":
        return Piece(f"{join}.{quote(str(declaration.options['value']))}", bad(derived, site), joins)
    absent = " OR ".join(f"{mine} IS NULL" for mine in own)
    value = f"CASE WHEN {absent} THEN NULL ELSE {join}.{quote(keys[0])} IS NOT NULL END"
    return Piece(value, bad(derived, site), joins)
