"""Run the rules of a collection year over deliveries' tables: every record type in one scan, whoever asks.

The same at the municipality (M) and at SSB (S): ids are compared for equality only, identity fields are never seen.
Many deliveries are judged in one go, and each as if it were alone.
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
from ipis.validation.content import Content, rows_of
from ipis.validation.declared import PERSON
from ipis.validation.engines import FEW_ROWS, ScanFailed, engine_named
from ipis.validation.findings import Findings, Report
from ipis.validation.relations import Relations
from ipis.validation.tally import NO_IDENTITY, Reading, Tally, as_text, judged, known, taken

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ipis.kernel.collection import Collection
    from ipis.validation.catalogue import Rule
    from ipis.validation.rulebook import CompiledRule, Rulebook

__all__ = ["Content", "as_text", "run", "run_many"]

ELSEWHERE, ENGINE = "runs_elsewhere", "engine_failure"
_REASONS = {
    "header": "no_header",
    "last_year": "no_last_year",
    "nation": "no_nation",
    "register": "no_register",
    "list": "no_list",
}
"""Why a rule is not assessed that needs an outer thing, by the first word of the thing's name."""


@dataclass(frozen=True, slots=True)
class _Column:
    """The SQL of one condition of a rule: when it applies, and what it requires."""

    made: CompiledRule
    where: str
    require: str

    @property
    def reading(self) -> Reading:
        """Give where its findings point."""
        return Reading(self.made.rule.id, self.made.rule.record, self.made.field)


def run(  # noqa: PLR0913 -- each is a thing of its own that a party has or lacks
    collection: Collection,
    tables: Mapping[str, pa.Table],
    *,
    at: str,
    last_year: Mapping[str, pa.Table] | None = None,
    nation: Mapping[str, pa.Table] | None = None,
    header: Mapping[str, str | None] | None = None,
    only: Container[str] | None = None,
    engine: str = "duckdb",
) -> Report:
    """Judge a delivery by every rule that runs at `at` ("M" or "S").

    `tables` are those of `kernel.extract`, or SSB's, without identity fields; `last_year` the same of the year before;
    `header` the extract's own header as text; `nation` the tables that the layout declares. What is not handed in makes
    the rules that need it not assessed. `only` some rules: those of these numbers (to try one, or its examples).
    """
    content = Content(tables, header, last_year)
    return run_many(collection, [content], at=at, nation=nation, only=only, engine=engine)[0]


def run_many(
    collection: Collection,
    contents: Sequence[Content],
    *,
    at: str,
    nation: Mapping[str, pa.Table] | None = None,
    only: Container[str] | None = None,
    engine: str = "duckdb",
) -> list[Report]:
    """Judge many deliveries in one go; the reports are those of `run` for each, in the same order."""
    whole = rulebook.of(collection)
    book = whole if only is None else whole.only(only)
    reports: dict[int, Report] = {}
    for places in _alike(contents, collection):
        group = [contents[place] for place in places]
        judged = _judge(book, collection, group, at, nation, engine)
        if len(group) > 1 and judged[0].culprits:
            # What one delivery makes fail must not be told of another.
            judged = [_judge(book, collection, [content], at, nation, engine)[0] for content in group]
        reports |= dict(zip(places, judged, strict=True))
    return [reports[place] for place in range(len(contents))]


def _alike(contents: Sequence[Content], collection: Collection) -> Iterator[list[int]]:
    """Put deliveries together that were handed in with the same things beside their rows."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, content in enumerate(contents):
        given = (content.header is None, content.last_year is None, _local_keys(content.tables, collection))
        groups.setdefault((*given, frozenset(_unsupplied(content, collection))), []).append(place)
    yield from groups.values()


def _local_keys(tables: Mapping[str, pa.Table], collection: Collection) -> bool:
    """Tell whether ids are SSB's local keys: then they have no form to judge."""
    return any(
        pa.types.is_integer(table[field.name].type)
        for name, table in tables.items()
        if name in collection.layout.records
        for field in collection.layout.records[name].fields.values()
        if field.kind is FieldKind.ID and field.name in table.column_names
    )


def _unsupplied(content: Content, collection: Collection) -> Iterator[str]:
    """List the columns of the register that were not handed in."""
    for name, record in collection.layout.records.items():
        table = content.tables.get(name)
        for column, supplied in record.supplied.items():
            if supplied.source and (table is None or column not in table.column_names):
                yield world.register_source(name, column)


def _judge(
    book: Rulebook,
    collection: Collection,
    group: Sequence[Content],
    at: str,
    nation: Mapping[str, pa.Table] | None,
    engine: str,
) -> list[Report]:
    """Judge deliveries that are alike in what was handed in."""
    absent = set(_unsupplied(group[0], collection))
    absent |= {"header"} if group[0].header is None else set()
    absent |= {"last_year"} if group[0].last_year is None else set()
    absent |= {f"nation:{name}" for name in collection.layout.nation if name not in (nation or {})}
    absent |= {f"list:{name}" for name in collection.layout.codes if name not in collection.codes}
    active = [made for made in book.compiled if _reason_against(made, at, absent) is None]
    needed = {(made.rule.over, name) for made in active for name in made.needs}
    # The rows of a relation are counted even where its rules cannot be assessed.
    needed |= {(made.rule.over, "") for made in book.compiled}
    rows = rows_of(group)
    # Some rules alone are tried once; all of them are run again and again, and where rows are few, planned once.
    kind = (book.digest, at, frozenset(absent)) if book.digest and rows <= FEW_ROWS else None
    with engine_named(engine, rows, kind) as opened:
        closure = book.resolver.closure(needed)
        fields = frozenset((made.record, made.field.name) for made in book.predicates)
        relations = Relations(opened, collection, book.resolver, closure, general=book.note_run(kind), judged=fields)
        relations.prepare(group, nation)
        runner = _Runner(book, relations, at, _local_keys(group[0].tables, collection), Tally(len(group)), {})
        return runner.reports(active, absent)


def _reason_against(made: CompiledRule, at: str, absent: set[str]) -> str | None:
    """Say why a rule cannot be assessed, if so."""
    if at not in made.rule.runs_at:
        return ELSEWHERE
    lacking = min(made.sources & absent, default=None)
    return None if lacking is None else _REASONS[lacking.partition(":")[0]]


@dataclass(frozen=True, slots=True)
class _Runner:
    """Scans the relations of one run and puts the answer together."""

    book: Rulebook
    relations: Relations
    at: str
    local_keys: bool
    tally: Tally
    culprits: dict[str, str]

    def reports(self, active: Sequence[CompiledRule], absent: set[str]) -> list[Report]:
        """Scan every relation once, judge the identity reasons, and give each delivery its report."""
        self._judge_layout()
        scans: dict[str, list[_Column]] = {}
        for column, over in self._expression_columns(active):
            scans.setdefault(over, []).append(column)
        with_rows = {over: columns for over, columns in scans.items() if len(self.relations.deliveries[over])}
        self.relations.engine.ahead([self._statement(*scan) for scan in with_rows.items()])
        for over, columns in scans.items():
            if over in with_rows:
                self._scan(over, columns)
            else:
                self.tally.count_nothing(column.made.rule.id for column in columns)
        self._judge_identities()
        judged = self.tally.counts.keys() | self.tally.unassessed.keys()
        for rule in self.book.rules.values():
            if rule.id not in judged and rule.kind is not Kind.CODE and (rule.over or rule.record):
                made = (_reason_against(made, self.at, absent) for made in self.book.compiled if made.rule is rule)
                self._not_assessed(rule, next(filter(None, made), ELSEWHERE))
        self._count_idle(active, absent)
        return [
            Report(Findings(table, self.book.texts), verdicts, dict(self.culprits))
            for table, verdicts in zip(self.tally.findings(), self.tally.verdicts(), strict=True)
        ]

    def _count_idle(self, active: Sequence[CompiledRule], absent: set[str]) -> None:
        """Count the rows of a condition that cannot be assessed though others of its rule can: none passes silently."""
        judged = {id(made) for made in active}
        for made in self.book.compiled:
            reason = None if id(made) in judged else _reason_against(made, self.at, absent)
            if reason is not None and made.rule.id in self.tally.counts:
                self.tally.not_assessed(
                    made.rule.id, reason, self.relations.deliveries.get(made.rule.over), besides=True
                )

    def _judge_layout(self) -> None:
        """Read the layout's rules off the states of the fields, which every other rule depends on as well."""
        for predicate in self.book.predicates:
            if self.at in self.book.rules[predicate.rule].runs_at:
                record, name = predicate.record, predicate.field.name
                verdicts = predicate.verdicts(self.relations.collection, local_keys=self.local_keys)
                reading = Reading(predicate.rule, record, name, verdicts)
                states, deliveries = self.relations.states[record][name], self.relations.deliveries[record]
                breaches = self.tally.count(reading, states, deliveries)
                self._add(reading, breaches, [])

    def _expression_columns(self, active: Sequence[CompiledRule]) -> Iterator[tuple[_Column, str]]:
        for made in active:
            rule = made.rule
            scope = self.relations.scope_of(rule.over)
            broken = [name for column in made.named if (rule.over, name := column.name) in self.relations.failed]
            if broken:
                self._fail(rule, f"{rule.over}.{broken[0]}")
                continue
            yield _Column(made, *made.conditions(scope)), rule.over

    def _flags(self, over: str, columns: list[_Column]) -> list[str]:
        return self.relations.flags(over, {name for column in columns for name in column.made.unsure})

    def _statement(self, over: str, columns: list[_Column]) -> str:
        """Write the scan of a relation for the conditions of its rules, and for the flags that they ask for."""
        written = [f"{sql.quote(f'{name}__bad')} AS b{place}" for place, name in enumerate(self._flags(over, columns))]
        for place, column in enumerate(columns):
            written += [f"{column.where} AS w{place}"] if column.where else []
            written += [f"{column.require} AS v{place}"]
        return f"SELECT _at, {', '.join(written)} FROM {self.relations.names[over]}"

    def _scan(self, over: str, columns: list[_Column]) -> None:
        flags = self._flags(over, columns)
        try:
            answer = self.relations.engine.query(self._statement(over, columns))
        except ScanFailed as error:
            if len(columns) > 1:
                # One rule must not spoil the others: run them one by one, and name the culprit.
                for column in columns:
                    self._scan(over, [column])
                return
            self._fail(columns[0].made.rule, str(error))
            return
        at = np.asarray(answer["_at"])
        deliveries = self.relations.deliveries[over][at]
        bad = self.relations.bad_of(over, at) | {
            name: known(answer[f"b{place}"])[0] for place, name in enumerate(flags)
        }
        for place, column in enumerate(columns):
            where = answer[f"w{place}"] if column.where else None
            unknown = [bad[name] for name in column.made.unsure if name in bad]
            breaches = self.tally.count(column.reading, judged(where, answer[f"v{place}"], unknown), deliveries)
            if len(breaches):
                hit = at[breaches]
                shown = [as_text(self.relations.shown(over, each, hit)) for each in column.made.shows]
                self._add(column.reading, hit, shown)

    def _fail(self, rule: Rule, culprit: str) -> None:
        self.culprits[rule.id] = culprit
        self._not_assessed(rule, ENGINE)

    def _add(self, reading: Reading, places: NDArray[np.intp], shown: list[pa.Array]) -> None:
        """Make findings of the rows at these places; over a derived table they are about the delivery."""
        if not len(places):
            return
        over = self.book.rules[reading.rule].over or reading.record
        deliveries = self.relations.deliveries[over][places]
        table = self.relations.tables[over]
        rows = np.asarray(taken(table["_row"], places))
        if over in self.relations.collection.layout.records:
            self.tally.add(reading, deliveries, rows, self._values(reading, places), shown, of_record=True)
            return
        derived = self.book.resolver.world.tables[over]
        value = taken(table[derived.shown_as], places) if derived.codes else pa.nulls(len(places), pa.string())
        self.tally.add(reading, deliveries, rows, value, shown, of_record=False)

    def _values(self, reading: Reading, places: NDArray[np.intp]) -> pa.Array:
        """Give the values as they stood; an id is the municipality's own business and is shown beside."""
        record = self.relations.collection.layout.records[reading.record]
        field = record.fields.get(reading.field)
        table = self.relations.tables[reading.record]
        if field is None or field.identity or field.kind is FieldKind.ID or field.name not in table.column_names:
            return pa.nulls(len(places), pa.string())
        value = as_text(taken(table[field.name], places))
        raw = f"{field.name}__raw"
        return pc.coalesce(value, taken(table[raw], places)) if raw in table.column_names else value

    def _judge_identities(self) -> None:
        """Read the number rules off the reason code: the number itself is seen by the municipality and TPF only."""
        for rule in self.book.rules.values():
            if rule.kind is Kind.IDENTITY and self.at in rule.runs_at:
                self._judge_identity(rule)

    def _judge_identity(self, rule: Rule) -> None:
        person = self.relations.tables.get(PERSON)
        if person is None or "id_reason" not in person.column_names:
            self._not_assessed(rule, "no_identity")
            return
        codes = person["id_reason"].combine_chunks().cast(pa.string())
        breached = {reason for reason, rules in RULE_OF_REASON.items() if rule.id in rules}
        everything = pc.is_in(codes, pa.array([reason.text for reason in breached], pa.string()))
        states = np.where(np.asarray(everything), np.int8(sql.BREACH), np.int8(sql.OK))
        states[np.asarray(pc.is_null(codes))] = NO_IDENTITY
        deliveries = self.relations.deliveries[PERSON]
        self.tally.count(Reading(rule.id, PERSON, ""), states, deliveries)
        for name in sorted({FIELD_OF_REASON[reason] for reason in breached}):
            reasons = [reason.text for reason in breached if FIELD_OF_REASON[reason] == name]
            hit = np.flatnonzero(np.asarray(pc.is_in(codes, pa.array(reasons))))
            self._add(Reading(rule.id, PERSON, name), hit, [])

    def _not_assessed(self, rule: Rule, reason: str) -> None:
        self.tally.not_assessed(rule.id, reason, self.relations.deliveries.get(rule.over or rule.record))
