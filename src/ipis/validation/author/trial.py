"""`ipis rules try`: what a rule would find, municipality by municipality, before it is switched on.

Runs over the register's object store (a folder `register/year/kommune/bydel/sequence-id` of Parquet a delivery, the
newest sequence of each), or over an extract, a folder of tables, or a folder of such. Nothing is changed anywhere, and
the answer counts: it holds no row and no key.

A folder comes into the store whole, by one renaming; that the catalogue has its row as well, as the register itself
asks, does not show in the path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ipis.kernel.collection import Collection, load_any, packaged_years
from ipis.kernel.definitions import DefinitionFolder, read_bounded
from ipis.kernel.errors import DefinitionRefused, ExtractRefused
from ipis.validation import examples, rulebook
from ipis.validation.author import SHIPPED, leftout
from ipis.validation.author.definition import named_year, open_definition
from ipis.validation.author.tables import Tables, extracts_of, read_tables, tables_of
from ipis.validation.catalogue import read_list
from ipis.validation.run import Content, run_many

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ipis.validation.findings import Verdict

_DELIVERY = re.compile(
    r"(?:.*/)?(?P<register>[a-z0-9-]+)/(?P<year>[0-9]{4})/(?P<kommune>[0-9]{4})/(?P<bydel>[0-9]{2})/"
    r"(?P<sequence>[0-9]{4,})-[0-9a-f]+"
)
_RULE_ID = re.compile(r"[A-Z][0-9]{3}")
_AT_ONCE = 40
"""Deliveries judged in one go: what is in memory is bounded, whatever the size of the register."""
_TRIED = "rules/tried.yaml"
_DEPTH = 2
"""Folders below the one that was named: a place, and the tables of its extract."""


@dataclass(frozen=True, slots=True)
class Place:
    """A delivery to try a rule on: whose it is, where its data lie, and those of the year before."""

    kommune: str
    bydel: str
    path: Path
    before: Path | None = None
    register: str = ""
    year: int = 0


@dataclass(frozen=True, slots=True)
class Hits:
    """What a rule came to in one delivery."""

    rule: str
    kommune: str
    bydel: str
    name: str
    verdict: Verdict

    def as_object(self) -> dict[str, object]:
        """Give the counts as JSON has them."""
        verdict = self.verdict
        return {
            "rule": self.rule,
            "kommune": self.kommune,
            "bydel": self.bydel,
            "name": self.name,
            "ok": verdict.ok,
            "breach": verdict.breach,
            "not_assessed": verdict.not_assessed,
            "reasons": dict(sorted(verdict.reasons.items())),
        }


def places(path: Path, year: int | None) -> list[Place]:
    """Find the deliveries: the register's newest ones of a year, or each extract and each folder that holds tables."""
    if extracts_of(path) == [path]:
        return [Place(path.stem, "00", path)]
    if not path.is_dir():
        raise ExtractRefused("author.no_data", folder=path.name)
    stored = _stored(path)
    if stored:
        wanted = year or max(place.year for place in stored.values())
        return [replace(place, before=_before(place, stored)) for place in stored.values() if place.year == wanted]
    found = [Place(name, "00", data) for name, data in _deepest(path, path.resolve().name, _DEPTH)]
    if not found:
        raise ExtractRefused("author.nothing_to_try", folder=path.name)
    return found


def definition_for(found: Sequence[Place], definition: Path | None, year: int | None) -> Collection:
    """Give the definitions to try a rule with: those named, else those of the register's year."""
    if definition is not None:
        return open_definition(definition, year)
    register = found[0].register or SHIPPED
    return named_year(register if packaged_years(register) else SHIPPED, found[0].year or year)


def with_rule(collection: Collection, rule: str) -> tuple[Collection, tuple[str, ...]]:
    """Give the collection to run and the numbers to try: a rule of its own, or those of a YAML file, which go first."""
    if _RULE_ID.fullmatch(rule):
        if rule not in rulebook.of(collection).rules:
            raise DefinitionRefused("author.no_rule", number=rule, year=collection.year)
        return collection, (rule,)
    file = Path(rule)
    if not file.is_file():
        raise DefinitionRefused("author.no_rule", number=file.name, year=collection.year)
    content = read_bounded(file, file.name)
    numbers = _numbers(content)
    members = {
        name: _without(data, numbers) if name.startswith("rules/") else data for name, data in collection.folder.items()
    }
    members[_TRIED] = content
    try:
        tried = load_any(DefinitionFolder.from_members(members, collection.folder.origin))
        book = rulebook.of(tried)
    except DefinitionRefused as error:
        if error.params.get("file") == _TRIED:
            error.params["file"] = file.name
        raise
    return tried, tuple(number for number in numbers if number in book.rules)


def trial(collection: Collection, numbers: Sequence[str], found: Sequence[Place]) -> Iterator[Hits]:
    """Judge every delivery by the rules that are tried; gives what each came to."""
    book = rulebook.of(collection)
    for start in range(0, len(found), _AT_ONCE):
        some = found[start : start + _AT_ONCE]
        contents = [_content(place, collection) for place in some]
        for at in dict.fromkeys(examples.judged_at(book.rules[number]) for number in numbers):
            only = frozenset(number for number in numbers if examples.judged_at(book.rules[number]) == at)
            reports = run_many(collection, contents, at=at, only=only)
            for place, content, report in zip(some, contents, reports, strict=True):
                kommune, bydel = _sender(place, content, collection)
                name = collection.kommuner.get(kommune, "")
                for number, verdict in report.verdicts.items():
                    yield Hits(number, kommune, bydel, name, verdict)


def _sender(place: Place, content: Content, collection: Collection) -> tuple[str, str]:
    """Name a place by municipality and district where its header does so, else as its folder is called."""
    header = content.header or {}
    kommune, bydel = header.get("kommuneNr") or "", header.get("bydel") or ""
    if kommune not in collection.kommuner:
        return place.kommune, place.bydel
    return kommune, bydel if re.fullmatch("[0-9]{2}", bydel) else place.bydel


def _content(place: Place, collection: Collection) -> Content:
    read = read_tables(place.path, collection)
    past = None if place.before is None else read_tables(place.before, collection).tables
    return Content(read.tables, _header(place, read), past)


def _header(place: Place, read: Tables) -> Mapping[str, str | None] | None:
    """Give the header: the file's own, or what the register's path says."""
    if read.header is not None or not place.register:
        return read.header
    return {"aargang": str(place.year), "kommuneNr": place.kommune, "bydel": place.bydel}


def _stored(path: Path) -> dict[tuple[str, int, str, str], Place]:
    """Find the newest delivery of each sender and year in an object store, from whichever of its folders."""
    newest: dict[tuple[str, int, str, str], tuple[int, Place]] = {}
    for file in sorted(path.resolve().rglob("*.parquet")):
        found = _DELIVERY.fullmatch(file.parent.as_posix())
        if found is None:
            continue
        key = (found["register"], int(found["year"]), found["kommune"], found["bydel"])
        place = Place(key[2], key[3], file.parent, None, key[0], key[1])
        if key not in newest or newest[key][0] < int(found["sequence"]):
            newest[key] = int(found["sequence"]), place
    return {key: place for key, (_, place) in newest.items()}


def _before(place: Place, stored: Mapping[tuple[str, int, str, str], Place]) -> Path | None:
    past = stored.get((place.register, place.year - 1, place.kommune, place.bydel))
    return None if past is None else past.path


def _deepest(path: Path, name: str, depth: int) -> list[tuple[str, Path]]:
    """Find extracts and the innermost folders with tables, under the name of the place's; above, synth lists faults."""
    inner = sorted(folder for folder in path.iterdir() if depth and folder.is_dir())
    named = [(folder.name if depth == _DEPTH else name, folder) for folder in inner]
    below = [found for name, folder in named for found in _deepest(folder, name, depth - 1)]
    if tables_of(path):
        return below or [(name, path)]
    return below + [(file.stem if depth == _DEPTH else name, file) for file in extracts_of(path)]


def _numbers(content: bytes) -> list[str]:
    """Read the numbers of the rules in a file; whatever is wrong with it is told when the rules are read."""
    try:
        records, _ = read_list(_TRIED, content)
    except DefinitionRefused:
        return []
    return [str(record["id"]) for record in records if isinstance(record, dict) and "id" in record]


def _without(content: bytes, numbers: Sequence[str]) -> bytes:
    """Leave out the rules that the tried ones stand in for; what is not UTF-8 stays, and is told when it is read."""
    text = content.decode("utf-8", "surrogateescape")
    for block in leftout.rules_of(text):
        if block.name in numbers:
            text = leftout.without(text, block)
    return text.encode("utf-8", "surrogateescape")
