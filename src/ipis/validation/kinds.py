"""The kinds of derived columns, and who writes each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipis.validation import across, periods, stages

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipis.validation.derived import Derived
    from ipis.validation.stages import Piece, Site

_AT_THE_ROW: dict[str, Callable[[Derived, Site], Piece]] = {
    "lookup": across.lookup,
    "exists": across.exists,
    "expression": stages.expression,
    "choose": stages.choose,
}
LIGHT = frozenset(_AT_THE_ROW)
"""Kinds that neither sort nor group the rows of the relation itself."""

_AMONG_ROWS: dict[str, Callable[[Derived, Site], Piece]] = {
    "count": stages.count,
    "sum": stages.total,
    "lag": stages.lag,
    "previous_max": stages.previous_max,
    "overlap": periods.overlap,
    "overlap_days": periods.overlap_days,
    "concurrent_sum": periods.concurrent_sum,
    "last_year": stages.last_year,
}
_ACROSS: dict[str, Callable[[Derived, Site], Piece]] = {
    "count": across.count,
    "sum": across.total,
    "min": across.least,
    "max": across.greatest,
    "newest": across.newest,
}
_IN_A_TABLE: dict[str, Callable[[Derived, Site], Piece]] = {
    "count": stages.table_count,
    "share": stages.share,
    "last_year": stages.table_last_year,
}


def piece(derived: Derived, site: Site) -> Piece:
    """Write one derived column of a record type or of a derived table."""
    declaration = derived.declaration
    if declaration.kind in _AT_THE_ROW:
        return _AT_THE_ROW[declaration.kind](derived, site)
    if declaration.owner in site.tables:
        return _IN_A_TABLE[declaration.kind](derived, site)
    return (_ACROSS if declaration.across else _AMONG_ROWS)[declaration.kind](derived, site)
