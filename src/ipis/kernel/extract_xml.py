"""The XML reader: bytes to columns in one pass of expat; hostile files are refused as soon as they show themselves.

expat and not lxml: its start handler hands over a list without building a node. Everything that lxml would have refused
(entities, depth, huge values) is refused here first; the generated XSD says the same and a test holds them together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import compress, repeat
from pathlib import Path
from typing import BinaryIO, cast
from xml.parsers import expat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel import extract_prolog
from ipis.kernel.errors import ExtractRefused
from ipis.kernel.extract import Extract, Judge, Limits, Progress
from ipis.kernel.extract_batch import Breach, Ints, Pile, Rows, Table, new_tables, refusal, shown
from ipis.kernel.layout import Layout, RecordType

_CHUNK = 64 << 10
_RUN = 1 << 12
"""Events that are gathered together: few enough to stay in the processor's cache."""
_BATCH = 1 << 16
"""Records that are spread over their columns together: enough to pay for the calls."""
_SPACE = " \t\r\n"
_PERSON = 1
_UNDEFINED_ENTITY = expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]


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
class _Run:
    """What expat has told since the last run: starts and ends in order, names and attributes of the starts, text.

    Flat lists, so that the handlers of ends and text are the lists' own methods (no Python frame for either) and the
    list of each start's attributes is let go at once.
    """

    order: list[int | str] = field(default_factory=list)
    """For a start the length of its attributes, for an end the element's name."""
    names: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    """[name, value, …] of all starts, one after the other."""
    text: list[str] = field(default_factory=list)

    def clear(self) -> None:
        self.order.clear()
        self.names.clear()
        self.attributes.clear()


@dataclass(slots=True)
class _Reader:
    path: Path
    layout: Layout
    limits: Limits
    judge: Judge | None
    header: Mapping[str, str | None] = field(default_factory=dict)
    trailer: Mapping[str, str | None] | None = None
    trailer_at: int = 0
    tables: dict[str, Table] = field(init=False)
    _elements: list[RecordType] = field(init=False)
    _pile: Pile = field(init=False)
    _depth: int = 0
    _starts: int = 0
    _persons: int = 0
    _ended: bool = False
    _last_person: pa.Array = field(default_factory=lambda: pa.nulls(1, pa.string()))

    def __post_init__(self) -> None:
        """Give the elements their numbers: header, record types with the person first, trailer."""
        self.tables = new_tables(list(self.layout.records.values()))
        self._elements = list(self.layout.by_element().values())
        self._pile = Pile(self._elements, self.limits)

    def run(self, source: BinaryIO, size: int, progress: Progress | None) -> None:
        """Feed the file to expat in chunks and take the events in batches."""
        told = _Run()
        parser = self._parser(told)
        done = silent = 0
        while chunk := source.read(_CHUNK):
            before = len(told.order)
            self._parse(parser, chunk, done)
            done += len(chunk)
            silent = silent + len(chunk) if len(told.order) == before else 0
            if silent > self.limits.silent_bytes:
                raise ExtractRefused("extract.silent", rule="K004", file=self.path.name, most=self.limits.silent_bytes)
            self._check_text(told.text, parser)
            if not self.header and told.names:
                self._take_header(told)
            if len(told.order) >= _RUN:
                self._take(told)
            if self._pile.waiting >= _BATCH:
                self._spread()
            if progress is not None:
                progress(done, size)
        self._parse(parser, b"", done, final=True)
        self._take(told)
        self._spread()

    def _parser(self, told: _Run) -> expat.XMLParserType:
        parser = expat.ParserCreate("UTF-8")
        parser.ordered_attributes = True
        parser.buffer_text = True
        trailer = self.layout.trailer.element
        name_it, count_it, keep = told.names.append, told.order.append, told.attributes.extend

        def start(name: str, attributes: list[str]) -> None:
            name_it(name)
            count_it(len(attributes))
            keep(attributes)
            if name == trailer:
                self.trailer_at = parser.CurrentByteIndex

        # With ordered_attributes the handler gets a list, which typeshed does not know.
        parser.StartElementHandler = cast("Callable[[str, dict[str, str]], None]", start)
        parser.EndElementHandler = told.order.append
        parser.CharacterDataHandler = told.text.append
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
        if at < len(chunk) and not _is_utf8(chunk[at : at + 200]):
            return ExtractRefused("extract.not_utf8", rule="K004", **place)
        return ExtractRefused("extract.malformed", rule="K004", **place)

    def _check_text(self, text: list[str], parser: expat.XMLParserType) -> None:
        if text and "".join(text).strip(_SPACE):
            raise ExtractRefused("extract.text", rule="K004", file=self.path.name, line=parser.CurrentLineNumber)
        text.clear()

    def _take_header(self, told: _Run) -> None:
        """Read and judge the header as soon as it is there, so that a wrong file is refused at once."""
        if told.names[0] != self.layout.header.element:
            raise ExtractRefused("extract.root", rule="K004", file=self.path.name, element=shown(told.names[0]))
        size = cast("int", told.order[0])
        alone = Pile(self._elements[:1], self.limits)
        first = np.zeros(1, dtype=np.int64)
        self._gather(alone, told.attributes[:size], first + size, first, first)
        self.header = _one(alone.spread()[self.layout.header.name])
        if self.judge is not None:
            self.judge(self.header)

    def _take(self, told: _Run) -> None:
        """Put a run of events on the pile, checking that each record stands where it may."""
        if not told.order:
            return
        is_start = np.fromiter(map(isinstance, told.order, repeat(int)), np.bool_, len(told.order))
        depths = self._depth + np.cumsum(np.where(is_start, 1, -1))
        kinds = self._kinds(told.names, depths[is_start])
        sizes = np.fromiter(compress(told.order, is_start.tolist()), np.int64, len(kinds))
        persons = self._persons - 1 + np.cumsum(kinds == _PERSON)
        self._gather(self._pile, told.attributes, sizes, kinds, persons)
        self._depth = int(depths[-1])
        self._starts += len(kinds)
        self._persons = int(persons[-1]) + 1 if len(persons) else self._persons
        told.clear()

    def _kinds(self, names: list[str], depths: Ints) -> Ints:
        """Give each start the number of its element; refuse unknown and misplaced ones."""
        last = len(self._elements) - 1
        numbers = {record.element: number for number, record in enumerate(self._elements)}
        kinds = np.fromiter(map(numbers.get, names, repeat(-1)), np.int64, len(names))
        expected = np.array([1, 2, *([3] * (last - 2)), 2, 0])
        wrong = np.flatnonzero(depths != expected[kinds])
        after = np.flatnonzero(kinds == last)
        if len(after) or self._ended:
            wrong = np.sort(np.append(wrong, np.arange(0 if self._ended else int(after[0]) + 1, len(names))))
            self._ended = True
        if len(wrong):
            place = int(wrong[0])
            code = "extract.unknown_record" if kinds[place] < 0 else "extract.misplaced"
            raise self._refusal(Breach(self._starts + place, code, element=shown(names[place])))
        return kinds

    def _gather(self, pile: Pile, attributes: list[str], sizes: Ints, kinds: Ints, persons: Ints) -> None:
        try:
            pile.gather(attributes, sizes, kinds, persons)
        except Breach as breach:
            raise self._refusal(breach) from None

    def _spread(self) -> None:
        """Make columns of all that was gathered; nested rows get the number of the person they stand under."""
        made = self._pile.spread()
        own = made["person"].texts["brukerNr"]
        known, first = pa.concat_arrays([self._last_person, own]), self.tables["person"].rows
        for name, table in self.tables.items():
            rows = made[name]
            if name != "person":
                parents = known.take(pa.array(rows.persons - first + 1))
                self._check_parents(rows.texts["brukerNr"], parents, rows.starts)
                rows.texts["brukerNr"] = parents
            table.add(rows.texts, pa.array(rows.persons.astype(np.int32)))
        self._last_person = known[-1:]
        trailer = made[self.layout.trailer.name]
        if len(trailer.starts):
            self.trailer = _one(trailer)

    def _check_parents(self, own: pa.Array, parents: pa.Array, starts: Ints) -> None:
        """Refuse a nested row that states another number than its person's: it could be read in two ways."""
        if own.null_count == len(own):
            return
        same = pc.equal(own, parents).fill_null(False)
        other = np.flatnonzero(pc.and_(pc.is_valid(own), pc.invert(same)).to_numpy(zero_copy_only=False))
        if len(other):
            raise self._refusal(Breach(int(starts[other[0]]), "extract.other_person"))

    def _refusal(self, breach: Breach) -> ExtractRefused:
        return refusal(breach, self.path.name, _line_of_start(self.path, breach.start))


def _one(rows: Rows) -> dict[str, str | None]:
    return {name: texts[0].as_py() for name, texts in rows.texts.items()}


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
                parser.Parse(chunk, False)
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
    """Tell whether a piece that may end within a character is UTF-8."""
    try:
        piece.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True
