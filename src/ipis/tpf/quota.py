"""How many distinct persons a municipality may send in a year, so that nobody builds a dictionary of all numbers.

Kept are HMACs, under a key of the worker, of national pseudonyms (one for each number); the key is destroyed in June.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow.compute as pc
from django.db.models import Sum
from django.db.models.functions import Length

from ipis.kernel.calendar import OSLO
from ipis.lib.storage import remove_durably, write_durably
from ipis.tpf.models import Audit, QuotaSet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from ipis.kernel.collection import Collection, Limits
    from ipis.tpf.bench import Bench
    from ipis.tpf.models import Forsendelse

_WIDTH: Final = 16
_BLOCK: Final = 64
_NAME: Final = "quota-"


def allowance(limits: Limits, inhabitants: int) -> int:
    """Give the number of distinct persons that a municipality may send: a share of its population, with a floor."""
    return max(limits.quota_minimum, math.floor(limits.quota_share * inhabitants))


def marks(mapping: pa.Table, key: bytes) -> bytes:
    """Give the sorted, distinct HMACs of the national pseudonyms of a mapping, 16 bytes each, joined."""
    national = mapping.filter(pc.equal(mapping["id_class"], "national"))["pseudonym"].unique()
    marker = Marker(key)
    return b"".join(sorted(marker(each)[:_WIDTH] for each in national.to_pylist()))


class Marker:
    """HMAC-SHA-256 (RFC 2104) under one key of at most 64 bytes, whose two halves are hashed once for all marks."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        """Take the key."""
        block = key.ljust(_BLOCK, b"\0")
        self._inner, self._outer = (hashlib.sha256(bytes(byte ^ pad for byte in block)) for pad in (0x36, 0x5C))

    def __call__(self, text: bytes) -> bytes:
        """Give the 32 bytes."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text)
        outer.update(inner.digest())
        return outer.digest()


class Tally:
    """The distinct persons of municipalities and years, those of the forsendelser that pass meanwhile among them.

    They are counted one by one only where there might be too many.
    """

    def __init__(self, parcels: Sequence[Forsendelse], collection: Collection) -> None:
        """Read how many marks are noted at most for the municipalities of some forsendelser."""
        rows = QuotaSet.objects.filter(kommune__in={parcel.enrolment.kommune for parcel in parcels})
        sizes = rows.values_list("kommune", "year").annotate(size=Sum(Length("digests")))
        self._noted = {(kommune, year): size for kommune, year, size in sizes}
        self._passing: dict[tuple[str, int], bytes] = defaultdict(bytes)
        table = collection.inhabitants()
        self._inhabitants = dict(zip(table["kommune"].to_pylist(), table["total"].to_pylist(), strict=True))
        self._limits = collection.limits

    def admits(self, parcel: Forsendelse, own: bytes) -> bool:
        """Tell whether a municipality stays within its allowance with these marks too."""
        place = _place(parcel)
        most = allowance(self._limits, self._inhabitants.get(place[0], 0))
        passing = self._passing[place] + own
        if self._noted.get(place, 0) + len(passing) <= most * _WIDTH:
            return True
        rows = QuotaSet.objects.filter(kommune=place[0], year=place[1]).values_list("digests", flat=True)
        known = np.frombuffer(b"".join([passing, *map(bytes, rows)]), f"V{_WIDTH}")
        return len(np.unique(known)) <= most

    def add(self, parcel: Forsendelse, own: bytes) -> None:
        """Count the marks of one that passes."""
        self._passing[_place(parcel)] += own


def _place(parcel: Forsendelse) -> tuple[str, int]:
    return parcel.enrolment.kommune, parcel.year


def note(counted: Sequence[tuple[Forsendelse, bytes]]) -> None:
    """Remember the persons of forsendelser, in the caller's transaction."""
    rows = [
        QuotaSet(forsendelse=parcel, kommune=parcel.enrolment.kommune, year=parcel.year, digests=own)
        for parcel, own in counted
    ]
    same, fresh = ["forsendelse"], ["kommune", "year", "digests"]
    QuotaSet.objects.bulk_create(rows, update_conflicts=True, unique_fields=same, update_fields=fresh)


def year_key(bench: Bench, year: int) -> bytes:
    """Give the worker's key of the year, drawn when the first forsendelse comes."""
    path = _path(bench, year)
    if not path.exists():
        write_durably(path, secrets.token_bytes(32))
    return path.read_bytes()


def is_over(bench: Bench, year: int) -> bool:
    """Tell whether the final publication of a year is out: from then on there is no quota, and no key for one."""
    season = bench.season.current()
    today = bench.clock.now().astimezone(OSLO).date()
    return year < season.year or (year == season.year and today >= season.collection.publication.final_on)


def destroy_when_over(bench: Bench) -> None:
    """Destroy key and HMACs of each year whose final publication is out."""
    for path in bench.settings.worker_keys.glob(f"{_NAME}*"):
        year = int(path.name.removeprefix(_NAME))
        if is_over(bench, year):
            QuotaSet.objects.filter(year=year).delete()
            Audit.append("quota_key_destroyed", str(year), actor="worker")
            remove_durably(path)


def _path(bench: Bench, year: int) -> Path:
    return bench.settings.worker_keys / f"{_NAME}{year}"
