"""All rules of a collection year, read, typed and checked against the layout: they are whole, or refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from dataclasses import field as member
from typing import TYPE_CHECKING

from ipis.kernel.errors import LANGUAGES, Rendered
from ipis.kernel.read_once import ReadOnce
from ipis.validation import catalogue, language, layout_rules, world
from ipis.validation import compile as sql
from ipis.validation.catalogue import Check, Effect, Kind, Level, Problem, Rule
from ipis.validation.compile import HEADER, stored_name
from ipis.validation.declared import locate
from ipis.validation.findings import Texts, has_stray_brace, placeholders
from ipis.validation.position import refuse
from ipis.validation.terms import Column, Term, columns_of, every_column

if TYPE_CHECKING:
    from collections.abc import Container, Hashable

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import Layout, LayoutRule
    from ipis.validation.derived import Resolver
    from ipis.validation.layout_rules import LayoutPredicate

_ALWAYS = {"year", "record", "label", "field", "minimum", "maximum", "length", "v", "value"}


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One condition of a rule, typed; `sources` are the outer things that it needs.

    `named` are all columns that it names, those of families and of its message included; `needs` what must stand beside
    the rows for it: a word of a code list that only the message names is looked up when there is a finding. `unsure`
    are the columns whose invalid values make its verdict unknown.
    """

    rule: Rule
    field: str
    where: Term | None
    require: Term
    shows: tuple[Column, ...]
    named: tuple[Column, ...]
    needs: frozenset[str]
    unsure: frozenset[str]
    sources: frozenset[str]
    written: dict[object, tuple[str, str]] = member(default_factory=dict, repr=False, compare=False)

    def conditions(self, scope: sql.Scope) -> tuple[str, str]:
        """Write as SQL when the rule applies (empty: always) and what it requires; the same words are written once."""
        key = (type(scope.dialect), scope.alias, None if scope.dirty is None else scope.dirty & self.unsure)
        if key not in self.written:
            where = sql.render(self.where, scope) if self.where is not None else ""
            self.written[key] = (where, sql.render(self.require, scope))
        return self.written[key]


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The rules of a collection year: their entries, the typed expressions, what follows from the layout.

    `digest` is that of the definition folder, empty where these are some of its rules only.
    """

    rules: dict[str, Rule]
    compiled: tuple[CompiledRule, ...]
    predicates: tuple[LayoutPredicate, ...]
    resolver: Resolver
    texts: Texts
    digest: str = ""
    met: set[Hashable] = member(default_factory=set, repr=False, compare=False)

    def note_run(self, kind: Hashable) -> bool:
        """Note a run and tell whether one of its kind came before in this process; each of no kind (None) is new."""
        known = kind is not None and kind in self.met
        self.met.add(kind)
        return known

    def only(self, numbers: Container[str]) -> Rulebook:
        """Give the book with these rules alone; fields that break another rule stay unknown to them."""
        return replace(
            self,
            digest="",
            rules={number: rule for number, rule in self.rules.items() if number in numbers},
            compiled=tuple(made for made in self.compiled if made.rule.id in numbers),
            predicates=tuple(predicate for predicate in self.predicates if predicate.rule in numbers),
        )


@ReadOnce
def of(collection: Collection) -> Rulebook:
    """Give the rules of a collection year; read once for each content of the definition folder."""
    rules = catalogue.load(collection.folder, collection.year)
    for declared in collection.layout.rules.values():
        rules.setdefault(declared.id, _from_layout(declared, collection))
    resolver = world.resolver(collection)
    predicates = layout_rules.predicates(collection)
    for predicate in predicates:
        if predicate.rule not in rules:
            place = locate(collection.folder, predicate.record, "fields", predicate.field.name, "rules")
            refuse("rules.unknown", place, number=predicate.rule, field=f"{predicate.record}.{predicate.field.name}")
    compiled = tuple(
        _compile(rule, check, resolver)
        for rule in rules.values()
        if rule.kind is Kind.EXPRESSION
        for check in rule.checks
    )
    texts = Texts(rules, collection.layout, collection.year)
    for rule in rules.values():
        _check_anchor(rule, collection)
    return Rulebook(rules, compiled, predicates, resolver, texts, collection.folder.digest)


def _from_layout(declared: LayoutRule, collection: Collection) -> Rule:
    """Make the entry of a rule that only the layout declares; its three sentences are the three parts."""
    place = locate(collection.folder, "rules", declared.id, "level")
    for value, allowed in ((declared.level, list(Level)), (declared.effect, list(Effect))):
        if value not in allowed:
            refuse("rules.value", place, allowed=", ".join(allowed))
    if not set(declared.runs_at.split()) or not set(declared.runs_at.split()) <= set("MTS"):
        refuse("rules.value", place, allowed="M T S")
    lacking = next((key for key in LANGUAGES if key not in declared.message), None)
    if lacking is not None:
        refuse("rules.message", place, number=declared.id, language=lacking)
    message = {key: Rendered(*_three(declared.message[key])) for key in LANGUAGES}
    return Rule(
        id=declared.id,
        record="",
        over="",
        checks=(),
        level=Level(declared.level),
        effect=Effect(declared.effect),
        kind=Kind.LAYOUT,
        audience="kommune",
        runs_at=frozenset(declared.runs_at.split()),
        scope="row",
        shows=(),
        indicators=(),
        problem=Problem(declared.id, "row"),
        message=message,
        examples={},
        place=place,
        places={"message": locate(collection.folder, "rules", declared.id, "message")},
    )


def _three(text: str) -> tuple[str, str, str]:
    parts = text.split(". ", 2)
    found, expected, do = [*parts, "", ""][:3]
    return (f"{found}." if expected else found), (f"{expected}." if do else expected), do


def _compile(rule: Rule, check: Check, resolver: Resolver) -> CompiledRule:
    if rule.over not in resolver.schemas:
        refuse("rules.record", rule.places.get("over", rule.places["record"]), record=rule.over)
    schema = resolver.schema(rule.over)
    where = language.parse(check.where, schema, check.places["where"]) if check.where else None
    require = language.parse(check.require, schema, check.places["require"])
    shows = []
    for name in rule.shows:
        table, _, column = name.rpartition(".")
        info = (schema.header if table == HEADER else schema.columns).get(column)
        if info is None:
            refuse("rules.field", rule.places["shows"], field=name, record=rule.over)
        shows.append(Column(column, info, table))
    read = every_column(where, require)
    words = [resolver.word(rule.over, stored_name(column)) for column in shows]
    shown = [column if word is None else word.inputs[0] for column, word in zip(shows, words, strict=True)]
    named = (*read, *shows)
    return CompiledRule(
        rule,
        check.field,
        where,
        require,
        tuple(shows),
        named,
        frozenset(stored_name(column) for column in (*read, *shown)),
        frozenset(column.name for column in columns_of(where, require) if column.info.flagged),
        frozenset(source for column in named for source in column.info.sources),
    )


def _check_anchor(rule: Rule, collection: Collection) -> None:
    """Check that a rule points at something that is there, and that its messages name only what they are given."""
    if rule.kind is not Kind.CODE and rule.record:
        _check_record(rule, collection.layout)
    allowed = _ALWAYS | {name.rpartition(".")[2] for name in rule.shows}
    place = rule.places.get("message", rule.place)
    for key, text in rule.message.items():
        for part in (text.found, text.expected, text.do):
            if has_stray_brace(part):
                refuse("rules.brace", place, number=rule.id, language=key)
            for name in placeholders(part) - allowed if rule.kind is not Kind.CODE else ():
                refuse("rules.placeholder", place, number=rule.id, language=key, name=name)


def _check_record(rule: Rule, layout: Layout) -> None:
    known = layout.header if rule.record == HEADER else layout.records.get(rule.record)
    if known is None:
        refuse("rules.record", rule.places["record"], record=rule.record)
    for check in rule.checks:
        if check.field and check.field not in known.fields:
            refuse("rules.field", check.places["field"], field=check.field, record=rule.record)
