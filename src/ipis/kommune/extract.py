"""The clear extract inside the municipality: read, judged by its season pack, identities apart from everything else.

From here on nothing but `seal` sees an identity number: validation gets what the numbers tell, never the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ipis.kernel.extract import Extract, read
from ipis.kommune.sealing import header_of, judge_identities, refuse_identity_numbers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ipis.kernel.header import Header
    from ipis.kernel.identifiers import Identities, Judgement
    from ipis.kernel.seasonpack import SeasonPack

PERSON = "person"


@dataclass(frozen=True, slots=True, repr=False)
class ClearExtract:
    """An extract that fits its season: header, the tables as read, and the identities with their judgement."""

    header: Header
    extract: Extract
    identities: Identities
    judgement: Judgement

    def tables(self, year: int) -> dict[str, pa.Table]:
        """Give the tables as validation sees them: no identity field, and what the numbers tell supplied."""
        person = self.extract.tables[PERSON].drop_columns(["fid", "typeID"])
        for name, column in supplied(self.judgement, year).items():
            person = person.append_column(name, column)
        return {**self.extract.tables, PERSON: person}


def open_extract(path: Path, season: SeasonPack, progress: Callable[[int, int], None] | None = None) -> ClearExtract:
    """Read an extract and refuse whole what may not be sent: another year, a real number to a demo key, a leak."""
    layout = season.collection.layout
    extract = read(path, layout, progress=progress, judge=lambda written: header_of(written, season))
    header = header_of(extract.header, season)
    identities, judgement = judge_identities(extract, season)
    refuse_identity_numbers(extract, layout)
    return ClearExtract(header, extract, identities, judgement)


def supplied(judgement: Judgement, year: int) -> dict[str, pa.Array]:
    """Give the columns that the chain adds to persons before validation, the same here and at SSB."""
    columns = judgement.columns()
    born = judgement.foedselsaar
    age = pa.array((year - born).astype(np.int16), mask=born == 0)
    return {**columns, "alder": age}
