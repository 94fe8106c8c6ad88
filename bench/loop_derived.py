"""Derived columns as a Python loop over records makes them: dictionaries of rows by key, and rows sorted in lists.

What the loop of `loop` reads of other rows. It is written for one delivery at a time, as such programs are, and from
docs/spec/rules.md §4 alone: nothing of the engines' SQL is in it.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ipis.validation.compile import stored_name
from ipis.validation.declared import PERSON
from ipis.validation.derived import OWNER
from ipis.validation.terms import Type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bench.loop import Row, Writer
    from ipis.kernel.collection import Collection
    from ipis.validation.derived import Derived
    from ipis.validation.terms import Term

_AGGREGATES: dict[str, Callable[[list[Any]], Any]] = {"min": min, "max": max, "sum": sum}
FOREVER, _DAY = dt.date.max, dt.timedelta(1)
Rows = dict[str, list[dict[str, Any]]]
"""The rows of one delivery by record type, each with `_bad`: the names of its columns that are invalid."""


class Deriver:
    """Makes one derived column on every row of its record type."""

    def __init__(self, made: Derived, collection: Collection, writer: Callable[[], Writer]) -> None:
        """Take a typed declaration; what it says of rows is written as functions."""
        self.made, self.declaration, self._writer = made, made.declaration, writer
        self.name, self.kind = made.declaration.name, made.declaration.kind
        self._collection = collection
        self._inputs = [stored_name(column) for column in made.inputs]
        self._holds = self._function(made.where, "true") if made.where is not None else _always
        self._denies = self._function(made.where, "false") if made.where is not None else _never
        self._own = self._inputs[0] if self._inputs else ""
        names = self.declaration.names
        self._key = _column((names("key") or names("on") or ("",))[0])
        self._by = [_column(name) for name in names("by")]
        ids = {column.name for column in made.inputs if column.type is Type.ID}
        self._known = [*ids.intersection(self._by), *names("order"), *names("from")]
        self._period = (*names("from"), *names("to"))
        self._made = self._maker()

    def __call__(self, rows: Rows) -> None:
        """Add the column to every row, and its name to `_bad` where an input is invalid."""
        own, inputs, name = rows[self.declaration.owner], self._inputs, self.name
        for row, (value, wrong) in zip(own, self._made(own, rows), strict=True):
            row[name] = value
            if wrong or (row["_bad"] and not row["_bad"].isdisjoint(inputs)):
                row["_bad"].add(name)

    def _maker(self) -> Callable[[list[Row], Rows], Iterable[tuple[Any, bool]]]:
        if self.kind in {"lookup", "exists"} and self.made.list_keys:
            return self._in_a_list()
        if self.declaration.across or self.kind in {"lookup", "exists"}:
            return {"exists": self._exists, "lookup": self._lookup, "newest": self._newest}.get(
                self.kind, self._gathered
            )
        return {
            "expression": self._expression(),
            "count": self._counted,
            "lag": self._ordered,
            "previous_max": self._ordered,
            "concurrent_sum": self._concurrent,
            "overlap_days": self._overlapping,
        }[self.kind]

    def _function(self, term: Term, form: str) -> Callable[[Row, set[str]], Any]:
        writer = self._writer()
        source = f"def f(r, bad):\n    return {getattr(writer, form)(term)}\n"
        exec(compile(source, self.name, "exec"), writer.names)  # noqa: S102 - written from checked terms
        return cast("Callable[[Row, set[str]], Any]", writer.names["f"])

    def _expression(self) -> Callable[[list[Row], Rows], Iterable[tuple[Any, bool]]]:
        value = self._function(self.made.expression, "value") if self.made.expression is not None else _never
        return lambda own, _rows: ((value(row, row["_bad"]), False) for row in own)

    def _in_a_list(self) -> Callable[[list[Row], Rows], Iterable[tuple[Any, bool]]]:
        keys, named = self.made.list_keys, self.declaration.options.get("value")
        listed = self._collection.codes[self.made.other].to_pylist()
        known: dict[tuple[Any, ...], Any] = {}
        for entry in listed:
            known.setdefault(tuple(entry[key] for key in keys), entry[named] if named else True)

        def look(own: list[Row], _rows: Rows) -> Iterable[tuple[Any, bool]]:
            for row in own:
                values = tuple(row[name] for name in self._inputs)
                yield (None if None in values else known.get(values, None if named else False)), False

        return look

    def _by_key(self, rows: Rows) -> dict[Any, list[Row]]:
        groups = defaultdict(list)
        for row in rows[self.made.other]:
            if row[self._key] is not None:
                groups[row[self._key]].append(row)
        return groups

    def _exists(self, own: list[Row], rows: Rows) -> Iterable[tuple[Any, bool]]:
        groups = self._by_key(rows)
        at_all = self.declaration.subject == PERSON and self.made.where is None
        for row in own:
            key = row[self._own]
            if key is None:
                yield (False if at_all else None), False
            elif at_all:
                yield True, False
            else:
                theirs = groups.get(key, ())
                hit = any(self._holds(each, each["_bad"]) for each in theirs)
                yield hit or (False if all(self._denies(each, each["_bad"]) for each in theirs) else None), False

    def _lookup(self, own: list[Row], rows: Rows) -> Iterable[tuple[Any, bool]]:
        groups, value = self._by_key(rows), str(self.declaration.options["value"])
        for row in own:
            theirs = groups.get(row[self._own], ())
            (found,) = theirs if len(theirs) == 1 else (None,)
            yield (found[value], value in found["_bad"]) if found is not None else (None, False)

    def _newest(self, own: list[Row], rows: Rows) -> Iterable[tuple[Any, bool]]:
        groups, value, (order,) = self._by_key(rows), self.declaration.subject, self.declaration.names("order")
        for row in own:
            found = None
            for each in groups.get(row[self._own], ()):
                if each[order] is not None and self._holds(each, each["_bad"]):
                    rank = (each[order], each[value] is not None, each[value] or 0)
                    if found is None or rank > found[0]:
                        found = rank, each
            yield (found[1][value], value in found[1]["_bad"]) if found is not None else (None, False)

    def _gathered(self, own: list[Row], rows: Rows) -> Iterable[tuple[Any, bool]]:
        groups, of = self._by_key(rows), self.declaration.subject
        for row in own:
            theirs = [each for each in groups.get(row[self._own], ()) if self._holds(each, each["_bad"])]
            known = [each[of] for each in theirs if each[of] is not None] if self.kind != "count" else []
            if self.kind == "count":
                yield (len(theirs) if row[self._own] is not None else None), False
            else:
                yield (_AGGREGATES[self.kind](known) if known else None), False

    def _taking_part(self, row: Row) -> bool:
        """Tell whether a row is one of those counted: inputs valid, ids known, days in order, `where` true."""
        bad = row["_bad"]
        if bad and not bad.isdisjoint(self._inputs):
            return False
        for name in self._known:
            if row[name] is None:
                return False
        if self.kind == "overlap_days":
            start, end = self._period
            return bool((row[end] or self._collection.ends_on) >= row[start])
        if self._period:
            start, end = self._period
            if row[end] is not None and row[end] < row[start]:
                return False
        return bool(self._holds(row, bad))

    def _groups(self, own: list[Row]) -> dict[tuple[Any, ...] | None, list[Row]]:
        by, groups = self._by, defaultdict(list)
        for row in own:
            groups[tuple([row[name] for name in by]) if self._taking_part(row) else None].append(row)
        return groups

    def _each(self, own: list[Row], made: Mapping[int, Any]) -> Iterable[tuple[Any, bool]]:
        return ((made.get(id(row)), False) for row in own)

    def _counted(self, own: list[Row], _rows: Rows) -> Iterable[tuple[Any, bool]]:
        groups = self._groups(own)
        return self._each(own, {id(row): len(g) for key, g in groups.items() if key is not None for row in g})

    def _ordered(self, own: list[Row], _rows: Rows) -> Iterable[tuple[Any, bool]]:
        declaration, made = self.declaration, {}
        (order,), of = declaration.names("order"), declaration.subject
        open_ended = declaration.options.get("open_ended")
        for key, group in self._groups(own).items():
            if key is None:
                continue
            valued = [(row[of] or FOREVER if open_ended else row[of], row) for row in group]
            valued.sort(key=lambda each: (each[1][order], each[0] is None, each[0] or 0, each[1]["_row"]))
            before: Any = None
            for value, row in valued:
                made[id(row)] = before
                if self.kind == "lag":
                    before = value
                elif value is not None:
                    before = value if before is None else max(before, value)
        return self._each(own, made)

    def _concurrent(self, own: list[Row], _rows: Rows) -> Iterable[tuple[Any, bool]]:
        start, end = self._period
        of, made = self.declaration.subject, {}
        for key, group in self._groups(own).items():
            for row in group if key is not None else ():
                day = row[start]
                made[id(row)] = sum(each[of] or 0 for each in group if each[start] <= day <= (each[end] or FOREVER))
        return self._each(own, made)

    def _overlapping(self, own: list[Row], _rows: Rows) -> Iterable[tuple[Any, bool]]:
        start, end = self._period
        last, made = self._collection.ends_on, {}
        for key, group in self._groups(own).items():
            if key is None:
                continue
            counted = [each for each in group if self._holds(each, each["_bad"])]
            for row in group:
                first, until, days = row[start], row[end] or last, 0
                for begins, ends in sorted((each[start], each[end] or last) for each in counted if each is not row):
                    shared = (min(ends, until) - max(begins, first)).days + 1
                    if shared > 0:
                        days += shared
                        first = min(ends, until) + _DAY
                made[id(row)] = days
        return self._each(own, made)


def _column(name: str) -> str:
    return OWNER if name == PERSON else name


def _always(_row: Row, _bad: set[str]) -> bool:
    return True


def _never(_row: Row, _bad: set[str]) -> bool:
    return False
