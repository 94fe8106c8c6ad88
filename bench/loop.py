"""The same rules as a Python loop over records: a function for each rule, written as fast as such functions go.

The functions are written from the rules' own typed terms, so that both sides judge by one text. The loop is given the
columns that look at other rows ready made; our side derives them within its time.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ipis.kernel.identifiers import FIELD_OF_REASON, RULE_OF_REASON
from ipis.kernel.organisation import is_orgnr
from ipis.validation import rulebook, world
from ipis.validation.compile import BREACH, stored_name
from ipis.validation.layout_rules import ABSENT, CODE, FINE, FORM, RANGE
from ipis.validation.terms import Column, Family, Literal, Operation, Term, Type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import Field

Row = dict[str, Any]
Finding = tuple[int, str, str, int, str]
"""Delivery, rule, record, row, field."""


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
    known = [codes[value] for value, codes in zip(values, numbers, strict=True) if value in codes]
    return sum(known) / len(known) if known else None


@dataclass(frozen=True, slots=True)
class RecordRules:
    """What the loop does with each row of a record type."""

    record: str
    fields: tuple[tuple[str, str, Callable[[Any], int], bool, tuple[tuple[str, frozenset[int]], ...]], ...]
    """Name, name of its raw text, its state, whether others may name it, (rule, states that break it)."""
    rules: tuple[tuple[str, str, Callable[[Row, set[str]], bool]], ...]
    identity: Mapping[str, tuple[tuple[str, str], ...]]

    def judge(self, rows: Sequence[Row]) -> list[Finding]:
        """Judge row by row, rule by rule."""
        found: list[Finding] = []
        record = self.record
        for row in rows:
            delivery, number = row["_delivery"], row["_row"]
            bad = set()
            for name, raw, state_of, flagged, rules in self.fields:
                state = FORM if row.get(raw) is not None else state_of(row[name])
                if state > FINE and flagged:
                    bad.add(name)
                for rule, breaking in rules:
                    if state in breaking:
                        found.append((delivery, rule, record, number, name))
            if bad:
                row = {**row, **dict.fromkeys(bad)}  # noqa: PLW2901 - an invalid value is unknown to every other rule
            bad |= row["_bad"]
            for rule, field, breaks in self.rules:
                if breaks(row, bad):
                    found.append((delivery, rule, record, number, field))
            for rule, field in self.identity.get(row.get("id_reason") or "", ()):
                found.append((delivery, rule, record, number, field))
        return found


def loop_of(collection: Collection, at: str, numbers: frozenset[str]) -> dict[str, RecordRules]:
    """Write the loop of each record type for the rules of these numbers."""
    book = rulebook.of(collection).only(numbers)
    identity: dict[str, list[tuple[str, str]]] = {}
    for reason, rules in RULE_OF_REASON.items():
        for rule in rules:
            if rule in numbers and at in book.rules[rule].runs_at:
                identity.setdefault(reason.text, []).append((rule, FIELD_OF_REASON[reason]))
    made = {}
    for name, record in collection.layout.records.items():
        fields = []
        for field in (each for each in record.fields.values() if not each.identity):
            own = [p for p in book.predicates if (p.record, p.field.name) == (name, field.name)]
            own = [p for p in own if at in book.rules[p.rule].runs_at]
            broken = tuple((p.rule, _breaking(p.verdicts(collection, local_keys=False))) for p in own)
            fields.append(
                (field.name, f"{field.name}__raw", _state_of(field, collection), world.checked(field), broken)
            )
        rules = tuple(_rules(collection, name, at, numbers))
        its = {reason: tuple(each) for reason, each in identity.items()} if name == "person" else {}
        made[name] = RecordRules(name, tuple(fields), rules, its)
    return made


def _breaking(verdicts: Sequence[int]) -> frozenset[int]:
    return frozenset(state for state, verdict in enumerate(verdicts) if verdict == BREACH)


def _rules(
    collection: Collection, record: str, at: str, numbers: frozenset[str]
) -> Iterator[tuple[str, str, Callable[[Row, set[str]], bool]]]:
    for made in rulebook.of(collection).compiled:
        if made.rule.id in numbers and made.rule.over == record and at in made.rule.runs_at:
            writer = Writer(collection)
            where = f"{writer.true(made.where)} and " if made.where is not None else ""
            source = f"def breaks(r, bad):\n    return {where}{writer.false(made.require)}\n"
            exec(compile(source, made.rule.id, "exec"), writer.names)  # noqa: S102 - written from checked terms
            function: Any = writer.names["breaks"]
            yield made.rule.id, made.field, function


def _state_of(field: Field, collection: Collection) -> Callable[[Any], int]:
    """Write how one value of a field is judged."""
    listed = field.codes is not None and "code" in field.rules
    listed = listed and (field.codes in collection.codes or not isinstance(field.codes, str))
    codes = frozenset(collection.code_values(field.codes)) if listed else None
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
