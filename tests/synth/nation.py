"""The drawn country in figures: persons and services as arrays, with what the published tables group them by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel.collection import Collection
from ipis.synth.draw import draw
from ipis.synth.national import places as every
from ipis.synth.rows import Draw

GROUPS = ("practical", "nursing", "both", "other", "time_limited", "long_term")
LEVELS = ("noe", "middels", "omfattende", "uoppgitt")
_PARTS = {
    "self_care": ["F04", "F08", "F09", "F10", "F12"],
    "cognitive": ["F02", "F13", "F14"],
    "social": ["F01", "F15"],
    "household": ["F05", "F06", "F07", "F11"],
    "own_health": ["F03"],
}


@dataclass(frozen=True, slots=True)
class Figures:
    """One element a person, and one a service."""

    age: np.ndarray
    woman: np.ndarray
    group: np.ndarray
    level: np.ndarray
    person: np.ndarray
    code: np.ndarray
    running: np.ndarray
    hours: np.ndarray
    staff: np.ndarray
    numbers: np.ndarray
    refused: int
    decided: int


def drawn(collection: Collection, seed: int = 0, change=lambda draw, place: draw, places=None) -> Figures:
    """Draw places of a year (all of them, unless named), each changed by `change`."""
    parts, offset = [], 0
    for place in every(collection) if places is None else places:
        one = _figures(change(draw(place, persons=None, innsending=1, seed=seed), place), collection)
        one["person"] = one["person"] + offset
        offset += len(one["age"])
        parts.append(one)
    arrays = {
        name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name not in {"refused", "decided"}
    }
    return Figures(
        **arrays, refused=sum(part["refused"] for part in parts), decided=sum(part["decided"] for part in parts)
    )


def _figures(one: Draw, collection: Collection) -> dict[str, np.ndarray]:
    person, service = one.rows["person"].columns, one.rows["tjeneste"]
    number = _numbers(person["fid"]).astype(np.int64)
    individual = number // 100 % 1000
    born = number // 100_000 % 100 + np.where(individual >= 500, 2000, 1900)
    code = _numbers(service.columns["kode"]).astype(np.int64)
    running = service.columns["sluttDato"].is_null().to_numpy(zero_copy_only=False)
    outcome = one.rows["vedtak"].columns["utfall"]
    return {
        "age": collection.year - born,
        "woman": individual % 2 == 0,
        "group": _groups(service.person[running], code[running], one.persons),
        "level": _levels(one),
        "person": service.person,
        "code": code,
        "running": running,
        "hours": _hours(service.columns),
        "staff": _numbers(service.columns["boligBemanning"]),
        "numbers": number,
        "refused": pc.sum(pc.equal(outcome, "3")).as_py() or 0,
        "decided": pc.sum(pc.is_in(outcome, pa.array(["1", "2", "3"]))).as_py() or 0,
    }


def _numbers(column: pa.Array) -> np.ndarray:
    return column.cast(pa.float64()).fill_null(0).to_numpy()


def _hours(columns) -> np.ndarray:
    return _numbers(columns["timerUke"]) + _numbers(columns["minutterUke"]) / 60


def _groups(person: np.ndarray, code: np.ndarray, count: int) -> np.ndarray:
    """Give the group on the last day, a place in GROUPS; -1 for who has nothing then."""

    def has(*codes: int) -> np.ndarray:
        found = np.zeros(count, bool)
        found[person[np.isin(code, codes)]] = True
        return found

    practical, nursing = has(1, 2, 3), has(15)
    group = np.full(count, -1)
    group[person] = GROUPS.index("other")
    group[practical] = GROUPS.index("practical")
    group[nursing] = GROUPS.index("nursing")
    group[practical & nursing] = GROUPS.index("both")
    group[has(18, 19, 20)] = GROUPS.index("time_limited")
    group[has(21)] = GROUPS.index("long_term")
    return group


def _levels(one: Draw) -> np.ndarray:
    """Give each person's level of need by the newest assessment: a place in LEVELS."""
    rows = one.rows["vurdering"]
    day = (
        rows.columns["dato"].cast(pa.date32(), safe=False).cast(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False)
    )
    newest = np.lexsort((day, rows.person))
    last = newest[np.flatnonzero(np.diff(rows.person[newest], append=-1) != 0)]
    scores = {name: _numbers(column)[last] for name, column in rows.columns.items() if name.startswith("F")}
    filled = sum((values > 0).astype(int) for values in scores.values())
    means = {name: _mean([scores[each] for each in parts]) for name, parts in _PARTS.items()}
    above = {name: mean > 3 for name, mean in means.items()}
    extensive = (
        above["self_care"] | above["cognitive"] | above["social"] | (sum(v.astype(int) for v in above.values()) >= 3)
    )
    medium = np.any([mean > 2 for mean in means.values()], axis=0)
    level = np.full(one.persons, LEVELS.index("uoppgitt"))
    level[rows.person[last]] = np.where(filled < 10, 3, np.where(extensive, 2, np.where(medium, 1, 0)))
    return level


def _mean(values: list[np.ndarray]) -> np.ndarray:
    matrix = np.stack(values)
    filled = matrix > 0
    return np.where(matrix == 9, 1, matrix).sum(axis=0) / np.maximum(filled.sum(axis=0), 1)
