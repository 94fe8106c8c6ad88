"""The XML reader: bytes to columns in one pass of expat, hostile files refused before or as soon as they show themselves.

expat and not lxml: its start handler hands over a list without building a node. Everything that lxml would have refused
(entities, depth, huge values) is refused here first; the generated XSD says the same and a test holds them together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from xml.parsers import expat

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel import extract_prolog
from ipis.kernel.errors import ExtractRefused
from ipis.kernel.extract import Extract, Judge, Limits, Progress
from ipis.kernel.extract_batch import Breach, new_tables, refuse, shown, split
from ipis.kernel.layout import Layout, RecordType

_CHUNK = 64 << 10
_BATCH_EVENTS = 1 << 16
_SPACE = " \t\r\n"
_UNDEFINED_ENTITY = expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]

Event = tuple[str, list[str]] | str
"""A start (element, [name, value, …]) or, as a bare string, an end."""


def read_file(path: Path, layout: Layout, limits: Limits, progress: Progress | None, judge: Judge | None) -> Extract:
    """Read an XML extract; raises `ExtractRefused`."""
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise ExtractRefused("extract.too_big", rule="K004", file=path.name, bytes=size, most=limits.file_bytes)
    with path.open("rb") as source:
        extract_prolog.check(source.read(limits.prolog_bytes), path.name, limits)
        source.seek(0)
        reader = _Reader(path, layout, limits, judge)
        reader.run(source, size, progress)
    if reader.trailer is None:
        raise ExtractRefused("extract.no_trailer", rule="K011", file=path.name)
    _check_sum(path, reader.trailer, reader.trailer_at)
    tables = {name: table.finish() for name, table in reader.tables.items()}
    return Extract(reader.header, tables, reader.trailer, "xml", "utf-8")


@dataclass(slots=True)
class _Reader:
    path: Path
    layout: Layout
    limits: Limits
    judge: Judge | None
    header: Mapping[str, str | None] = field(default_factory=dict)
    trailer: Mapping[str, str | None] | None = None
    trailer_at: int = 0
    tables: dict[str, Any] = field(init=False)
    _elements: list[RecordType] = field(init=False)
    _depth: int = 0
    _starts: int = 0
    _persons: int = 0
    _last_person: pa.Array = field(default_factory=lambda: pa.nulls(1, pa.string()))

    def __post_init__(self) -> None:
        """Number the elements: header, record types with the person first, trailer."""
        self.tables = new_tables(list(self.layout.records.values()))
        self._elements = list(self.layout.by_element().values())

    def run(self, source: BinaryIO, size: int, progress: Progress | None) -> None:
        """Feed the file to expat in chunks and take the events in batches."""
        events: list[Event] = []
        stray: list[str] = []
        parser = self._parser(events, stray)
        done = silent = 0
        while chunk := source.read(_CHUNK):
            before = len(events)
            self._parse(parser, chunk, done)
            done += len(chunk)
            silent = silent + len(chunk) if len(events) == before else 0
            if silent > self.limits.silent_bytes:
                raise ExtractRefused("extract.silent", rule="K004", file=self.path.name, most=self.limits.silent_bytes)
            self._check_text(stray, parser)
            if not self.header and events:
                self._take_header(events[0])
            if len(events) >= _BATCH_EVENTS:
                self._take(events)
            if progress is not None:
                progress(done, size)
        self._parse(parser, b"", done, final=True)
        self._take(events)

    def _parser(self, events: list[Event], stray: list[str]) -> expat.XMLParserType:
        parser = expat.ParserCreate("UTF-8")
        parser.ordered_attributes = True
        parser.buffer_text = True
        append: Callable[[Event], None] = events.append
        trailer = self.layout.trailer.element

        def start(name: str, attributes: list[str]) -> None:
            append((name, attributes))
            if name == trailer:
                self.trailer_at = parser.CurrentByteIndex

        parser.StartElementHandler = start
        # The list's own methods are the handlers: no Python frame for an end or a piece of white space.
        parser.EndElementHandler = append
        parser.CharacterDataHandler = stray.append
        parser.StartDoctypeDeclHandler = self._doctype
        return parser

    def _doctype(self, *_declaration: object) -> None:
        raise ExtractRefused("extract.doctype", rule="K004", file=self.path.name)

    def _parse(self, parser: expat.XMLParserType, chunk: bytes, done: int, *, final: bool = False) -> None:
        try:
            parser.Parse(chunk, final)
        except expat.ExpatError as error:
            raise self._malformed(error, parser, chunk, done, final=final) from None

    def _malformed(
        self, error: expat.ExpatError, parser: expat.XMLParserType, chunk: bytes, done: int, *, final: bool
    ) -> ExtractRefused:
        """Say what kind of broken the file is; expat's own text may quote the file and is not passed on."""
        place: dict[str, object] = {"file": self.path.name, "line": error.lineno}
        if final:
            return ExtractRefused("extract.truncated", rule="K004", **place)
        if error.code == _UNDEFINED_ENTITY:
            return ExtractRefused("extract.entity", rule="K004", **place)
        at = max(parser.ErrorByteIndex - done, 0)
        if at < len(chunk) and chunk[at] >= 0x80 and not _is_utf8(chunk[at : at + 4]):
            return ExtractRefused("extract.not_utf8", rule="K004", **place)
        return ExtractRefused("extract.malformed", rule="K004", **place)

    def _check_text(self, stray: list[str], parser: expat.XMLParserType) -> None:
        if stray and "".join(stray).strip(_SPACE):
            raise ExtractRefused("extract.text", rule="K004", file=self.path.name, line=parser.CurrentLineNumber)
        stray.clear()

    def _take_header(self, event: Event) -> None:
        element, attributes = event
        if element != self.layout.header.element:
            raise ExtractRefused("extract.root", rule="K004", file=self.path.name, element=shown(element))
        self.header = self._single(self.layout.header, attributes, 0)
        if self.judge is not None:
            self.judge(self.header)

    def _take(self, events: list[Event]) -> None:
        """Turn a batch of events into rows, checking that each record stands where it may."""
        is_start = np.fromiter((type(event) is tuple for event in events), np.bool_, len(events))
        depths = self._depth + np.cumsum(np.where(is_start, 1, -1))
        starts: list[tuple[str, list[str]]] = [event for event in events if type(event) is tuple]
        kinds = self._kinds(starts, depths[is_start])
        persons = self._persons - 1 + np.cumsum(kinds == 1)
        self._take_records(starts, kinds, persons)
        if len(kinds) and kinds[-1] == len(self._elements) - 1:
            self.trailer = self._single(self.layout.trailer, starts[-1][1], self._starts + len(starts) - 1)
        self._starts += len(starts)
        if len(kinds):
            self._persons = int(persons[-1]) + 1
        self._depth = int(depths[-1]) if len(depths) else self._depth
        events.clear()

    def _kinds(self, starts: list[tuple[str, list[str]]], depths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Number each start by its element (header 0, person 1, …, trailer last); refuse unknown and misplaced ones."""
        last = len(self._elements) - 1
        numbers = {record.element: number for number, record in enumerate(self._elements)}
        kinds = np.fromiter((numbers.get(name, -1) for name, _ in starts), np.int64, len(starts))
        expected = np.array([1, 2, *([3] * (last - 2)), 2, 0])
        wrong = np.flatnonzero(depths != expected[kinds])
        after = np.flatnonzero(kinds == last)
        if len(after) or self.trailer is not None:
            first_after = int(after[0]) + 1 if self.trailer is None else 0
            wrong = np.sort(np.append(wrong, np.arange(first_after, len(starts))))
        if len(wrong):
            place = int(wrong[0])
            code = "extract.unknown_record" if kinds[place] < 0 else "extract.misplaced"
            raise self._refusal(Breach(place, code, element=shown(starts[place][0])), self._starts + place)
        return kinds

    def _take_records(
        self, starts: list[tuple[str, list[str]]], kinds: npt.NDArray[np.int64], persons: npt.NDArray[np.int64]
    ) -> None:
        known = self._last_person
        for number, record in enumerate(self._elements[1:-1], start=1):
            places = np.flatnonzero(kinds == number)
            if len(places) == 0:
                continue
            texts = self._split(record, [starts[place][1] for place in places], places)
            if record.name == "person":
                known = pa.concat_arrays([self._last_person, texts["brukerNr"]])
            else:
                parents = known.take(pa.array(persons[places] - self._persons + 1))
                texts["brukerNr"] = self._inherited(texts["brukerNr"], parents, places)
            self.tables[record.name].add(texts, pa.array(persons[places].astype(np.int32)))
        self._last_person = known[-1:]

    def _inherited(self, own: pa.Array, parents: pa.Array, places: npt.NDArray[np.int64]) -> pa.Array:
        """Give nested rows their person's number; one that states another is refused, since two readings would be possible."""
        if own.null_count < len(own):
            same = pc.equal(own, parents).fill_null(False)
            other = np.flatnonzero(pc.and_(pc.is_valid(own), pc.invert(same)).to_numpy(zero_copy_only=False))
            if len(other):
                place = int(places[other[0]])
                raise self._refusal(Breach(place, "extract.other_person"), self._starts + place)
        return parents

    def _split(
        self, record: RecordType, attributes: list[list[str]], places: npt.NDArray[np.int64]
    ) -> dict[str, pa.Array]:
        try:
            return split(record, attributes, self.limits)
        except Breach as breach:
            raise self._refusal(breach, self._starts + int(places[breach.row])) from None

    def _single(self, record: RecordType, attributes: list[str], start: int) -> dict[str, str | None]:
        try:
            texts = split(record, [attributes], self.limits)
        except Breach as breach:
            raise self._refusal(breach, start) from None
        return {name: array[0].as_py() for name, array in texts.items()}

    def _refusal(self, breach: Breach, start: int) -> ExtractRefused:
        return refuse(breach, self.path.name, _line_of_start(self.path, start))


def _line_of_start(path: Path, wanted: int) -> int:
    """Find the line of the n-th start tag by reading again: a refusal may take its time, a good file may not."""
    parser = expat.ParserCreate("UTF-8")
    left, line = wanted, 0

    def start(_name: str, _attributes: object) -> None:
        nonlocal left, line
        if left == 0:
            line = parser.CurrentLineNumber
        left -= 1

    parser.StartElementHandler = start
    with path.open("rb") as source:
        try:
            while left >= 0 and (chunk := source.read(_CHUNK)):
                parser.Parse(chunk, False)  # noqa: FBT003 - expat takes no keyword
        except expat.ExpatError:
            # The first reading got past the wanted tag, so this one has too; what follows it is not ours to judge here.
            return line
    return line


def _check_sum(path: Path, trailer: Mapping[str, str | None], end: int) -> None:
    """Compare the trailer's SHA-256 with the bytes of the file before the trailer, when it gives one (K011)."""
    stated = trailer.get("sha256")
    if stated is None:
        return
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while end > 0 and (chunk := source.read(min(end, 1 << 20))):
            digest.update(chunk)
            end -= len(chunk)
    if digest.hexdigest() != stated.lower():
        raise ExtractRefused("extract.checksum", rule="K011", file=path.name)


def _is_utf8(piece: bytes) -> bool:
    """Tell whether a piece begins with a whole UTF-8 character."""
    for length in range(1, len(piece) + 1):
        try:
            piece[:length].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return True
    return False
