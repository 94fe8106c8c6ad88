"""The whole country: an extract for each municipality of the year, or for each district where that is agreed.

One place is drawn, written and forgotten before the next, so that memory is that of the largest place.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from ipis.kernel.collection import Collection, DefinitionFolder, load
from ipis.synth.faults.whole import fault_of, missing_service
from ipis.synth.make import Wish, make
from ipis.synth.people import Place


@dataclass(frozen=True, slots=True)
class PlaceMade:
    """A line of summary.csv: the place, what was drawn, findings in its faults.csv, size of its extract in bytes.

    `whole`: the fault of the whole delivery, and `missing` the service type that it lacks; empty for nearly all.
    """

    kommune: str
    bydel: str
    extract: str
    persons: int
    services: int
    findings: int
    bytes: int
    whole: str
    missing: str


def places(collection: Collection) -> list[Place]:
    """Give all that send: each municipality of the year, by district where the collection agrees on districts."""
    sends: list[Place] = []
    for kommune in sorted(collection.kommuner):
        districts = sorted(collection.agreements.get(kommune, ())) or [collection.no_bydel]
        sends += [Place(collection, kommune, bydel) for bydel in districts]
    return sends


def make_nation(collection: Collection, wish: Wish, out: Path, jobs: int = 1) -> Iterator[PlaceMade]:
    """Write one folder a place, and summary.csv when all are there; gives each as it is ready.

    The bytes are the same for any number of jobs.
    """
    out.mkdir(parents=True, exist_ok=True)
    ready = _one_by_one(places(collection), wish, out) if jobs == 1 else _shared_out(collection, wish, out, jobs)
    made: list[PlaceMade] = []
    for each in ready:
        made.append(each)
        yield each
    _write_summary(out / "summary.csv", made)


def _one_by_one(sends: list[Place], wish: Wish, out: Path) -> Iterator[PlaceMade]:
    for place in sends:
        yield _make(place, wish, out)


def _shared_out(collection: Collection, wish: Wish, out: Path, jobs: int) -> Iterator[PlaceMade]:
    sizes = {row["kommune"]: row["total"] for row in collection.inhabitants().to_pylist()}
    order = sorted(places(collection), key=lambda place: -sizes[place.kommune])
    work = partial(_make_in_worker, wish=wish, out=out)
    members = dict(collection.folder)
    with ProcessPoolExecutor(jobs, get_context("spawn"), _start_worker, (members, collection.folder.origin)) as pool:
        yield from pool.map(work, [(place.kommune, place.bydel) for place in order])


_LOADED: dict[str, Collection] = {}


def _start_worker(members: dict[str, bytes], origin: str) -> None:
    """Read the collection once in each process: what is read holds no lock and no file."""
    _LOADED["collection"] = load(DefinitionFolder.from_members(members, origin))


def _make_in_worker(key: tuple[str, str], wish: Wish, out: Path) -> PlaceMade:
    return _make(Place(_LOADED["collection"], *key), wish, out)


def _make(place: Place, wish: Wish, out: Path) -> PlaceMade:
    folder = f"{place.kommune}{place.bydel}"
    made = make(place, wish, out / folder)
    return PlaceMade(
        kommune=place.kommune,
        bydel=place.bydel,
        extract=f"{folder}/{made.extract.name}",
        persons=made.persons,
        services=made.services,
        findings=made.findings,
        bytes=made.size,
        whole=fault_of(place, wish.seed) if wish.stated else "",
        missing=missing_service(place, wish.seed) if wish.stated else "",
    )


def _write_summary(path: Path, made: list[PlaceMade]) -> None:
    """Write a line a place by number, whatever order they were ready in."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, list(PlaceMade.__dataclass_fields__), lineterminator="\n")
        rows.writeheader()
        rows.writerows(asdict(each) for each in sorted(made, key=lambda each: (each.kommune, each.bydel)))
