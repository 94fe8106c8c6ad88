"""How many distinct persons a municipality may send in a year, so that nobody builds a dictionary of all numbers.

Kept are HMACs, under a key of the worker, of national pseudonyms (one for each number); the key is destroyed in June.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel.calendar import OSLO
from ipis.lib.storage import remove_durably, write_durably
from ipis.tpf.models import Audit, QuotaSet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ipis.kernel.collection import Collection
    from ipis.tpf.bench import Bench
    from ipis.tpf.models import Forsendelse

_WIDTH: Final = 16
_NAME: Final = "quota-"


def allowance(collection: Collection, kommune: str) -> int:
    """Give the number of distinct persons that a municipality may send: a share of its population, with a floor."""
    table = collection.inhabitants()
    rows = table.filter(pc.equal(table["kommune"], kommune))
    inhabitants = rows["total"][0].as_py() if rows.num_rows else 0
    limits = collection.limits
    return max(limits.quota_minimum, math.floor(limits.quota_share * inhabitants))


def digests(mapping: pa.Table, key: bytes) -> NDArray[np.bytes_]:
    """Give the sorted, distinct HMACs of the national pseudonyms of a mapping, 16 bytes each."""
    national = mapping.filter(pc.equal(mapping["id_class"], "national"))["pseudonym"].unique()
    marks = [hmac.digest(key, each, hashlib.sha256)[:_WIDTH] for each in national.to_pylist()]
    return np.unique(np.frombuffer(b"".join(marks), np.uint8).reshape(-1, _WIDTH).view(f"V{_WIDTH}").reshape(-1))


def count_with(parcel: Forsendelse, own: NDArray[np.bytes_]) -> int:
    """Count the distinct persons of the municipality and year, this forsendelse's among them."""
    others = QuotaSet.objects.filter(kommune=parcel.enrolment.kommune, year=parcel.year).exclude(forsendelse=parcel)
    known = [np.frombuffer(bytes(row), f"V{_WIDTH}") for row in others.values_list("digests", flat=True)]
    return len(np.unique(np.concatenate([own, *known])))


def note(parcel: Forsendelse, own: NDArray[np.bytes_]) -> None:
    """Remember the persons of a forsendelse, in the caller's transaction."""
    QuotaSet.objects.update_or_create(
        forsendelse=parcel,
        defaults={"kommune": parcel.enrolment.kommune, "year": parcel.year, "digests": own.tobytes()},
    )


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
