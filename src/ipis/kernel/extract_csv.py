"""CSV files of the flat extract: `;`, UTF-8 or Windows-1252, a line a row; we check where pyarrow.csv is lenient."""

from __future__ import annotations

import csv
from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from ipis.kernel.errors import ExtractRefused
from ipis.kernel.extract import Limits
from ipis.kernel.extract_batch import check_characters, shown
from ipis.kernel.layout import RecordType

_BLOCK = 4 << 20
_BOM = b"\xef\xbb\xbf"
_UNUSED_1252 = bytes([0x81, 0x8D, 0x8F, 0x90, 0x9D])
_NORWEGIAN_UTF8 = tuple(letter.encode() for letter in "æøåÆØÅéÉ")


def encoding_of(files: list[Path], limits: Limits) -> str:
    """Tell whether files are UTF-8 or Windows-1252; refuse NUL bytes, giant lines, other and mixed encodings."""
    found = {file: _encoding(file, limits) for file in files}
    beyond_ascii = {encoding for encoding in found.values() if encoding != "ascii"}
    if len(beyond_ascii) > 1:
        odd = next(file for file, encoding in found.items() if encoding == "cp1252")
        raise ExtractRefused("extract.csv_mixed", rule="K004", file=odd.name, line=_beyond_ascii(odd))
    return beyond_ascii.pop() if beyond_ascii else "utf-8"


def _encoding(file: Path, limits: Limits) -> str:
    """Look at every byte once: `ascii`, `utf-8` or `cp1252`."""
    decoder = getincrementaldecoder("utf-8")()
    is_utf8, beyond_ascii, norwegian, impossible = True, False, False, 0
    longest = limits.fields * (limits.value_chars * 4 + 3)
    line, unbroken = 1, 0
    with file.open("rb") as source:
        while block := source.read(1 << 20):
            if b"\x00" in block:
                raise ExtractRefused(
                    "extract.csv_nul", rule="K004", file=file.name, line=line + block[: block.index(0)].count(b"\n")
                )
            if line == 1:
                _check_heading(block, file, limits)
            unbroken = _check_lines(block, unbroken, longest, file, line)
            if not block.isascii():
                beyond_ascii = True
                norwegian = norwegian or any(letter in block for letter in _NORWEGIAN_UTF8)
                impossible = impossible or _impossible_line(block, line)
            is_utf8 = is_utf8 and _decodes(decoder, block, final=False)
            line += block.count(b"\n")
    if is_utf8 and _decodes(decoder, b"", final=True):
        return "utf-8" if beyond_ascii else "ascii"
    mixed = _mixed_line(file)
    if norwegian or mixed:
        raise ExtractRefused("extract.csv_mixed", rule="K004", file=file.name, line=mixed or _beyond_ascii(file))
    if impossible:
        raise ExtractRefused("extract.csv_encoding", rule="K004", file=file.name, line=impossible)
    return "cp1252"


def _beyond_ascii(file: Path) -> int:
    """Give the first line that is not plain ASCII; 1 when there is none."""
    with file.open("rb") as source:
        return next((number for number, line in enumerate(source, start=1) if not line.isascii()), 1)


def _check_heading(block: bytes, file: Path, limits: Limits) -> None:
    """Refuse line ends that nobody counts lines by, and more columns than any record type may have."""
    heading = block.partition(b"\n")[0].rstrip(b"\r")
    if b"\r" in heading:
        raise ExtractRefused("extract.csv_cr", rule="K004", file=file.name)
    if heading.count(b";") >= limits.fields:
        raise ExtractRefused("extract.too_many_columns", rule="K004", file=file.name, most=limits.fields)


def _mixed_line(file: Path) -> int:
    """Give the first line of another encoding than a line before it, 0 when there is none.

    Letters that read as UTF-8 are UTF-8: as Windows-1252 they would be two signs that stand together in no language.
    """
    seen: set[bool] = set()
    with file.open("rb") as source:
        for number, line in enumerate(source, start=1):
            if line.isascii():
                continue
            try:
                is_utf8 = all(letter.isascii() or letter.isalpha() for letter in line.decode("utf-8"))
            except UnicodeDecodeError:
                is_utf8 = False
            seen.add(is_utf8)
            if len(seen) > 1:
                return number
    return 0


def _check_lines(block: bytes, unbroken: int, longest: int, file: Path, line: int) -> int:
    """Refuse a line longer than all its fields may be; give the length of the line that the block breaks off in."""
    for number, piece in enumerate(block.split(b"\n")):
        unbroken = (unbroken if number == 0 else 0) + len(piece)
        if unbroken > longest:
            raise ExtractRefused("extract.csv_long_line", rule="K004", file=file.name, line=line + number)
    return unbroken


def _impossible_line(block: bytes, line: int) -> int:
    """Give the line of the first byte that Windows-1252 does not use, 0 when there is none."""
    places = [block.find(byte) for byte in (bytes([code]) for code in _UNUSED_1252)]
    first = min((place for place in places if place >= 0), default=-1)
    return 0 if first < 0 else line + block[:first].count(b"\n")


def _decodes(decoder: IncrementalDecoder, block: bytes, *, final: bool) -> bool:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return True


def batches(
    file: Path, record: RecordType, limits: Limits, encoding: str, also: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Read a file as texts, batch by batch; empty cells are nulls, quoted or not, and nothing else is.

    `also`: columns that may stand there besides the record type's fields.
    """
    names, alone = _heading(file, {*record.fields, *also}, limits, encoding)
    if alone:
        return
    read = pa_csv.ReadOptions(encoding=encoding, block_size=_BLOCK)
    parse = pa_csv.ParseOptions(delimiter=";", newlines_in_values=False, ignore_empty_lines=True)
    convert = pa_csv.ConvertOptions(
        column_types={name: pa.string() for name in names},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
    )
    rows = 0
    try:
        with pa_csv.open_csv(file, read, parse, convert) as reader:
            for batch in reader:
                rows += batch.num_rows
                if rows > limits.rows:
                    raise ExtractRefused("extract.too_many_rows", rule="K004", file=file.name, most=limits.rows)
                check_characters(batch.columns, file.name, rows - batch.num_rows)
                yield batch
    except pa.ArrowInvalid:
        # Arrow's text quotes the row, which is a person's: only file and line are named.
        line = _uneven_line(file, len(names), encoding)
        raise ExtractRefused("extract.csv_rows", rule="K004", file=file.name, line=line) from None
    if rows + 1 < _filled_lines(file, rows + 1):
        line = _uneven_line(file, len(names), encoding)
        raise ExtractRefused("extract.csv_rows", rule="K004", file=file.name, line=line)


def _filled_lines(file: Path, most: int) -> int:
    """Count lines that are not empty where there may be more than `most` of them; else give `most`.

    A quote that is not closed takes the lines after it into one cell, which Arrow lets pass within a block.
    """
    with file.open("rb") as source:
        lines, last = 0, b"\n"
        while block := source.read(1 << 20):
            lines, last = lines + block.count(b"\n"), block[-1:]
        if lines + (last != b"\n") <= most:
            return most
        source.seek(0)
        return sum(1 for line in source if line.strip(b"\r\n"))


def _uneven_line(file: Path, width: int, encoding: str) -> int:
    """Give the first line that has not as many cells as the heading; 1 when none can be told."""
    with file.open(encoding=encoding, errors="replace", newline="\n") as source:
        for number, line in enumerate(source, start=1):
            try:
                cells = next(csv.reader([line.rstrip("\r\n")], delimiter=";", strict=True), [])
            except csv.Error:
                return number
            if cells and len(cells) != width:
                return number
    return 1


def _heading(file: Path, known: Collection[str], limits: Limits, encoding: str) -> tuple[list[str], bool]:
    """Give the names in the first line, and whether it stands alone without an end (which pyarrow.csv refuses)."""
    with file.open("rb") as source:
        first = source.readline(limits.fields * 64)
    ends = first.endswith(b"\n")
    rows = list(csv.reader([first.removeprefix(_BOM).decode(encoding, "replace").rstrip("\r\n")], delimiter=";"))
    names = rows[0] if rows else []
    other_separator = len(names) == 1 and any(sign in names[0] for sign in ",\t|")
    if not names or "" in names or other_separator or (not ends and file.stat().st_size > len(first)):
        raise ExtractRefused("extract.csv_header", rule="K004", file=file.name)
    check_names(names, file, known)
    return names, not ends


def check_names(names: list[str], file: Path, known: Collection[str]) -> None:
    """Refuse doubled columns and such as the record type does not have."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ExtractRefused("extract.doubled_field", rule="K004", file=file.name, field=shown(name))
        seen.add(name)
        if name not in known:
            raise ExtractRefused("extract.unknown_column", rule="K004", file=file.name, field=shown(name))
