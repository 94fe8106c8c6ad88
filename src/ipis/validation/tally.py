"""Count verdicts and gather findings, in whole columns, for all deliveries of a run at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.validation import compile as sql
from ipis.validation.findings import FINDINGS, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

NO_IDENTITY = sql.NO_LIST + 1
"""A verdict besides those of `compile`: the person has no reason code."""

REASONS = {
    sql.MISSING: "missing_value",
    sql.INVALID: "invalid_value",
    sql.NO_LIST: "no_list",
    NO_IDENTITY: "no_identity",
}
_WIDTH = NO_IDENTITY + 1
_LAST = np.iinfo(np.int32).max


@dataclass(frozen=True, slots=True)
class Reading:
    """What one rule reads out of a column of small numbers: the verdict that each stands for, where findings point."""

    rule: str
    record: str
    field: str
    verdicts: tuple[int, ...] = tuple(range(_WIDTH))


@dataclass(frozen=True, slots=True)
class _Found:
    """The findings of one reading: their deliveries and rows, the values and what messages name.

    Of findings about the delivery the row is that of the derived table, beyond all that a record can have.
    """

    reading: Reading
    deliveries: NDArray[np.int32]
    rows: NDArray[np.int64]
    values: pa.Array
    shown: pa.Array


@dataclass(slots=True)
class Tally:
    """The verdicts by rule and delivery, and the findings; `size` is how many deliveries there are."""

    size: int
    counts: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    unassessed: dict[str, dict[str, NDArray[np.int64]]] = field(default_factory=dict)
    found: list[_Found] = field(default_factory=list)

    def count(self, reading: Reading, states: NDArray[np.int8], deliveries: NDArray[np.int32]) -> NDArray[np.intp]:
        """Count the verdicts of a column; give the places of its breaches."""
        if self.size == 1:
            each = np.bincount(states, minlength=_WIDTH).reshape(1, _WIDTH)
        else:
            joint = states + deliveries * np.int32(_WIDTH)
            each = np.bincount(joint, minlength=_WIDTH * self.size).reshape(self.size, _WIDTH)
        counted = self.counts.setdefault(reading.rule, np.zeros((self.size, _WIDTH), np.int64))
        total = each.sum(axis=0)
        breaches = [state for state, verdict in enumerate(reading.verdicts) if verdict == sql.BREACH and total[state]]
        for state, verdict in enumerate(reading.verdicts):
            counted[:, verdict] += each[:, state]
        if not breaches:
            return np.empty(0, np.intp)
        hit = states == breaches[0]
        for state in breaches[1:]:
            hit |= states == state
        return np.flatnonzero(hit)

    def count_nothing(self, rules: Iterable[str]) -> None:
        """Count the rules of a relation without rows."""
        for rule in rules:
            self.counts.setdefault(rule, np.zeros((self.size, _WIDTH), np.int64))

    def not_assessed(
        self, rule: str, reason: str, deliveries: NDArray[np.int32] | None, *, besides: bool = False
    ) -> None:
        """Count all rows of a relation as not assessed; without a relation the delivery itself is the one row.

        `besides`: by one condition of a rule whose other conditions are counted.
        """
        counted = np.ones(self.size, np.int64)
        if deliveries is not None:
            counted = np.bincount(deliveries, minlength=self.size)
        if not besides:
            self.counts.pop(rule, None)
            self.unassessed.pop(rule, None)
        known = self.unassessed.setdefault(rule, {})
        known[reason] = counted + known.get(reason, 0)

    def add(
        self,
        reading: Reading,
        deliveries: NDArray[np.int32],
        rows: NDArray[np.int32],
        values: pa.Array,
        shown: list[pa.Array],
        *,
        of_record: bool,
    ) -> None:
        """Take findings at rows of a record type, or of a derived table: these are about the delivery."""
        placed = rows.astype(np.int64) if of_record else rows + np.int64(_LAST)
        self.found.append(_Found(reading, deliveries, placed, values, _lists(shown, len(deliveries))))

    def verdicts(self) -> list[Verdicts]:
        """Give the verdicts on each delivery, by rule."""
        rules = tuple(sorted(self.counts.keys() | self.unassessed.keys()))
        return [Verdicts(self, rules, delivery) for delivery in range(self.size)]

    def verdict(self, rule: str, delivery: int) -> Verdict:
        """Give the verdict of a rule that was judged on one delivery."""
        made = _verdict(self.counts[rule][delivery]) if rule in self.counts else Verdict()
        for reason, counts in self.unassessed.get(rule, {}).items():
            if count := int(counts[delivery]):
                made += Verdict(not_assessed=count, reasons={reason: count})
        return made

    def findings(self) -> list[pa.Table]:
        """Give each delivery's findings in order of rule, record and row."""
        if not self.found:
            return [FINDINGS.empty_table()] * self.size
        rules, records, fields = (
            self._repeated([getattr(each.reading, part) for each in self.found]) for part in ("rule", "record", "field")
        )
        deliveries = np.concatenate([each.deliveries for each in self.found])
        rows = np.concatenate([each.rows for each in self.found])
        order = np.lexsort((rows, records[1], rules[1], deliveries))
        places = pa.array(order)
        columns = [
            rules[0].take(pa.array(rules[1][order])),
            records[0].take(pa.array(records[1][order])),
            pa.array(rows[order].astype(np.int32), mask=rows[order] >= _LAST),
            fields[0].take(pa.array(fields[1][order])),
            pa.concat_arrays([each.values for each in self.found]).take(places),
            pa.concat_arrays([each.shown for each in self.found]).take(places),
        ]
        table = pa.Table.from_arrays(columns, schema=FINDINGS)
        starts = np.searchsorted(deliveries[order], np.arange(self.size + 1))
        return [table.slice(start, end - start) for start, end in pairwise(starts)]

    def _repeated(self, words: list[str]) -> tuple[pa.Array, NDArray[np.int32]]:
        """Give the words in their order, and each finding's place among them."""
        known = sorted(set(words))
        place = {word: number for number, word in enumerate(known)}
        lengths = [len(each.deliveries) for each in self.found]
        return pa.array(known, pa.string()), np.repeat(np.array([place[word] for word in words], np.int32), lengths)


class Verdicts(Mapping[str, Verdict]):
    """The verdicts on one delivery by rule, each counted together when it is asked for."""

    __slots__ = ("_delivery", "_rules", "_tally")

    def __init__(self, tally: Tally, rules: tuple[str, ...], delivery: int) -> None:
        """Take the tally of the run, its rules in order, and the delivery's place."""
        self._tally, self._rules, self._delivery = tally, rules, delivery

    def __getitem__(self, rule: str) -> Verdict:
        """Give the verdict of a rule."""
        if rule not in self._tally.counts and rule not in self._tally.unassessed:
            raise KeyError(rule)
        return self._tally.verdict(rule, self._delivery)

    def __iter__(self) -> Iterator[str]:
        """Give the rules that were judged, in order of their numbers."""
        return iter(self._rules)

    def __len__(self) -> int:
        """Count the rules."""
        return len(self._rules)


def known(column: pa.ChunkedArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_] | None]:
    """Give where a truth value is true, and where it is known (None: everywhere)."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not whole.null_count:
        return np.asarray(whole), None
    return np.asarray(pc.fill_null(whole, fill_value=False)), np.asarray(pc.is_valid(whole))


def judged(where: pa.ChunkedArray | None, require: pa.ChunkedArray, bad: list[NDArray[np.bool_]]) -> NDArray[np.int8]:
    """Give the verdict on each row: outside unless `where` may hold; not assessed unless both are known (§2).

    `bad` says on which rows an input is invalid: that is why the answer is unknown there, and not that one is missing.
    """
    holds, certain = known(require)
    verdicts = np.where(holds, np.int8(sql.OK), np.int8(sql.BREACH))
    applies, decided = (None, None) if where is None else known(where)
    if certain is not None or decided is not None:
        both = [each for each in (certain, decided) if each is not None]
        unknown = ~(both[0] & both[-1])
        verdicts[unknown] = sql.MISSING
        for flag in bad:
            verdicts[unknown & flag] = sql.INVALID
    if applies is not None:
        verdicts[~applies if decided is None else ~applies & decided] = sql.OUTSIDE
    return verdicts


def _verdict(counts: NDArray[np.int64]) -> Verdict:
    reasons = {REASONS[code]: int(counts[code]) for code in REASONS if counts[code]}
    return Verdict(
        int(counts[sql.OK]), int(counts[sql.BREACH]), sum(reasons.values()), int(counts[sql.OUTSIDE]), reasons
    )


def _lists(columns: list[pa.Array], count: int) -> pa.Array:
    """Turn columns into one column of lists, row by row."""
    width = len(columns)
    if not width:
        return pa.nulls(count, FINDINGS.field("shown").type)
    flat = pa.concat_arrays(columns).take(pa.array(np.arange(width * count).reshape(width, count).T.ravel()))
    return pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32) * width), flat)


def as_text(values: pa.Array) -> pa.Array:
    """Write values as text: days by ISO, numbers without needless decimals."""
    if pa.types.is_boolean(values.type):
        return values.cast(pa.string())
    if pa.types.is_floating(values.type):
        return pc.replace_substring_regex(pc.round(values, 1).cast(pa.string()), r"\.0$", "")
    if pa.types.is_decimal(values.type):
        return pc.replace_substring_regex(values.cast(pa.string()), r"\.?0+$", "")
    return values.cast(pa.string())


def taken(column: pa.ChunkedArray, places: NDArray[np.intp]) -> pa.Array:
    """Take some rows of a column as one array."""
    chosen = column.take(pa.array(places))
    return chosen.combine_chunks() if isinstance(chosen, pa.ChunkedArray) else chosen
