"""Findings as a person is told them: problem by problem, with the municipality's own keys and a message.

The weightiest problem comes first, its main finding first; what follows from it stands beneath.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.validation import problems, rulebook
from ipis.validation.catalogue import Effect, Level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import Layout, RecordType
    from ipis.kommune.precheck import Checked


@dataclass(frozen=True, slots=True)
class Group:
    """Problems that are met in one way: told by the rule of their main findings, with what follows from them."""

    rule: str
    level: Level
    effect: Effect
    expected: str
    do: str
    rows: tuple[Mapping[str, Any], ...]

    @property
    def count(self) -> int:
        """Count the findings."""
        return len(self.rows)

    @property
    def problems(self) -> int:
        """Count the problems."""
        return len({row["problem"] for row in self.rows})

    @property
    def mains(self) -> tuple[Mapping[str, Any], ...]:
        """Give the findings of the rule itself, without what follows from them."""
        return tuple(row for row in self.rows if row["rule"] == self.rule)

    @property
    def also(self) -> dict[str, int]:
        """Count by rule the findings that follow, and go away when the problem is mended."""
        return dict(Counter(row["rule"] for row in self.rows if row["rule"] != self.rule))

    def any(self, column: str) -> bool:
        """Tell whether any of the findings has a value in a column."""
        return any(row[column] for row in self.rows)

    def about(self, layout: Layout, language: str) -> str:
        """Name the first two fields that the findings are about, each with its record type, without any value."""
        named = dict.fromkeys((row["record"], row["field"]) for row in self.mains)
        labels = []
        for record, field in list(named)[:2]:
            known = layout.records.get(record, layout.header)
            own = known.label[language]
            labels.append(f"{own}: {known.fields[field].label[language]}" if field else own)
        return " · ".join(labels) + (" …" if len(named) > 2 else "")

    @property
    def found(self) -> str:
        """Give the one sentence that holds for all main findings, or nothing where each has its own."""
        sentences = {row["found"] for row in self.mains}
        return sentences.pop() if len(sentences) == 1 else ""


@dataclass(frozen=True, slots=True)
class Told:
    """Findings in the order in which they are read: the weightiest problem first, its main finding first."""

    table: pa.Table
    language: str

    def groups(self) -> list[Group]:
        """Put together problems that are met in one way: the same rule, expectation and remedy of the main finding."""
        grouped: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        kinds: dict[int, tuple[str, str, str]] = {}
        for row in self.table.to_pylist():
            kind = kinds.setdefault(row["problem"], (row["rule"], row["expected"], row["do"]))
            grouped.setdefault(kind, []).append(row)
        return [
            Group(rule, Level(rows[0]["level"]), Effect(rows[0]["effect"]), expected, do, tuple(rows))
            for (rule, expected, do), rows in grouped.items()
        ]


def told(checked: Checked, collection: Collection, language: str) -> Told:
    """Join the findings with the rules' entries, the municipality's own keys and messages in a language."""
    findings = checked.report.findings
    rules = rulebook.of(collection).rules
    table = findings.table
    names = table["rule"].to_pylist()
    found, expected, do = findings.parts(language)
    bruker, ids = _keys(table, checked.tables, collection.layout.records)
    columns: dict[str, Any] = {
        "rule": table["rule"],
        "level": pa.array([rules[name].level.value for name in names], pa.string()),
        "effect": pa.array([rules[name].effect.value for name in names], pa.string()),
        "record": table["record"],
        "row": table["row"],
        "brukerNr": bruker,
        "id": ids,
        "field": table["field"],
        "value": table["value"],
        "found": found,
        "expected": expected,
        "do": do,
        "message": pc.binary_join_element_wise(found, expected, do, " "),
    }
    written = pa.table(columns)
    keyed = written
    for name in ("brukerNr", "id"):
        keyed = keyed.set_column(keyed.column_names.index(name), name, pc.fill_null(keyed[name], ""))
    numbered = problems.number(keyed, {name: (rule.problem.name, rule.problem.by) for name, rule in rules.items()})
    ordered = written.take(pa.array(numbered.order)).append_column("problem", pa.array(numbered.problem))
    return Told(ordered, language)


def _keys(
    findings: pa.Table, tables: Mapping[str, pa.Table], records: Mapping[str, RecordType]
) -> tuple[pa.Array, pa.Array]:
    """Give brukerNr and the record's own id of each finding, as text; null for what has none."""
    count = findings.num_rows
    bruker, ids = (np.full(count, None, dtype=object) for _ in range(2))
    named = np.asarray(findings["record"].combine_chunks())
    rows = findings["row"].combine_chunks()
    for name, record in records.items():
        mine = np.flatnonzero((named == name) & np.asarray(pc.is_valid(rows)))
        if len(mine):
            places = rows.take(pa.array(mine))
            bruker[mine] = _texts(tables[name], "brukerNr", places)
            ids[mine] = _texts(tables[name], record.id_field, places) if record.id_field else None
    return pa.array(bruker, pa.string()), pa.array(ids, pa.string())


def _texts(table: pa.Table, name: str, places: pa.Array) -> list[str | None]:
    """Give a key as text; one that did not parse is no key, here as at SSB."""
    found: list[str | None] = table[name].combine_chunks().take(places).cast(pa.string()).to_pylist()
    return found
