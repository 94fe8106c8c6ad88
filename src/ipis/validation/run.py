"""Run the rules of a collection year over a delivery's tables: every record type in one scan, whoever asks.

The same at the municipality (M) and at SSB (S): ids are compared for equality only, identity fields are never seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel.identifiers import FIELD_OF_REASON, RULE_OF_REASON
from ipis.kernel.layout import Kind as FieldKind
from ipis.validation import compile as sql
from ipis.validation import rulebook, world
from ipis.validation.catalogue import Kind
from ipis.validation.engines.duckdb import DuckDB, ScanFailed
from ipis.validation.findings import FINDINGS, Findings, Report, Verdict
from ipis.validation.relations import Relations

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from numpy.typing import NDArray

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import Field
    from ipis.validation.catalogue import Rule
    from ipis.validation.rulebook import CompiledRule, Rulebook

REASONS = {sql.MISSING: "missing_value", sql.INVALID: "invalid_value"}
ELSEWHERE, ENGINE = "runs_elsewhere", "engine_failure"
_SOURCES = {"header": "no_header", "last_year": "no_last_year", "nation": "no_nation"}


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one rule reads out of a column of small numbers: the verdict that each stands for, where findings point."""

    rule: str
    record: str
    field: str
    verdicts: tuple[int, ...] = (sql.OUTSIDE, sql.OK, sql.BREACH, sql.MISSING, sql.INVALID)


@dataclass(frozen=True, slots=True)
class _Column:
    """The SQL of one condition of a rule: its verdict, and what its message shows."""

    text: str
    reading: _Reading
    shows: tuple[str, ...] = ()


def run(
    collection: Collection,
    tables: Mapping[str, pa.Table],
    *,
    at: str,
    last_year: Mapping[str, pa.Table] | None = None,
    nation: Mapping[str, pa.Table] | None = None,
    header: Mapping[str, str | None] | None = None,
    only: Container[str] | None = None,
) -> Report:
    """Judge a delivery by every rule that runs at `at` ("M" or "S").

    `tables` are those of `kernel.extract`, or SSB's, without identity fields; `last_year` the same of the year before;
    `header` the extract's own header as text. What is not handed in makes the rules that need it not assessed.
    `only` some rules: those of these numbers (to try one, or to judge its examples).
    """
    whole = rulebook.of(collection)
    book = whole if only is None else whole.only(only)
    with DuckDB() as engine:
        values = world.header_values(collection, header)
        relations = Relations(engine, collection, book.resolver, values)
        absent = {
            key for key, given in (("header", header), ("last_year", last_year), ("nation", nation)) if given is None
        }
        runner = _Runner(book, relations, at, absent, local_keys=_local_keys(tables))
        relations.add_records(tables)
        if last_year is not None:
            relations.add_records(last_year, year_back=True)
        runner.prepare()
        return runner.report()


def _local_keys(tables: Mapping[str, pa.Table]) -> bool:
    """Tell whether ids are SSB's local keys: then they have no form to judge."""
    person = tables.get("person")
    return person is not None and "brukerNr" in person.column_names and pa.types.is_integer(person["brukerNr"].type)


class _Runner:
    def __init__(self, book: Rulebook, relations: Relations, at: str, absent: set[str], *, local_keys: bool) -> None:
        self.book, self.relations, self.at, self.absent, self.local_keys = book, relations, at, absent, local_keys
        self.verdicts: dict[str, Verdict] = {}
        self.found: list[pa.Table] = []
        self.culprits: dict[str, str] = {}
        self.active: list[CompiledRule] = []

    def prepare(self) -> None:
        """Choose the rules that can run, and derive what they need."""
        self.active = [made for made in self.book.compiled if self._reason_against(made) is None]
        names = [(made.rule.over, column.name) for made in self.active for column in made.names() if not column.table]
        needed = self.book.resolver.closure(names)
        wanted = [derived for identity, derived in self.book.resolver.done.items() if identity in needed]
        self.relations.add_codes(wanted)
        over = {made.rule.over for made in self.book.compiled} & self.book.resolver.world.tables.keys()
        self.relations.add_derived_tables(over)
        self.relations.derive(wanted)

    def _reason_against(self, made: CompiledRule) -> str | None:
        if self.at not in made.rule.runs_at:
            return ELSEWHERE
        return next((_SOURCES[source] for source in sorted(made.sources & self.absent)), None)

    def report(self) -> Report:
        """Scan every relation once, judge the identity reasons, and put the answer together."""
        scans: dict[str, list[_Column]] = {}
        self._judge_layout()
        for column, over in self._expression_columns():
            scans.setdefault(over, []).append(column)
        for over, columns in scans.items():
            self._scan(over, columns)
        self._judge_identities()
        for rule in self.book.rules.values():
            if rule.id not in self.verdicts and rule.kind is not Kind.CODE and (rule.over or rule.record):
                against = (self._reason_against(made) for made in self.book.compiled if made.rule is rule)
                self._not_assessed(rule, next(filter(None, against), ELSEWHERE))
        tables = [FINDINGS.empty_table(), *self.found]
        findings = pa.concat_tables(tables).sort_by(
            [("rule", "ascending"), ("record", "ascending"), ("row", "ascending")]
        )
        return Report(Findings(findings, self.book.texts), dict(sorted(self.verdicts.items())), self.culprits)

    def _judge_layout(self) -> None:
        """Read the layout's rules off the states of the fields, which every other rule depends on as well."""
        for predicate in self.book.predicates:
            if self.at in self.book.rules[predicate.rule].runs_at:
                record, name = predicate.record, predicate.field.name
                verdicts = predicate.verdicts(local_keys=self.local_keys)
                reading = _Reading(predicate.rule, record, name, verdicts)
                rows = np.asarray(self.relations.tables[record]["_row"])
                self._read(reading, self.relations.states[record][name], rows, [])

    def _expression_columns(self) -> Iterable[tuple[_Column, str]]:
        scope = sql.Scope(self.relations.header)
        for made in self.active:
            rule = made.rule
            failed = [name for owner, name in self.relations.failed if owner == rule.over]
            broken = [column.name for column in made.names() if column.name in failed]
            if broken:
                self.culprits[rule.id] = f"{rule.over}.{broken[0]}"
                self._not_assessed(rule, ENGINE)
                continue
            shows = tuple(scope.column(column) for column in made.shows)
            verdict = sql.verdict(made.where, made.require, scope)
            yield (
                _Column(verdict, _Reading(rule.id, rule.record, made.field), shows),
                self.relations.names[rule.over],
            )

    def _scan(self, over: str, columns: list[_Column]) -> None:
        try:
            answer = self.relations.engine.query(_statement(over, columns))
        except ScanFailed as error:
            if len(columns) > 1:
                # One rule must not spoil the others: run them one by one, and name the culprit.
                for column in columns:
                    self._scan(over, [column])
                return
            culprit = columns[0].reading.rule
            self.culprits[culprit] = type(error).__name__
            self._not_assessed(self.book.rules[culprit], ENGINE)
            return
        rows = np.asarray(answer["_row"])
        for place, column in enumerate(columns):
            shown = [answer[f"v{place}s{number}"] for number in range(len(column.shows))]
            self._read(column.reading, np.asarray(answer[f"v{place}"]), rows, shown)

    def _read(
        self, reading: _Reading, found: NDArray[np.int8], rows: NDArray[np.int32], shown: list[pa.ChunkedArray]
    ) -> None:
        """Count the verdicts of a column and turn its breaches into findings."""
        counts = [int(np.count_nonzero(found == value)) for value in range(5)]
        self._count(reading, counts)
        hit = [value for value, verdict in enumerate(reading.verdicts) if verdict == sql.BREACH and counts[value]]
        if hit:
            self.found.append(self._findings(reading, rows, np.flatnonzero(np.isin(found, hit)), shown))

    def _count(self, reading: _Reading, counts: list[int]) -> None:
        by_verdict = [0] * 5
        for verdict, count in zip(reading.verdicts, counts, strict=True):
            by_verdict[verdict] += count
        outside, ok, breach, missing, invalid = by_verdict
        counted = {sql.MISSING: missing, sql.INVALID: invalid}
        reasons = {REASONS[code]: count for code, count in counted.items() if count}
        made = Verdict(ok, breach, missing + invalid, outside, reasons)
        self.verdicts[reading.rule] = self.verdicts[reading.rule] + made if reading.rule in self.verdicts else made

    def _findings(
        self, reading: _Reading, rows: NDArray[np.int32], breaches: NDArray[np.intp], shown: list[pa.ChunkedArray]
    ) -> pa.Table:
        count, rule = len(breaches), self.book.rules[reading.rule]
        over_records = (rule.over or reading.record) in self.relations.collection.layout.records
        hit = rows[breaches]
        value = self._values(reading, hit) if over_records else self._code_of(rule, hit)
        chosen = [as_text(each.combine_chunks().take(pa.array(breaches))) for each in shown]
        return _finding_table(
            reading.rule,
            reading.record,
            reading.field,
            pa.array(hit, pa.int32()) if over_records else pa.nulls(count, pa.int32()),
            value,
            _lists(chosen, count),
        )

    def _values(self, reading: _Reading, hit: NDArray[np.int32]) -> pa.Array:
        """Give the values as they stood; an id is the municipality's own business and is shown beside."""
        field = self._field(reading)
        table = self.relations.tables[reading.record]
        if field is None or field.identity or field.kind is FieldKind.ID or field.name not in table.column_names:
            return pa.nulls(len(hit), pa.string())
        places = pa.array(_places(np.asarray(table["_row"]), hit))
        value = as_text(table[field.name].combine_chunks().take(places))
        raw = f"{field.name}__raw"
        return pc.coalesce(value, table[raw].combine_chunks().take(places)) if raw in table.column_names else value

    def _code_of(self, rule: Rule, hit: NDArray[np.int32]) -> pa.Array:
        table = self.book.resolver.world.tables[rule.over]
        if not table.codes:
            return pa.nulls(len(hit), pa.string())
        return self.relations.tables[rule.over][table.shown_as].combine_chunks().take(pa.array(hit))

    def _field(self, reading: _Reading) -> Field | None:
        return self.relations.collection.layout.records[reading.record].fields.get(reading.field)

    def _judge_identities(self) -> None:
        """Read the number rules off the reason code: the number itself is seen by the municipality and TPF only."""
        person = self.relations.tables["person"]
        for rule in self.book.rules.values():
            if rule.kind is not Kind.IDENTITY or self.at not in rule.runs_at:
                continue
            if "id_reason" not in person.column_names:
                self._not_assessed(rule, "no_identity")
                continue
            codes = person["id_reason"].combine_chunks().cast(pa.string())
            breached = {reason for reason, rules in RULE_OF_REASON.items() if rule.id in rules}
            for name in sorted({FIELD_OF_REASON[reason] for reason in breached}):
                reasons = [reason.text for reason in breached if FIELD_OF_REASON[reason] == name]
                hit = np.asarray(person["_row"].combine_chunks().filter(pc.is_in(codes, pa.array(reasons))))
                shown = _lists([], len(hit))
                nothing = pa.nulls(len(hit), pa.string())
                self.found.append(_finding_table(rule.id, "person", name, pa.array(hit, pa.int32()), nothing, shown))
            everything = pa.array([reason.text for reason in breached], pa.string())
            breach = int(pc.sum(pc.is_in(codes, everything)).as_py() or 0)
            reasons_given = {"no_identity": codes.null_count} if codes.null_count else {}
            ok = len(codes) - breach - codes.null_count
            self.verdicts[rule.id] = Verdict(ok, breach, codes.null_count, 0, reasons_given)

    def _not_assessed(self, rule: Rule, reason: str) -> None:
        name = rule.over or rule.record
        count = self.relations.tables[name].num_rows if name in self.relations.tables else 1
        self.verdicts[rule.id] = Verdict(0, 0, count, 0, {reason: count} if count else {})


def _statement(over: str, columns: list[_Column]) -> str:
    written = [f"{column.text} AS v{place}" for place, column in enumerate(columns)]
    for place, column in enumerate(columns):
        written += [f"{text} AS v{place}s{number}" for number, text in enumerate(column.shows)]
    return f"SELECT _row, {', '.join(written)} FROM {over}"


def _finding_table(rule: str, record: str, field: str, row: pa.Array, value: pa.Array, shown: pa.Array) -> pa.Table:
    count = len(row)
    same = (pa.repeat(pa.scalar(text, pa.string()), count) for text in (rule, record))
    columns = [*same, row, pa.repeat(pa.scalar(field, pa.string()), count), value, shown]
    return pa.Table.from_arrays(columns, schema=FINDINGS)


def _lists(columns: list[pa.Array], count: int) -> pa.Array:
    """Turn columns into one column of lists, row by row."""
    width = len(columns)
    if not width:
        return pa.nulls(count, FINDINGS.field("shown").type)
    flat = pa.concat_arrays(columns).take(pa.array(np.arange(width * count).reshape(width, count).T.ravel()))
    return pa.ListArray.from_arrays(pa.array(np.arange(count + 1, dtype=np.int32) * width), flat)


def as_text(values: pa.Array) -> pa.Array:
    """Write values as text: days by ISO, numbers without needless decimals."""
    if pa.types.is_boolean(values.type):
        return values.cast(pa.string())
    if pa.types.is_floating(values.type):
        return pc.replace_substring_regex(pc.round(values, 1).cast(pa.string()), r"\.0$", "")
    if pa.types.is_decimal(values.type):
        return pc.replace_substring_regex(values.cast(pa.string()), r"\.?0+$", "")
    return values.cast(pa.string())


def _places(rows: NDArray[np.int32], hit: NDArray[np.int32]) -> NDArray[np.intp]:
    """Find at which place of the table each `_row` stands."""
    if len(rows) and rows[0] == 0 and rows[-1] == len(rows) - 1 and bool(np.all(np.diff(rows) == 1)):
        return hit.astype(np.intp)
    order = np.argsort(rows, kind="stable")
    return order[np.searchsorted(rows, hit, sorter=order)]
