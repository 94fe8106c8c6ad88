r"""Plain XML cut at its quotes: between two values a file says the same few things over and over.

A piece of the file is a row of values and of the gaps between them (`" kode="`, `"/>\n<Vedtak vedtakId="`); some
hundred gaps differ, and only those are read. expat judges the same bytes beside it, so that what is cut is well-formed.
What is not plain – entities, single quotes, comments, names that the layout does not know – is left to its events.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from ipis.kernel.extract_batch import Run, Words

_S: Final = rb"[ \t\r\n]"
_NAME: Final = rb"[^ \t\r\n<>/=\"'&!?]+"
_GAP: Final = re.compile(
    rb'(?:"|(?:"%(s)b*(?P<alone>/?)>%(s)b*(?P<ends>(?:</%(n)b%(s)b*>%(s)b*)*))?<(?P<element>%(n)b))'
    rb'%(s)b+(?P<field>%(n)b)%(s)b*=%(s)b*"' % {b"s": _S, b"n": _NAME}
)
_MOST_GAPS, _LONGEST_GAP = 10_000, 1_000
"""Gaps that are remembered, and bytes of one: a file with more of them, or longer ones, is not plain."""
_SPACE, _QUOTE, _AMPERSAND = 32, 34, 38


class _Gap(NamedTuple):
    """What stands between two values: elements that end, one that begins, the name of the next value's field."""

    element: int
    """The number of the element that begins; -1: the one before goes on."""
    field: int
    ends: int
    lead: int
    """Bytes from the start tag to the next value."""


@dataclass(frozen=True, slots=True)
class Cutter:
    """Cuts pieces that each begin with a start tag."""

    words: Words
    _known: dict[bytes, _Gap | None] = field(default_factory=dict)

    def cut(self, piece: bytes) -> tuple[Run, int] | None:
        """Give the records before the piece's last start tag, and its place; None where the piece is not plain.

        Nothing of it may be used before a parser has found the same bytes well-formed.
        """
        quotes = np.flatnonzero(np.frombuffer(piece, np.uint8) == _QUOTE)
        count = len(quotes) // 2
        bounds = np.zeros(2 * count + 1, np.int32)
        bounds[1:] = quotes[: 2 * count]
        bounds[1::2] += 1
        buffers = [None, pa.py_buffer(bounds), pa.py_buffer(piece)]
        gaps = pa.Array.from_buffers(pa.binary(), 2 * count, buffers).take(_every_second(0, count)).dictionary_encode()
        known = [self._gap(text) for text in gaps.dictionary.to_pylist()]
        if not known or None in known or len(self._known) > _MOST_GAPS:
            return None
        element, field_of, ended, lead = np.array(known, np.int64).T
        codes = gaps.indices.to_numpy()
        starts = np.flatnonzero((element >= 0)[codes])
        if len(starts) < 2 or starts[0]:
            return None
        last, begins = int(starts[-1]), codes[starts]
        values = pa.Array.from_buffers(pa.string(), 2 * count, buffers).take(_every_second(1, last))
        if not _is_plain(values):
            return None
        depths = np.cumsum(1 - ended[begins])
        run = Run(
            kinds=element[begins[:-1]],
            depths=depths[:-1],
            counts=np.diff(starts),
            fields=field_of[codes[:last]],
            values=values,
            depth=int(depths[-1]) - 1,
        )
        return run, int(bounds[2 * last + 1] - lead[codes[last]])

    def _gap(self, text: bytes) -> _Gap | None:
        """Read a gap, once a file."""
        if text not in self._known:
            self._known[text] = self._read(text)
        return self._known[text]

    def _read(self, text: bytes) -> _Gap | None:
        found = None if len(text) > _LONGEST_GAP else _GAP.fullmatch(text)
        if found is None:
            return None
        field_number = self.words.fields.get(_name(found["field"]))
        element = -1 if found["element"] is None else self.words.elements.get(_name(found["element"]))
        if field_number is None or element is None:
            return None
        ends = len(found["alone"] or b"") + (found["ends"] or b"").count(b"</")
        return _Gap(element, field_number, ends, len(text) - found.start("element") + 1)


def _every_second(first: int, count: int) -> pa.Array:
    return pa.array(np.arange(first, 2 * count, 2, dtype=np.int32))


def _is_plain(values: pa.StringArray) -> bool:
    """Tell whether values stand for themselves: no reference, and no white space that a parser makes a space."""
    text = np.frombuffer(values.buffers()[2] or b"", np.uint8)
    return not ((text < _SPACE) | (text == _AMPERSAND)).any()


def _name(text: bytes) -> str:
    return text.decode("utf-8", errors="replace")
