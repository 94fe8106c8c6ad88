"""The same rules as a Python loop over records: a function for each rule, written as fast as such functions go.

The functions are written from the rules' own typed terms, so that both sides judge by one text. What a rule reads of
other rows the loop finds for itself (`loop_derived`), and it counts every verdict as the report does.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bench.loop_derived import Deriver, Rows
from ipis.kernel.identifiers import FIELD_OF_REASON, RULE_OF_REASON
from ipis.kernel.organisation import is_orgnr
from ipis.validation import rulebook, world
from ipis.validation.compile import BREACH, INVALID, MISSING, OK, OUTSIDE, stored_name
from ipis.validation.declared import PERSON
from ipis.validation.layout_rules import ABSENT, CODE, FINE, FORM, RANGE
from ipis.validation.terms import Column, Family, Literal, Operation, Term, Type, every_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import Field

Row = dict[str, Any]
Finding = tuple[int, str, str, int, str, Any]
"""Delivery, rule, record, row, field, value."""
Count = tuple[int, str, int]
"""Delivery, rule, verdict."""


class Writer:
    """Writes terms as Python: when a term is certainly true, when it is certainly false, and its value."""

    def __init__(self, collection: Collection) -> None:
        """Take the year's period, whose values are constants."""
        self._period = world.period(collection)
        self.names: dict[str, object] = {"dt": dt, "mean": _mean}
        self._temporaries = 0

    def true(self, term: Term) -> str:
        """Write that a truth value is true."""
        match term:
            case Literal(value=value):
                return repr(bool(value))
            case Operation(name="and", operands=(left, right)):
                return f"({self.true(left)} and {self.true(right)})"
            case Operation(name="or", operands=(left, right)):
                return f"({self.true(left)} or {self.true(right)})"
            case Operation(name="not", operands=(of,)):
                return self.false(of)
        return self._known(term, negated=False)

    def false(self, term: Term) -> str:
        """Write that a truth value is false: not the same as not true."""
        match term:
            case Literal(value=value):
                return repr(not value)
            case Operation(name="and", operands=(left, right)):
                return f"({self.false(left)} or {self.false(right)})"
            case Operation(name="or", operands=(left, right)):
                return f"({self.false(left)} and {self.false(right)})"
            case Operation(name="not", operands=(of,)):
                return self.true(of)
        return self._known(term, negated=True)

    def value(self, term: Term) -> str:
        """Write a value, None where it is unknown."""
        if isinstance(term, Column):
            if term.table and term.name in self._period:
                return self._constant(self._period[term.name])
            return f"r[{stored_name(term)!r}]"
        if isinstance(term, Literal):
            return self._constant(term.value)
        if isinstance(term, Family):
            return self._family(term)
        assert isinstance(term, Operation)
        if term.type is Type.BOOL:
            return f"(True if {self.true(term)} else False if {self.false(term)} else None)"
        return self._operation(term)

    def _known(self, term: Term, *, negated: bool) -> str:
        wrong = "not " if negated else ""
        if isinstance(term, Column | Family):
            return f"({self.value(term)} is {not negated})"
        assert isinstance(term, Operation)
        if term.name == "is null":
            (column,) = term.operands
            assert isinstance(column, Column)
            sound = f" and {stored_name(column)!r} not in bad" if column.info.flagged else ""
            return f"(({self.value(column)} is {wrong}None){sound})"
        if term.name == "in":
            first, *listed = term.operands
            value = self._temporary()
            members = ", ".join(self.value(each) for each in listed)
            return f"(({value} := {self.value(first)}) is not None and {value} {wrong}in {{{members}}})"
        if term.name == "matches":
            first, pattern = term.operands
            assert isinstance(pattern, Literal)
            value, name = self._temporary(), f"pattern{len(self.names)}"
            self.names[name] = re.compile(str(pattern.value)).fullmatch
            return f"(({value} := {self.value(first)}) is not None and {wrong}{name}({value}))"
        (left, check_left), (right, check_right) = (self._checked(each) for each in term.operands)
        sign = {"=": "==", "<>": "!="}.get(term.name, term.name)
        return f"({check_left}{check_right}{wrong}({left} {sign} {right}))"

    def _checked(self, term: Term) -> tuple[str, str]:
        """Give how to read an operand, and what must be asked before."""
        if isinstance(term, Literal) or (isinstance(term, Column) and term.table and term.name in self._period):
            return self.value(term), ""
        value = self._temporary()
        return value, f"({value} := {self.value(term)}) is not None and "

    def _operation(self, term: Operation) -> str:
        if term.name == "coalesce":
            column, default = term.operands
            assert isinstance(column, Column)
            value = self._temporary()
            plain = f"({value} if ({value} := {self.value(column)}) is not None else {self.value(default)})"
            return f"(None if {stored_name(column)!r} in bad else {plain})" if column.info.flagged else plain
        read = [self._checked(each) for each in term.operands]
        checks = "".join(check for _, check in read)
        first, second = read[0][0], read[-1][0]
        days = term.operands[0].type is Type.DATE
        written = {
            "+": f"{first} + dt.timedelta({second})" if days else f"{first} + {second}",
            "-": f"{first} - dt.timedelta({second})" if days else f"{first} - {second}",
            "*": f"{first} * {second}",
            "/": f"{first} / {second}",
            "negate": f"-{first}",
            "abs": f"abs({first})",
            "year": f"{first}.year",
            "length": f"len({first})",
        }[term.name]
        if term.name == "-" and term.operands[1].type is Type.DATE:
            written = f"({first} - {second}).days"
        if term.name == "/":
            checks += f"{second} != 0 and "
        return f"({written} if {checks}True else None)" if checks else f"({written})"

    def _family(self, term: Family) -> str:
        values = ", ".join(self.value(column) for column in term.members)
        if term.name == "filled":
            return f"sum(v is not None for v in ({values}))"
        if term.name == "mean":
            name = f"numbers{len(self.names)}"
            self.names[name] = [{code: float(number) for code, number in codes} for codes in term.numbers]
            return f"mean(({values}), {name})"
        held = self._temporary()
        return f"(None if not ({held} := {{v for v in ({values}) if v is not None}}) else len({held}) == 1)"

    def _constant(self, value: object) -> str:
        if isinstance(value, dt.date):
            return f"dt.date({value.year}, {value.month}, {value.day})"
        return repr(float(value)) if isinstance(value, Decimal) else repr(value)

    def _temporary(self) -> str:
        self._temporaries += 1
        return f"t{self._temporaries}"


def _mean(values: Sequence[str | None], numbers: Sequence[Mapping[str, float]]) -> float | None:
    known = [codes[value] for value, codes in zip(values, numbers, strict=True) if value is not None and value in codes]
    return sum(known) / len(known) if known else None


@dataclass(frozen=True, slots=True)
class RecordRules:
    """What the loop asks of each row of a record type."""

    record: str
    fields: tuple[tuple[str, str, Callable[[Any], int], bool, tuple[tuple[str, Sequence[int]], ...]], ...]
    """Name, name of its raw text, its state, whether it can be invalid, (rule, its verdict for each state)."""
    rules: tuple[tuple[str, str, Callable[[Row, set[str]], int]], ...]
    identity: Mapping[str, tuple[tuple[str, str], ...]]
    numbers: tuple[str, ...]
    """The rules of `identity`, all of them."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A program with records: it judges one delivery after the other, its rows as dictionaries."""

    records: tuple[RecordRules, ...]
    derivers: tuple[Deriver, ...]

    def judge(self, rows: Rows, delivery: int, found: list[Finding], counts: Counter[Count]) -> None:
        """Judge fields, derive, judge rules; adds to findings and to the counts of verdicts."""
        for each in self.records:
            self._judge_fields(each, rows[each.record], delivery, found, counts)
        for derive in self.derivers:
            derive(rows)
        for each in self.records:
            self._judge_rules(each, rows[each.record], delivery, found, counts)

    def _judge_fields(
        self, its: RecordRules, rows: Sequence[Row], delivery: int, found: list[Finding], counts: Counter[Count]
    ) -> None:
        """Judge each value by itself; one that is not valid is unknown to every other rule."""
        record = its.record
        for row in rows:
            bad = row["_bad"] = set()
            for name, raw, state_of, flagged, rules in its.fields:
                state = FORM if row.get(raw) is not None else state_of(row[name])
                for rule, verdicts in rules:
                    verdict = verdicts[state]
                    counts[delivery, rule, verdict] += 1
                    if verdict == BREACH:
                        found.append((delivery, rule, record, row["_row"], name, row[name] or row.get(raw)))
                if state > FINE and flagged:
                    bad.add(name)
                    row[name] = None

    def _judge_rules(
        self, its: RecordRules, rows: Sequence[Row], delivery: int, found: list[Finding], counts: Counter[Count]
    ) -> None:
        record = its.record
        for row in rows:
            bad = row["_bad"]
            for rule, field, judged in its.rules:
                verdict = judged(row, bad)
                counts[delivery, rule, verdict] += 1
                if verdict == BREACH:
                    found.append((delivery, rule, record, row["_row"], field, row.get(field)))
            broken = its.identity.get(row["id_reason"], ()) if its.numbers else ()
            for rule in its.numbers:
                counts[delivery, rule, BREACH if any(rule == each for each, _ in broken) else OK] += 1
            for rule, field in broken:
                found.append((delivery, rule, record, row["_row"], field, None))


def loop_of(collection: Collection, at: str, numbers: frozenset[str]) -> Loop:
    """Write the loop for the rules of these numbers, and for the derived columns that they read."""
    book = rulebook.of(collection).only(numbers)
    identity: dict[str, list[tuple[str, str]]] = {}
    for reason, its in RULE_OF_REASON.items():
        for rule in its:
            if rule in numbers and at in book.rules[rule].runs_at:
                identity.setdefault(reason.text, []).append((rule, FIELD_OF_REASON[reason]))
    of_numbers = tuple(sorted({rule for broken in identity.values() for rule, _ in broken}))
    made = []
    for name, record in collection.layout.records.items():
        fields = []
        for field in (each for each in record.fields.values() if not each.identity):
            own = [p for p in book.predicates if (p.record, p.field.name) == (name, field.name)]
            own = [p for p in own if at in book.rules[p.rule].runs_at]
            judged = tuple((p.rule, p.verdicts(collection, local_keys=False)) for p in own)
            fields.append(
                (field.name, f"{field.name}__raw", _state_of(field, collection), world.checked(field), judged)
            )
        rules = tuple(_rules(collection, name, at, numbers))
        of_reason = {reason: tuple(each) for reason, each in identity.items()} if name == PERSON else {}
        made.append(RecordRules(name, tuple(fields), rules, of_reason, of_numbers if of_reason else ()))
    return Loop(tuple(made), tuple(_derivers(collection, numbers)))


def _derivers(collection: Collection, numbers: frozenset[str]) -> Iterator[Deriver]:
    """Write what the rules read of other rows, in an order in which each comes after what it needs."""
    book = rulebook.of(collection)
    wanted = {
        (made.rule.over, stored_name(column))
        for made in book.compiled
        if made.rule.id in numbers
        for column in every_column(made.where, made.require)
    }
    closure = book.resolver.closure(wanted)
    needed = [made for identity, made in book.resolver.done.items() if identity in closure]
    for made in sorted(needed, key=lambda each: (each.phase, each.level)):
        yield Deriver(made, collection, lambda: Writer(collection))


def _rules(
    collection: Collection, record: str, at: str, numbers: frozenset[str]
) -> Iterator[tuple[str, str, Callable[[Row, set[str]], int]]]:
    for made in rulebook.of(collection).compiled:
        if made.rule.id in numbers and made.rule.over == record and at in made.rule.runs_at:
            writer = Writer(collection)
            lines = ["def judged(r, bad):"]
            if made.where is not None:
                lines += [f"    if {writer.false(made.where)}: return {OUTSIDE}"]
            applies = writer.true(made.where) if made.where is not None else "True"
            lines += [
                f"    if {applies}:",
                f"        if {writer.true(made.require)}: return {OK}",
                f"        if {writer.false(made.require)}: return {BREACH}",
                f"    return {INVALID} if bad and not bad.isdisjoint(unsure) else {MISSING}",
            ]
            writer.names["unsure"] = made.unsure
            exec(compile("\n".join(lines), made.rule.id, "exec"), writer.names)  # noqa: S102 - from checked terms
            function: Any = writer.names["judged"]
            yield made.rule.id, made.field, function


def _state_of(field: Field, collection: Collection) -> Callable[[Any], int]:
    """Write how one value of a field is judged."""
    listed = field.codes is not None and "code" in field.rules
    listed = listed and (field.codes in collection.codes or not isinstance(field.codes, str))
    codes = frozenset(collection.code_values(field.codes)) if listed and field.codes is not None else None
    pattern = re.compile(field.pattern.removeprefix("^").removesuffix("$")).fullmatch if field.pattern else None
    formed, length = "form" in field.rules, field.length
    low, high = (bound if "range" in field.rules else None for bound in (field.minimum, field.maximum))

    def state(value: Any) -> int:
        if value is None:
            return ABSENT
        if formed and isinstance(value, str):
            if (length and len(value) > length) or (pattern and not pattern(value)):
                return FORM
            if field.check == "orgnr" and not is_orgnr(value):
                return FORM
        if (low is not None and value < low) or (high is not None and value > high):
            return RANGE
        return CODE if codes is not None and value not in codes else FINE

    return state
