"""What expat tells of an XML extract, event by event: for all that is not plain enough to be cut (`extract_cut`).

Flat lists, so that the handlers of ends and text are the lists' own methods (no Python frame for either) and the list
of each start's attributes is let go at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import compress, repeat
from typing import cast
from xml.parsers import expat

import numpy as np
import pyarrow as pa

from ipis.kernel.extract_batch import Run, Words


@dataclass(slots=True)
class Events:
    """What has been told since the last run: starts and ends in order, names and attributes of the starts, text."""

    order: list[int | str] = field(default_factory=list)
    """For a start the length of its attributes, for an end the element's name."""
    names: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    """[name, value, …] of all starts, one after the other."""
    text: list[str] = field(default_factory=list)
    marked_at: int = 0
    """The byte at which the last element of the marked name starts."""

    def listen(self, parser: expat.XMLParserType, marked: str) -> None:
        """Let a parser tell from here on; `marked` is the element whose place is noted."""
        name_it, count_it, keep = self.names.append, self.order.append, self.attributes.extend

        def start(name: str, attributes: list[str]) -> None:
            name_it(name)
            count_it(len(attributes))
            keep(attributes)
            if name == marked:
                self.marked_at = parser.CurrentByteIndex

        # With ordered_attributes the handler gets a list, which typeshed does not know.
        parser.StartElementHandler = cast("Callable[[str, dict[str, str]], None]", start)
        parser.EndElementHandler = self.order.append
        parser.CharacterDataHandler = self.text.append

    def run(self, words: Words) -> Run:
        """Give what has been told as a run of records, and begin anew."""
        is_start = np.fromiter(map(isinstance, self.order, repeat(int)), np.bool_, len(self.order))
        depths = np.cumsum(np.where(is_start, 1, -1))
        sizes = np.fromiter(compress(self.order, is_start.tolist()), np.int64, len(self.names))
        of_fields = self.attributes[::2]
        run = Run(
            kinds=np.fromiter(map(words.elements.get, self.names, repeat(-1)), np.int64, len(self.names)),
            depths=depths[is_start],
            counts=sizes // 2,
            fields=np.fromiter(map(words.fields.get, of_fields, repeat(-1)), np.int64, len(of_fields)),
            values=pa.array(self.attributes[1::2], pa.string()),
            depth=int(depths[-1]) if len(depths) else 0,
            names=(self.names.copy(), of_fields),
        )
        for told in (self.order, self.names, self.attributes):
            told.clear()
        return run


def deafen(parser: expat.XMLParserType) -> None:
    """Let a parser judge only."""
    parser.StartElementHandler = parser.EndElementHandler = parser.CharacterDataHandler = None
