"""The inhabitants of municipalities on the day that the year refers to, for rates of one or of several together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipis.kernel.collection import Collection

NO_POPULATION, BYDEL = "no_population", "bydel"
"""Why inhabitants are not known: the municipality is not in the list; a district has none by age of its own."""

Place = tuple[str, str]
"""A municipality's number and its district."""


class Inhabitants:
    """The inhabitants of units by age group; a unit is one place or several counted together."""

    def __init__(self, collection: Collection, places: Sequence[Place], units: Sequence[int]) -> None:
        """Read the year's inhabitants; `units[i]` is the unit of place i."""
        table = collection.inhabitants()
        self.groups = collection.population.groups
        columns = [table[name].to_pylist() for name in self.groups]
        self.known = dict(zip(table["kommune"].to_pylist(), zip(*columns, strict=True), strict=True))
        self.no_bydel = collection.no_bydel
        self.places: dict[int, list[Place]] = {}
        for place, unit in zip(places, units, strict=True):
            self.places.setdefault(unit, []).append(place)

    def of(self, unit: int, groups: Sequence[str] | None = None) -> tuple[float | None, str | None]:
        """Give a unit's inhabitants of some age groups (default: all), or why they are not known."""
        places = self.places.get(unit, [])
        if len(places) == 1 and places[0][1] != self.no_bydel:
            return None, BYDEL
        kommuner = {kommune for kommune, _ in places}
        if not kommuner or not kommuner <= self.known.keys():
            return None, NO_POPULATION
        chosen = [self.groups.index(name) for name in (self.groups if groups is None else groups)]
        return float(sum(self.known[kommune][place] for kommune in kommuner for place in chosen)), None
