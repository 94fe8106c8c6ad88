"""Can a rule ever find anything? Its `where` must be able to hold while its `require` does not.

Conditions are taken apart into alternatives of simple facts; an alternative that contradicts itself cannot happen. What
is not understood counts as possible, so that a rule is never called dead that is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from ipis.validation.terms import Column, Literal, Operation, Term

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST = 256
"""Alternatives looked at; a condition with more counts as possible."""
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
_NEGATED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "<>", "<>": "="}
_ORDERS = {"<": {"<"}, "<=": {"<", "="}, ">": {">"}, ">=": {">", "="}, "=": {"="}, "<>": {"<", ">"}}

Fact = tuple[Term, bool]
"""A condition without `and`, `or` and `not`, and whether it holds."""


def can_fire(where: Term | None, require: Term) -> bool:
    """Tell whether there may be a row of which `where` is true and `require` is false."""
    try:
        applies = [[]] if where is None else _alternatives(where, holds=True)
        breaks = _alternatives(require, holds=False)
    except _TooMany:
        return True
    pairs = product(applies, breaks)
    return len(applies) * len(breaks) > _MOST or any(_possible([*one, *other]) for one, other in pairs)


class _TooMany(Exception):
    """The search is given up."""


def _alternatives(term: Term, *, holds: bool) -> list[list[Fact]]:
    """Give the ways in which a condition is true, or false: each a list of facts that hold together."""
    if isinstance(term, Operation) and term.name == "not":
        return _alternatives(term.operands[0], holds=not holds)
    if isinstance(term, Operation) and term.name in {"and", "or"}:
        parts = [_alternatives(part, holds=holds) for part in term.operands]
        if (term.name == "and") == holds:
            made = [[*one, *other] for one in parts[0] for other in parts[1]]
        else:
            made = [*parts[0], *parts[1]]
        if len(made) > _MOST:
            raise _TooMany
        return made
    return [[(term, holds)]]


@dataclass(slots=True)
class _Known:
    """What the facts leave for one column: bounds, listed and excluded values, whether it is there at all."""

    bounds: list[tuple[str, Any]] = field(default_factory=list)
    listed: set[Any] | None = None
    excluded: set[Any] = field(default_factory=set)
    absent: bool = False
    present: bool = False

    def narrow(self, values: set[Any], *, holds: bool) -> None:
        """Note that the value is one of these, or none of them."""
        if holds:
            self.listed = values if self.listed is None else self.listed & values
        else:
            self.excluded |= values

    def possible(self) -> bool:
        """Tell whether any value is left."""
        if self.absent and (self.present or self.bounds or self.listed is not None or self.excluded):
            return False
        if self.listed is not None:
            return any(self._within(value) for value in self.listed - self.excluded)
        return self._room()

    def _within(self, value: Any) -> bool:
        return all(_order(value, bound) in _ORDERS[name] for name, bound in self.bounds)

    def _room(self) -> bool:
        """Tell whether there is room between the bounds."""
        floors = [(bound, name == ">") for name, bound in self.bounds if name in {">", ">="}]
        ceilings = [(bound, name == "<") for name, bound in self.bounds if name in {"<", "<="}]
        for low, low_open in floors:
            for high, high_open in ceilings:
                if low > high or (low == high and (low_open or high_open or low in self.excluded)):
                    return False
        return True


class _Alternative:
    """What the facts of one alternative come to, column by column and pair by pair."""

    def __init__(self) -> None:
        self.columns: dict[Column, _Known] = {}
        self.pairs: dict[tuple[Term, Term], set[str]] = {}
        self.opaque: dict[Term, bool] = {}
        self.contradicted = False

    def possible(self) -> bool:
        """Tell whether all that was noted may hold together."""
        known = all(each.possible() for each in self.columns.values())
        return known and all(self.pairs.values()) and not self.contradicted

    def note(self, term: Term, *, holds: bool) -> None:
        """Note a fact; one of a form that is not understood must at least not contradict itself."""
        if isinstance(term, Literal):
            self.contradicted |= bool(term.value) is not holds
        elif isinstance(term, Operation) and term.name in _ORDERS:
            self._note_comparison(term, term.name if holds else _NEGATED[term.name])
        elif isinstance(term, Operation) and term.name == "is null" and isinstance(term.operands[0], Column):
            known = self._known(term.operands[0])
            known.absent, known.present = known.absent or holds, known.present or not holds
        elif isinstance(term, Operation) and term.name == "in" and isinstance(term.operands[0], Column):
            values = {part.value for part in term.operands[1:] if isinstance(part, Literal)}
            self._known(term.operands[0]).narrow(values, holds=holds)
        else:
            self.contradicted |= self.opaque.setdefault(term, holds) is not holds

    def _known(self, column: Column) -> _Known:
        return self.columns.setdefault(column, _Known())

    def _note_comparison(self, term: Operation, name: str) -> None:
        left, right = term.operands
        if isinstance(left, Literal) and not isinstance(right, Literal):
            left, right, name = right, left, _TURNED[name]
        if isinstance(left, Column) and isinstance(right, Literal):
            if name in {"=", "<>"}:
                self._known(left).narrow({right.value}, holds=name == "=")
            else:
                self._known(left).bounds.append((name, right.value))
            return
        if isinstance(left, Literal) and isinstance(right, Literal):
            found = {_order(left.value, right.value)}
        else:
            found = {"="} if left == right else {"<", "=", ">"}
        if (right, left) in self.pairs:
            left, right, name = right, left, _TURNED[name]
        self.pairs[left, right] = self.pairs.get((left, right), found) & _ORDERS[name]


def _possible(facts: Iterable[Fact]) -> bool:
    """Tell whether facts may hold together."""
    alternative = _Alternative()
    for term, holds in facts:
        alternative.note(term, holds=holds)
    return alternative.possible()


def _order(left: Any, right: Any) -> str:
    return "<" if left < right else ">" if left > right else "="
