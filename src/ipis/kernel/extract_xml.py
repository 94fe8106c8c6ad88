"""The XML reader: bytes to columns in one pass; hostile files are refused as soon as they show themselves.

expat judges every byte, and not lxml: it builds no nodes. Everything that lxml would have refused (entities, depth,
huge values) is refused here first; the generated XSD says the same and a test holds them together. What is plain, as
nearly all is, is cut at its quotes (`extract_cut`); the rest is taken from expat's events (`extract_events`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast
from xml.parsers import expat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel import extract_prolog
from ipis.kernel.errors import ExtractRefused
from ipis.kernel.extract import Extract, Judge, Limits, Progress
from ipis.kernel.extract_batch import Breach, Ints, Pile, Rows, Run, Table, new_tables, refusal, shown
from ipis.kernel.extract_cut import Cutter
from ipis.kernel.extract_events import Events, deafen
from ipis.kernel.layout import Layout, RecordType

_CHUNK = 64 << 10
_PIECE = 8 * _CHUNK
"""Bytes that are cut together: enough to pay for the calls."""
_RUN = 1 << 12
"""Events that are gathered together: few enough to stay in the processor's cache."""
_BATCH = 1 << 16
"""Records that are spread over their columns together, as for a piece."""
_SPACE = " \t\r\n"
_PERSON = 1
_UNDEFINED_ENTITY = expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]


def read_file(path: Path, layout: Layout, limits: Limits, progress: Progress | None, judge: Judge | None) -> Extract:
    """Read an XML extract; raises `ExtractRefused`."""
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise ExtractRefused("extract.too_big", rule="K004", file=path.name, bytes=size, most=limits.file_bytes)
    with path.open("rb") as source:
        root_at = extract_prolog.check(source.read(limits.prolog_bytes), path.name, limits)
        source.seek(0)
        reader = _Reader(path, layout, limits, judge)
        reader.run(source, root_at, lambda done: None if progress is None else progress(done, size))
    if reader.trailer is None:
        raise ExtractRefused("extract.no_trailer", rule="K011", file=path.name)
    _check_sum(path, reader.trailer, reader.events.marked_at)
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
    tables: dict[str, Table] = field(init=False)
    events: Events = field(default_factory=Events)
    _elements: list[RecordType] = field(init=False)
    _pile: Pile = field(init=False)
    _parser: expat.XMLParserType = field(init=False)
    _fed: int = 0
    _silent: int = 0
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
        self._parser = expat.ParserCreate("UTF-8")
        self._parser.ordered_attributes = True
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self.events.listen(self._parser, self.layout.trailer.element)

    def run(self, source: BinaryIO, root_at: int, progress: Callable[[int], object]) -> None:
        """Read prolog and header by their events, cut what is plain, and read the rest by its events again."""
        held = source.read(_CHUNK)
        # No value holds a `<`, so that what stands before the next one is the whole header.
        header_ends = held.find(b"<", root_at + 1)
        if header_ends > 0:
            self._hear(held[:header_ends])
            held = self._cut(source, held[header_ends:], progress)
        while held:
            for at in range(0, len(held), _CHUNK):
                self._hear(held[at : at + _CHUNK])
            progress(self._fed)
            held = source.read(_CHUNK)
        self._feed(b"", final=True)
        self._take(self.events.run(self._pile.words))
        self._spread()

    def _cut(self, source: BinaryIO, held: bytes, progress: Callable[[int], object]) -> bytes:
        """Take the file as long as it is plain; gives what has been read and not taken."""
        words = self._pile.words
        self._take(self.events.run(words))
        deafen(self._parser)
        cutter = Cutter(words)
        while (more := source.read(_PIECE)) or held:
            held += more
            made = cutter.cut(held)
            if made is None:
                break
            run, end = made
            self._feed(held[:end])
            self._take(run)
            held = held[end:]
            progress(self._fed)
        self.events.listen(self._parser, self.layout.trailer.element)
        return held

    def _hear(self, chunk: bytes) -> None:
        """Take a chunk by its events."""
        told, before = self.events, len(self.events.order)
        self._feed(chunk)
        self._silent = self._silent + len(chunk) if len(told.order) == before else 0
        if self._silent > self.limits.silent_bytes:
            raise ExtractRefused("extract.silent", rule="K004", file=self.path.name, most=self.limits.silent_bytes)
        if told.text and "".join(told.text).strip(_SPACE):
            line = self._parser.CurrentLineNumber
            raise ExtractRefused("extract.text", rule="K004", file=self.path.name, line=line)
        told.text.clear()
        if not self.header and told.names:
            self._take_header()
        if len(told.order) >= _RUN:
            self._take(told.run(self._pile.words))

    def _doctype(self, *_declaration: object) -> None:
        raise ExtractRefused("extract.doctype", rule="K004", file=self.path.name)

    def _feed(self, chunk: bytes, *, final: bool = False) -> None:
        try:
            self._parser.Parse(chunk, final)
        except expat.ExpatError as error:
            raise self._malformed(error, chunk, final=final) from None
        self._fed += len(chunk)

    def _malformed(self, error: expat.ExpatError, chunk: bytes, *, final: bool) -> ExtractRefused:
        """Say what kind of broken the file is; expat's own text may quote the file and is not passed on."""
        place: dict[str, object] = {"file": self.path.name, "line": error.lineno}
        if final:
            return ExtractRefused("extract.truncated", rule="K004", **place)
        if error.code == _UNDEFINED_ENTITY:
            return ExtractRefused("extract.entity", rule="K004", **place)
        at = max(self._parser.ErrorByteIndex - self._fed, 0)
        if at < len(chunk) and not _is_utf8(chunk[at : at + 200]):
            return ExtractRefused("extract.not_utf8", rule="K004", **place)
        return ExtractRefused("extract.malformed", rule="K004", **place)

    def _take_header(self) -> None:
        """Read and judge the header as soon as it is there, so that a wrong file is refused at once."""
        told = self.events
        if told.names[0] != self.layout.header.element:
            raise ExtractRefused("extract.root", rule="K004", file=self.path.name, element=shown(told.names[0]))
        size = cast("int", told.order[0])
        first = Events([size], told.names[:1], told.attributes[:size])
        alone = Pile(self._elements[:1], self.limits)
        self._gather(alone, first.run(alone.words), np.zeros(1, np.int64))
        self.header = _one(alone.spread()[self.layout.header.name])
        if self.judge is not None:
            self.judge(self.header)

    def _take(self, run: Run) -> None:
        """Put a run of records on the pile, checking that each stands where it may."""
        self._check_places(run)
        persons = self._persons - 1 + np.cumsum(run.kinds == _PERSON)
        self._gather(self._pile, run, persons)
        self._depth += run.depth
        self._starts += len(run.kinds)
        self._persons = int(persons[-1]) + 1 if len(persons) else self._persons
        if self._pile.waiting >= _BATCH:
            self._spread()

    def _check_places(self, run: Run) -> None:
        """Refuse records that are unknown, at another depth than their kind's, or behind the trailer."""
        last = len(self._elements) - 1
        expected = np.array([1, 2, *([3] * (last - 2)), 2, 0])
        wrong = np.flatnonzero(self._depth + run.depths != expected[run.kinds])
        after = np.flatnonzero(run.kinds == last)
        if len(after) or self._ended:
            wrong = np.sort(np.append(wrong, np.arange(0 if self._ended else int(after[0]) + 1, len(run.kinds))))
            self._ended = True
        if len(wrong):
            place = int(wrong[0])
            kind = int(run.kinds[place])
            code = "extract.unknown_record" if kind < 0 else "extract.misplaced"
            name = run.names[0][place] if kind < 0 else self._elements[kind].element
            raise self._refusal(Breach(self._starts + place, code, element=shown(name)))

    def _gather(self, pile: Pile, run: Run, persons: Ints) -> None:
        try:
            pile.gather(run, persons)
        except Breach as breach:
            raise self._refusal(breach) from None

    def _spread(self) -> None:
        """Make columns of all that was gathered; nested rows get the number of the person they stand under."""
        made = self._pile.spread()
        own = made["person"].columns["brukerNr"]
        known, first = pa.concat_arrays([self._last_person, own]), self.tables["person"].rows
        for name, table in self.tables.items():
            rows = made[name]
            if name != "person":
                parents = known.take(pa.array(rows.persons - first + 1))
                self._check_parents(rows.columns["brukerNr"], parents, rows.starts)
                rows.columns["brukerNr"] = parents
            table.append(rows.columns, pa.array(rows.persons.astype(np.int32)))
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
    return {name: texts[0].as_py() for name, texts in rows.columns.items()}


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
