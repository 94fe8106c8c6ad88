"""What `ipis validate` answers: verdicts by rule, and findings with the layout's keys, the values and the message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.validation import rulebook
from ipis.validation.catalogue import Level, Rule
from ipis.validation.findings import Findings, Report, Verdict
from ipis.validation.run import run

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from ipis.kernel.collection import Collection
    from ipis.validation.author.tables import Tables

DUCKDB = "duckdb"
ELSEWHERE = "runs_elsewhere"
_MUNICIPALITY, _SSB = "M", "S"


@dataclass(frozen=True, slots=True)
class Answer:
    """The report of a run over an author's tables, and what is needed to show it."""

    collection: Collection
    data: Tables
    report: Report

    @property
    def exit_code(self) -> int:
        """Give the exit code: 0 nothing to correct, 1 findings of level feil, 2 a finding of level kritisk."""
        counts = self.report.findings.count_by_level()
        return 2 if counts[Level.KRITISK] else 1 if counts[Level.FEIL] else 0

    def as_object(self, language: str) -> dict[str, Any]:
        """Give the answer as one JSON object (docs/handbook/regler.md)."""
        return {
            "year": self.collection.year,
            "missing_tables": list(self.data.missing),
            "missing_columns": {record: list(names) for record, names in self.data.missing_columns.items()},
            "rules": self.rules(),
            "findings": list(self.findings(language)),
        }

    def rules(self) -> dict[str, dict[str, Any]]:
        """Give the verdicts of every rule of the year; one that is code elsewhere is not assessed here."""
        counted = self.report.verdicts
        nothing = {"ok": 0, "breach": 0, "not_assessed": 1, "reasons": {ELSEWHERE: 1}}
        return {
            number: {
                "ok": counted[number].ok,
                "breach": counted[number].breach,
                "not_assessed": counted[number].not_assessed,
                "reasons": dict(sorted(counted[number].reasons.items())),
            }
            if number in counted
            else dict(nothing)
            for number in sorted(rulebook.of(self.collection).rules)
        }

    def findings(self, language: str) -> Iterator[dict[str, Any]]:
        """Give the findings in order of rule and row; `values` are those of `fields`, in the same order."""
        findings = self.report.findings
        table, rules = findings.table, findings.texts.rules
        messages = findings.messages(language).to_pylist()
        keys = keys_of(table, self.data.tables, self.collection)
        for row, key, message in zip(table.to_pylist(), keys, messages, strict=True):
            fields, values = _named(row, rules[row["rule"]])
            yield {
                "rule": row["rule"],
                "record": row["record"],
                "key": key,
                "fields": fields,
                "values": values,
                "message": message,
            }


def judge(
    collection: Collection,
    data: Tables,
    *,
    last_year: Tables | None = None,
    engine: str = DUCKDB,
    only: Container[str] | None = None,
) -> Answer:
    """Judge tables by every rule: as the municipality would, and as SSB where a rule runs there alone."""
    book = rulebook.of(collection)
    past = None if last_year is None else last_year.tables
    sides = {number: _side(rule) for number, rule in book.rules.items() if only is None or number in only}
    reports = [
        run(
            collection,
            data.tables,
            at=at,
            header=data.header,
            last_year=past,
            only=frozenset(number for number, side in sides.items() if side == at),
            engine=engine,
        )
        for at in (_MUNICIPALITY, _SSB)
        if at in sides.values()
    ]
    return Answer(collection, data, _merged(reports, book.texts))


def _side(rule: Rule) -> str:
    """Say at which party an author sees a rule run: as its examples do."""
    return _SSB if _SSB in rule.runs_at and _MUNICIPALITY not in rule.runs_at else _MUNICIPALITY


def _merged(reports: list[Report], texts: Any) -> Report:
    if len(reports) == 1:
        return reports[0]
    verdicts: dict[str, Verdict] = {}
    culprits: dict[str, str] = {}
    for report in reports:
        verdicts |= dict(report.verdicts)
        culprits |= dict(report.culprits)
    found = pa.concat_tables([report.findings.table for report in reports])
    found = found.sort_by([("rule", "ascending"), ("record", "ascending"), ("row", "ascending")])
    return Report(Findings(found, texts), dict(sorted(verdicts.items())), culprits)


def keys_of(findings: pa.Table, tables: Mapping[str, pa.Table], collection: Collection) -> list[dict[str, str | None]]:
    """Give the layout's key columns of each finding's record; empty where it is about the whole delivery."""
    keys: list[dict[str, str | None]] = [{} for _ in range(findings.num_rows)]
    records = np.asarray(findings["record"].to_pylist(), dtype=object)
    rows = findings["row"].to_pylist()
    for name, record in collection.layout.records.items():
        table = tables.get(name)
        if table is None:
            continue
        places = [int(place) for place in np.flatnonzero(records == name) if rows[place] is not None]
        wanted = _places(table, pa.array([rows[place] for place in places], pa.int64()))
        for column in record.key_fields:
            shown = _texts(table, column, wanted)
            for place, value in zip(places, shown, strict=True):
                keys[place][column] = value
    return keys


def _places(table: pa.Table, rows: pa.Array) -> pa.Array:
    """Find at which place of the table each `_row` stands; a table without the column is in order."""
    return pc.index_in(rows, value_set=table["_row"].cast(pa.int64())) if "_row" in table.column_names else rows


def _texts(table: pa.Table, name: str, places: pa.Array) -> list[str | None]:
    """Give a key as text, as it stood: what did not parse is shown as written."""
    if name not in table.column_names:
        return [None] * len(places)
    texts = table[name].combine_chunks().take(places).cast(pa.string())
    raw = f"{name}__raw"
    if raw in table.column_names:
        texts = pc.coalesce(texts, table[raw].combine_chunks().take(places))
    found: list[str | None] = texts.to_pylist()
    return found


def _named(row: Mapping[str, Any], rule: Rule) -> tuple[list[str], list[str | None]]:
    """Give the field to correct and those that the message shows, each once, with their values."""
    named: dict[str, str | None] = {row["field"]: row["value"]} if row["field"] else {}
    for name, value in zip(rule.shows, row["shown"] or (), strict=False):
        named.setdefault(name.rpartition(".")[2], value)
    return list(named), list(named.values())
