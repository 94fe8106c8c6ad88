"""The findings to come, collected in whole columns, and faults.csv, which lists them in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from ipis.synth.faults.plot import Finding

_SCHEMA = pa.schema([(name, pa.string()) for name in Finding._fields])


@dataclass(slots=True)
class Listed:
    """Findings of one extract: single ones, and columns of them."""

    single: list[Finding] = field(default_factory=list)
    columns: list[pa.Table] = field(default_factory=list)

    def add(self, rule: str, record: str, user: pa.Array, row: pa.Array | None, name: str) -> None:
        """Add a finding for each user number and row key (none: the record has no key of its own)."""
        count = len(user)
        if not count:
            return
        constant = {"rule": rule, "record": record, "field": name}
        arrays = {each: pa.repeat(pa.scalar(text), count) for each, text in constant.items()}
        arrays |= {"brukerNr": user, "id": pa.repeat(pa.scalar(""), count) if row is None else row}
        self.columns.append(pa.table([arrays[each] for each in _SCHEMA.names], schema=_SCHEMA))

    def table(self) -> pa.Table:
        """Give all findings, in the order of their columns."""
        single = pa.Table.from_pylist([finding._asdict() for finding in self.single], schema=_SCHEMA)
        return pa.concat_tables([single, *self.columns]).sort_by([(name, "ascending") for name in _SCHEMA.names])

    def __len__(self) -> int:
        columns: int = sum(part.num_rows for part in self.columns)
        return len(self.single) + columns


def write(listed: Listed, path: Path) -> None:
    """Write faults.csv: rule, record, brukerNr, id, field."""
    options = pa_csv.WriteOptions(include_header=False, quoting_style="none")
    with path.open("wb") as file:
        file.write((",".join(_SCHEMA.names) + "\n").encode())
        pa_csv.write_csv(listed.table(), file, options)
