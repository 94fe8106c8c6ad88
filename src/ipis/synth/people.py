"""What kind of users the members of a year are: what they mainly get, how much help they need, when they leave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ipis.synth.inhabitants import Place, districts_of
from ipis.synth.lots import Lots
from ipis.synth.members import Members, draw_members, group_of
from ipis.synth.rates import PROFILES, by_group, rates, share
from ipis.synth.rows import Bits, Ints

__all__ = ["People", "Place", "districts_of", "draw_people", "has_participation"]


@dataclass(frozen=True, slots=True)
class People:
    """Members with what is drawn about them once for life; `profile` and `need` are places in PROFILES and LEVELS."""

    members: Members
    age_at_entry: Ints
    profile: Ints
    need: Ints
    assessed: Bits
    dies: Bits

    def __len__(self) -> int:
        return len(self.members)

    @property
    def lots(self) -> Lots:
        """Give the keys on which all else hangs."""
        return self.members.lots

    @property
    def age(self) -> Ints:
        """Give the age at the end of the year."""
        return self.members.age

    @property
    def born(self) -> Ints:
        """Give the day of birth."""
        return self.members.born


def draw_people(place: Place, seed: int, persons: int | None) -> People:
    """Draw the persons of a place and year; `persons` overrides their number, not their ages."""
    members = draw_members(place, seed, persons)
    lots = members.lots
    age_at_entry = members.age - (place.collection.year - members.came)
    group = group_of(age_at_entry)
    profile = lots.pick("profile", np.array([rates()["profile"][name] for name in PROFILES]).T[group])
    need = lots.pick("need", np.array([rates()["need"][name] for name in PROFILES])[profile])
    other = profile == PROFILES.index("other")
    now = group_of(members.age)
    return People(
        members=members,
        age_at_entry=age_at_entry,
        profile=profile,
        need=need,
        assessed=~(other & lots.hits("unassessed", rates()["need"]["unassessed_other"])),
        dies=members.leaves & lots.hits("dies", by_group("died")[now]),
    )


def has_participation(people: People) -> Bits:
    """Draw for whom participation is recorded."""
    recorded: Bits = people.assessed & people.lots.hits("participation", share("participation"))
    return recorded
