"""One person laid open for a fault: its rows can be read and changed, and every finding to come is written down.

Nothing here knows how validation works: an entry of the catalogue says itself what follows from what it plants.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import NamedTuple

from ipis.kernel.collection import Collection
from ipis.synth.people import Place

NO_DATE = "2015-02-30"


class Finding(NamedTuple):
    """A row of faults.csv."""

    rule: str
    record: str
    brukerNr: str  # noqa: N815 - the field's name, verbatim
    id: str
    field: str


def can_be_written(day: str) -> bool:
    """Tell whether the format has room for a date: it begins with 19 or 20."""
    return day.startswith(("19", "20"))


@dataclass(slots=True, eq=False)
class Row:
    """One record of the person; `place` is its row in the draw, -1 for a planted one; `gone`: it is left out."""

    record: str
    place: int
    values: dict[str, str | None]
    changed: set[str] = field(default_factory=set)
    gone: bool = False

    def __getitem__(self, name: str) -> str | None:
        return self.values.get(name)

    def put(self, name: str, value: str | None) -> None:
        """Change one field; None leaves it out."""
        self.values[name] = value
        self.changed.add(name)

    def day(self, name: str) -> date | None:
        """Read a date."""
        text = self.values.get(name)
        return None if text is None else date.fromisoformat(text)


@dataclass(slots=True)
class Plot:
    """A person, the place it is sent from, a random source of its own, and the number of the person before it."""

    where: Place
    serial: int
    rng: random.Random
    before: str | None
    """brukerNr of the person before, who never has a fault; None where there is no such person."""
    rows: dict[str, list[Row]]
    planted: list[Row] = field(default_factory=list)

    @property
    def collection(self) -> Collection:
        """Give the collection year."""
        return self.where.collection

    @property
    def person(self) -> Row:
        """Give the person's own record."""
        return self.rows["person"][0]

    def after_year(self, most: int) -> str | None:
        """Draw a day after the year; None where the format cannot write it."""
        day = (self.collection.ends_on + timedelta(days=self.rng.randint(1, most))).isoformat()
        return day if can_be_written(day) else None

    def of(self, record: str) -> list[Row]:
        """Give the person's rows of a record type, those drawn and those planted."""
        rows = [*self.rows.get(record, []), *(row for row in self.planted if row.record == record)]
        return [row for row in rows if not row.gone]

    def leave_out(self, record: str) -> None:
        """Leave out all rows of a record type."""
        for row in self.of(record):
            row.gone = True

    def every(self) -> Iterator[Row]:
        """Go through all rows."""
        for record in self.collection.layout.records:
            yield from self.of(record)

    def one(self, record: str, suits: Callable[[Row], bool] = lambda _row: True) -> Row | None:
        """Draw one row that suits."""
        found = [row for row in self.of(record) if suits(row)]
        return self.rng.choice(found) if found else None

    def add(self, record: str, values: Mapping[str, str | None]) -> Row:
        """Plant a record beside the person's own."""
        row = Row(record, -1, dict(values), set(values))
        self.planted.append(row)
        return row

    def finding(self, rule: str, row: Row, name: str) -> Finding:
        """Write down what will be found on a row, by the key that it has now."""
        return Finding(rule, row.record, self.person["brukerNr"] or "", self._id(row), name)

    def _id(self, row: Row) -> str:
        record = self.collection.layout.records[row.record]
        value = row[record.id_field] if record.id_field else None
        # An assessment is known by its date; one that is no date is as good as none.
        return "" if value is None or (value == NO_DATE and record.id_field == "dato") else value


Plant = Callable[[Plot], list[Finding] | None]
"""Plants a fault and gives its findings; None, with nothing changed, where the person offers no place for it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An entry of the catalogue: the rule it is there for, how often it is drawn, and how it is planted."""

    rule: str
    weight: float
    plant: Plant
