"""Faults of single fields, as the layout declares them: left out, no such code, another form, out of range.

Which rule a fault breaks is read from the layout; a bad value is unknown to every other rule, so it has one finding.
"""

from __future__ import annotations

from collections.abc import Iterator

from ipis.kernel.layout import Field, Kind, Layout
from ipis.synth.faults.facts import flat_scores, stale_assessment
from ipis.synth.faults.plot import NO_DATE, Fault, Finding, Plot, Row

# Keys and identity have entries of their own: what hangs on them has consequences.
_NOT_HERE = {"brukerNr", "vedtakId", "tjenesteId", "diagNr"}
_FAMILY_WEIGHT = 0.1
_WEIGHTS = {"K059": 0.5, "K061": 0.5, "K078": 2.0, "K092": 1.0}


def faults(layout: Layout) -> Iterator[Fault]:
    """Make an entry for each way in which a field of the layout can be faulty."""
    for record in layout.records.values():
        if record.name == "stopp":
            continue
        family = {name for names in record.families.values() for name in names}
        for field in record.fields.values():
            if field.identity or field.name in _NOT_HERE:
                continue
            for kind, rule in field.rules.items():
                value = _bad_value(field, kind)
                if kind == "mandatory" or value is not None:
                    weight = _FAMILY_WEIGHT if field.name in family else _WEIGHTS.get(rule, 0.4)
                    yield Fault(rule, weight, _Planter(record.name, field, rule, value))


class _Planter:
    """Puts one bad value (None: nothing) into one field of one row."""

    def __init__(self, record: str, field: Field, rule: str, value: str | None) -> None:
        self.record = record
        self.field = field
        self.rule = rule
        self.value = value

    def __call__(self, plot: Plot) -> list[Finding] | None:
        row = plot.one(self.record, self._suits)
        if row is None:
            return None
        row.put(self.field.name, self.value)
        return [plot.finding(self.rule, row, self.field.name), *self._follows(plot, row)]

    def _follows(self, plot: Plot, row: Row) -> list[Finding]:
        """Give what an assessment breaks besides when its day is unknown, or the one score that differed."""
        if self.record != "vurdering":
            return []
        return stale_assessment(plot) if self.field.name == "dato" else flat_scores(plot, row, unknown=self.field.name)

    def _suits(self, row: Row) -> bool:
        if row[self.field.name] is not None:
            return True
        # A field that is never used this year gets a value where none belongs.
        return self.field.codes == ()


def _bad_value(field: Field, kind: str) -> str | None:
    """Give a value that breaks one rule of the field and no other; None where the field has no such fault."""
    if kind == "code":
        return "1" if field.codes == () else _unlisted(field)
    if kind == "range":
        bound = field.maximum
        return None if bound is None else str(bound + 1)
    if kind == "form":
        return _malformed(field)
    return None


def _unlisted(field: Field) -> str:
    return {1: "7", 2: "10"}.get(field.length, "9998")


def _malformed(field: Field) -> str | None:
    if field.kind is Kind.DATE:
        return NO_DATE
    if field.kind in {Kind.INT, Kind.DEC}:
        return "x"
    if field.check == "orgnr":
        return "812345678"
    if field.kind is Kind.STR and field.pattern is not None:
        return "a1"
    return "x" * (field.length + 1)
