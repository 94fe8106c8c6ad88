"""The rules that follow from the layout: mandatory, form, code list and range, each field's fault under its own rule.

A field that breaks form, list or range is unknown to every other rule (`<name>__bad`): one fault, one finding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipis.kernel.layout import Kind
from ipis.validation.compile import BREACH, INVALID, OK, OUTSIDE, constant, quote

if TYPE_CHECKING:
    from collections.abc import Collection as Names

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import Field

_ORGNR_WEIGHTS = (3, 2, 7, 6, 5, 4, 3, 2)


@dataclass(frozen=True, slots=True)
class FieldCheck:
    """SQL over the raw columns of one field: is a value given, and is it faulty in form, by list, by range."""

    field: Field
    given: str
    form: str
    code: str
    range: str

    @property
    def bad(self) -> str:
        """Write whether the value is invalid in any way."""
        return _either(self.form, self.code, self.range)


def field_check(collection: Collection, field: Field, stored: Names[str], *, local_keys: bool = False) -> FieldCheck:
    """Write the checks of a field over a table that has the columns `stored`.

    An id that is a local key (at SSB) has no form.
    """
    name, raw = quote(field.name), f"{field.name}__raw"
    if field.name not in stored:
        return FieldCheck(field, "FALSE", "FALSE", "FALSE", "FALSE")
    unparsed = f"({quote(raw)} IS NOT NULL)" if field.has_raw and raw in stored else "FALSE"
    given = _either(f"({name} IS NOT NULL)", unparsed)
    form = unparsed
    if not field.has_raw and "form" in field.rules and not (local_keys and field.kind is Kind.ID):
        form = f"({name} IS NOT NULL AND NOT ({_well_formed(field, name)}))"
    code = "FALSE"
    if field.codes is not None and "code" in field.rules:
        values = ", ".join(constant(value) for value in collection.code_values(field.codes))
        code = f"({name} IS NOT NULL AND NOT {form} AND {name} NOT IN ({values}))" if values else given
    bounds = [f"{name} < {field.minimum}"] if field.minimum is not None else []
    bounds += [f"{name} > {field.maximum}"] if field.maximum is not None else []
    range_ = f"({name} IS NOT NULL AND ({' OR '.join(bounds)}))" if bounds and "range" in field.rules else "FALSE"
    return FieldCheck(field, given, form, code, range_)


def _well_formed(field: Field, name: str) -> str:
    demands = [f"LENGTH({name}) <= {field.length}"] if field.length else []
    if field.pattern is not None:
        demands.append(f"REGEXP_FULL_MATCH({name}, {constant(field.pattern.removeprefix('^').removesuffix('$'))})")
    if field.check == "orgnr":
        demands.append(f"(CASE WHEN LENGTH({name}) = 9 THEN {_modulus_11(name)} ELSE FALSE END)")
    return " AND ".join(demands) or "TRUE"


def _modulus_11(name: str) -> str:
    """Write the check of an organisation number; a check digit of 10 is unusable and equals none."""
    digits = [f"(ASCII(SUBSTR({name}, {place}, 1)) - 48)" for place in range(1, 10)]
    total = " + ".join(f"{weight} * {digit}" for weight, digit in zip(_ORGNR_WEIGHTS, digits[:8], strict=True))
    return f"((11 - ({total}) % 11) % 11 = {digits[8]})"


def _either(*conditions: str) -> str:
    some = [condition for condition in dict.fromkeys(conditions) if condition != "FALSE"]
    return f"({' OR '.join(some)})" if some else "FALSE"


@dataclass(frozen=True, slots=True)
class LayoutPredicate:
    """One rule on one field: the kinds of fault that it names there."""

    rule: str
    record: str
    field: Field
    faults: frozenset[str]

    def verdict(self, check: FieldCheck, *, local_keys: bool) -> str:
        """Write the rule's verdict on a row. A value whose fault has another rule is not assessed by this one."""
        own = [getattr(check, fault) for fault in ("form", "code", "range") if fault in self.faults]
        breach = _either(*own, f"(NOT {check.given})" if "mandatory" in self.faults else "FALSE")
        absent = "FALSE" if "mandatory" in self.faults else f"(NOT {check.given})"
        unknowable = local_keys and self.field.kind is Kind.ID and self.faults == {"form"}
        if unknowable:
            return f"CAST(CASE WHEN {absent} THEN {OUTSIDE} ELSE {INVALID} END AS TINYINT)"
        return (
            f"CAST(CASE WHEN {breach} THEN {BREACH} WHEN {absent} THEN {OUTSIDE} "
            f"WHEN {check.bad} THEN {INVALID if self.faults != {'mandatory'} else OK} ELSE {OK} END AS TINYINT)"
        )


def predicates(collection: Collection) -> tuple[LayoutPredicate, ...]:
    """List every rule that the layout gives a field; identity fields are judged apart, by reason code."""
    result = []
    for record in collection.layout.records.values():
        for field in record.fields.values():
            if field.identity:
                continue
            for rule in dict.fromkeys(field.rules.values()):
                faults = frozenset(fault for fault, named in field.rules.items() if named == rule)
                if "mandatory" in faults and not field.required:
                    faults -= {"mandatory"}
                result.append(LayoutPredicate(rule, record.name, field, faults))
    return tuple(result)
