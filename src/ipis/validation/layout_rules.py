"""The rules that follow from the layout: mandatory, form, code list and range, judged in whole columns of Arrow.

Every value of a field has one state; several rules read it. A field that breaks form, list or range is unknown to
every other rule: one fault, one finding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel.layout import Kind
from ipis.kernel.organisation import are_orgnr
from ipis.validation.compile import BREACH, INVALID, NO_LIST, OK, OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import Field

STATES = ("form", "code", "range")
ABSENT, FINE, FORM, CODE, RANGE = range(5)
"""No value, a valid one, or its first fault, in the order of STATES."""


@dataclass(frozen=True, slots=True)
class LayoutPredicate:
    """One rule on one field: the kinds of fault that it names there."""

    rule: str
    record: str
    field: Field
    faults: frozenset[str]

    def verdicts(self, collection: Collection, *, local_keys: bool) -> tuple[int, ...]:
        """Give the rule's verdict for each state; a fault that has another rule is not assessed by this one.

        Without the code list, an optional one, a value that is there cannot be told right from wrong.
        """
        only_presence = self.faults == {"mandatory"}
        formless = local_keys and self.field.kind is Kind.ID and self.faults == {"form"}
        of_faults = (
            BREACH if fault in self.faults else OK if only_presence else INVALID
            for fault in STATES
        )  # fmt: skip
        unlisted = (
            "code" in self.faults and isinstance(self.field.codes, str) and self.field.codes not in collection.codes
        )
        fine = NO_LIST if unlisted else INVALID if formless else OK
        return (BREACH if "mandatory" in self.faults else OUTSIDE, fine, *of_faults)


def predicates(collection: Collection) -> tuple[LayoutPredicate, ...]:
    """List every rule that the layout gives a field; identity fields are judged apart, by reason code."""
    return tuple(
        LayoutPredicate(rule, record.name, field, frozenset(_faults(field, rule)))
        for record in collection.layout.records.values()
        for field in record.fields.values()
        if not field.identity
        for rule in dict.fromkeys(field.rules.values())
    )


def _faults(field: Field, rule: str) -> Iterator[str]:
    for fault, named in field.rules.items():
        if named == rule and (fault != "mandatory" or field.required):
            yield fault


def states(collection: Collection, field: Field, table: pa.Table) -> NDArray[np.int8]:
    """Judge a field's values: ABSENT, FINE, FORM, CODE or RANGE, one a row.

    An id that is a local key (at SSB) has no form.
    """
    count = table.num_rows
    if field.name not in table.column_names:
        return np.full(count, ABSENT, np.int8)
    values = _whole(table[field.name])
    found = _judged(collection, field, values) if values.null_count < count else np.full(count, ABSENT, np.int8)
    raw = f"{field.name}__raw"
    if raw in table.column_names and table[raw].null_count < count:
        found[_true(pc.is_valid(_whole(table[raw])))] = FORM
    return found


def _judged(collection: Collection, field: Field, values: pa.Array) -> NDArray[np.int8]:
    """Judge values of which some stand; the fault that comes first in STATES is written last."""
    given = _true(pc.is_valid(values))
    # As a number a truth value is ABSENT or FINE.
    found = given.astype(np.int8)
    if "range" in field.rules:
        _mark(found, _out_of_range(field, values), RANGE)
    if (
        field.codes is not None
        and "code" in field.rules
        and (field.codes in collection.codes or not isinstance(field.codes, str))
    ):
        listed = pc.is_in(values, value_set=pa.array(collection.code_values(field.codes), pa.string()))
        _mark(found, (found == FINE) & ~_true(listed), CODE)
    if "form" in field.rules and pa.types.is_string(values.type):
        _mark(found, given & ~_well_formed(field, values), FORM)
    return found


def _mark(found: NDArray[np.int8], places: NDArray[np.bool_], state: int) -> None:
    """Write a fault where it is; most often it is nowhere."""
    if places.any():
        found[places] = state


def _out_of_range(field: Field, values: pa.Array) -> NDArray[np.bool_]:
    outside = np.zeros(len(values), np.bool_)
    if field.minimum is not None:
        outside |= _true(pc.less(values, pa.scalar(field.minimum)))
    if field.maximum is not None:
        outside |= _true(pc.greater(values, pa.scalar(field.maximum)))
    return outside


def _well_formed(field: Field, values: pa.Array) -> NDArray[np.bool_]:
    formed = np.ones(len(values), np.bool_)
    if field.length:
        formed &= _true(pc.less_equal(pc.utf8_length(values), field.length))
    if field.pattern is not None:
        bare = field.pattern.removeprefix("^").removesuffix("$")
        formed &= _true(pc.match_substring_regex(values, rf"\A(?:{bare})\z"))
    if field.check == "orgnr":
        formed &= are_orgnr(values)
    return formed


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()


def _true(values: pa.Array) -> NDArray[np.bool_]:
    """Give where a condition is true; a null is not."""
    return np.asarray(pc.fill_null(values, False) if values.null_count else values)
