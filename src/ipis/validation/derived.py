"""Derived columns and tables: the only place where rows look at other rows (engine.md, docs/spec/rules.md §4).

A declaration is read into a typed form, its expressions are checked, and all are put in an order in which each comes
after what it needs; a circle is refused where it begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ipis.validation import language
from ipis.validation.position import Place, refuse
from ipis.validation.terms import Column, ColumnInfo, Schema, Term, Type, columns_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PERSON = "person"
"""As a key: the person that a row belongs to, however its brukerNr reads."""

DELIVERY = "delivery"
_RESULT = {
    "exists": Type.BOOL,
    "count": Type.INT,
    "overlap": Type.INT,
    "last_year": Type.INT,
    "share": Type.NUM,
    "concurrent_sum": Type.NUM,
    "sum": Type.NUM,
}
_KEYS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    # kind: (keys that must stand, keys that may)
    "lookup": (frozenset({"on", "value"}), frozenset({"key"})),
    "exists": (frozenset({"on"}), frozenset({"key", "where"})),
    "expression": (frozenset(), frozenset()),
    "count": (frozenset({"by"}), frozenset({"where"})),
    "sum": (frozenset({"by"}), frozenset({"where"})),
    "lag": (frozenset({"by", "order"}), frozenset({"where", "open_ended"})),
    "previous_max": (frozenset({"by", "order"}), frozenset({"where", "open_ended"})),
    "overlap": (frozenset({"by", "from", "to"}), frozenset({"where"})),
    "concurrent_sum": (frozenset({"by", "from", "to"}), frozenset({"where"})),
    "last_year": (frozenset({"by"}), frozenset({"where"})),
}
_TABLE_KEYS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "count": (frozenset(), frozenset({"where", "distinct", "match"})),
    "share": (frozenset({"where"}), frozenset()),
    "last_year": (frozenset({"of"}), frozenset({"where", "distinct", "match"})),
    "lookup": (frozenset({"on", "value"}), frozenset({"key"})),
    "expression": (frozenset(), frozenset()),
}


@dataclass(frozen=True, slots=True)
class Declaration:
    """One derived column as written: where it belongs, its kind, what it works on, and its other keys."""

    owner: str
    name: str
    kind: str
    subject: str
    options: Mapping[str, Any]
    place: Place

    @property
    def id(self) -> tuple[str, str]:
        """Give the owner and the name."""
        return self.owner, self.name

    def names(self, key: str) -> tuple[str, ...]:
        """Give a key's value as a list of names."""
        value = self.options.get(key, ())
        names = (value,) if isinstance(value, str) else tuple(map(str, value))
        # `person_key` is what engine.md calls the person as a key.
        return tuple(PERSON if name == "person_key" else name for name in names)


@dataclass(frozen=True, slots=True)
class Derived:
    """A derived column, typed: `inputs` are the row's own columns it needs, `where` is over the rows it counts."""

    declaration: Declaration
    info: ColumnInfo
    inputs: tuple[Column, ...]
    expression: Term | None
    where: Term | None
    level: int


@dataclass(frozen=True, slots=True)
class DerivedTable:
    """A derived table: one row for the delivery, or one per code of a list (`codes`, whose `key` is `shown_as`)."""

    name: str
    codes: str
    key: str
    shown_as: str
    declarations: tuple[Declaration, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class World:
    """All that expressions can name, before anything is derived: stored columns, families, code tables, the header."""

    schemas: Mapping[str, Schema]
    codes: Mapping[str, Mapping[str, Type]]
    tables: Mapping[str, DerivedTable]


def declarations(owner: str, raw: Mapping[str, Any], files: Mapping[str, bytes]) -> tuple[Declaration, ...]:
    """Read the `[<record>.derived]` table of a record type, or the columns of a derived table."""
    return tuple(_declaration(owner, name, value, files) for name, value in raw.items())


def tables(raw: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, DerivedTable]:
    """Read the `[derived_tables.<name>]` tables: `rows = "delivery"`, or `rows = { codes, key, as }`."""
    result = {}
    for name, table in raw.items():
        place = locate(files, f"derived_tables.{name}", "rows")
        rows = table.get("rows") if isinstance(table, dict) else None
        if rows == DELIVERY:
            codes = key = shown = ""
        elif isinstance(rows, dict) and set(rows) == {"codes", "key", "as"}:
            codes, key, shown = (str(rows[part]) for part in ("codes", "key", "as"))
        else:
            refuse("rules.derived_rows", place, table=name)
        columns = declarations(name, table.get("columns", {}), files)
        for column in columns:
            if column.kind not in _TABLE_KEYS:
                refuse("rules.derived_kind", column.place, kind=column.kind, kinds=", ".join(_TABLE_KEYS))
        result[name] = DerivedTable(name, codes, key, shown, columns, place)
    return result


def _declaration(owner: str, name: str, raw: object, files: Mapping[str, bytes]) -> Declaration:
    place = locate(files, owner, name)
    if not isinstance(raw, dict) or not raw:
        refuse("rules.derived_kind", place, kind=name, kinds=", ".join(_KEYS))
    kinds = [key for key in raw if key in _KEYS or key in _TABLE_KEYS]
    kind = kinds[0] if kinds else str(next(iter(raw)))
    if kind not in _KEYS and kind not in _TABLE_KEYS:
        refuse("rules.derived_kind", place, kind=kind, kinds=", ".join(_KEYS))
    if not re.fullmatch(r"[a-zA-Z][A-Za-z0-9_]*", name) or "__" in name:
        refuse("rules.derived_name", place, name=name)
    required, optional = _options_of(kind, raw)
    options = {key: value for key, value in raw.items() if key != kind}
    for key in sorted(required - options.keys()):
        refuse("rules.derived_missing", place, kind=kind, key=key)
    for key in sorted(options.keys() - required - optional):
        refuse("rules.derived_key", place, kind=kind, key=key)
    return Declaration(owner, name, kind, str(raw[kind]), options, place)


def _options_of(kind: str, raw: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """Choose between the two forms of `count` and `last_year`: over rows (`by`) and in a derived table."""
    if kind in _KEYS and (kind not in _TABLE_KEYS or "by" in raw or kind in {"lookup", "expression"}):
        return _KEYS[kind]
    return _TABLE_KEYS[kind]


def locate(files: Mapping[str, bytes], owner: str, name: str) -> Place:
    """Find the line of a key in the TOML file that declares it."""
    for file in ("derived.toml", "layout.toml"):
        section = ""
        for number, line in enumerate(files.get(file, b"").decode("utf-8", "replace").splitlines(), 1):
            if header := re.match(r"\s*\[([^\]]+)\]", line):
                section = header[1].replace('"', "")
            found = re.match(rf"\s*\"?{re.escape(name)}\"?\s*[=.]", line)
            if found and (section.split(".")[0] == owner or owner in section):
                return Place(file, number, len(line) - len(line.lstrip()) + 1)
    return Place("layout.toml", 1, 1)


class Resolver:
    """Types every derived column, each after those it needs; the schemas grow as it goes."""

    def __init__(self, world: World, declared: Iterable[Declaration]) -> None:
        """Take what is stored and what is declared."""
        self.world = world
        self.declared = {item.id: item for item in declared}
        self.schemas = {name: dict(schema.columns) for name, schema in world.schemas.items()}
        self.done: dict[tuple[str, str], Derived] = {}
        self.open: list[tuple[str, str]] = []
        self.needs: dict[tuple[str, str], set[tuple[str, str]]] = {}
        for table in world.tables.values():
            if table.codes and table.key not in world.codes.get(table.codes, {}):
                refuse("rules.derived_rows", table.place, table=table.name)
            key = {table.shown_as: ColumnInfo(Type.TEXT)} if table.codes else {}
            self.schemas[table.name] = dict(key)

    def resolve(self) -> dict[tuple[str, str], Derived]:
        """Type all; give them in an order in which each follows what it needs."""
        for identity in self.declared:
            self._need(identity)
        return self.done

    def closure(self, wanted: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Give the derived columns among those wanted, and all that they need in turn."""
        found: set[tuple[str, str]] = set()
        waiting = [identity for identity in wanted if identity in self.done]
        while waiting:
            identity = waiting.pop()
            if identity not in found:
                found.add(identity)
                waiting.extend(self.needs.get(identity, ()))
        return found

    def schema(self, record: str) -> Schema:
        """Give what an expression over a record type or derived table may name by now."""
        known = self.world.schemas.get(record)
        header = next(iter(self.world.schemas.values())).header if self.world.schemas else {}
        return Schema(record, self.schemas[record], known.families if known else {}, header)

    def _need(self, identity: tuple[str, str]) -> int:
        """Resolve a derived column first; give its level, 0 for a stored column."""
        declaration = self.declared.get(identity)
        if declaration is None:
            return 0
        if self.open:
            self.needs.setdefault(self.open[-1], set()).add(identity)
        if identity in self.done:
            return self.done[identity].level
        if identity in self.open:
            circle = " → ".join(
                f"{owner}.{name}" for owner, name in [*self.open[self.open.index(identity) :], identity]
            )
            refuse("rules.circle", declaration.place, circle=circle)
        if declaration.name in self.schemas[declaration.owner]:
            refuse("rules.derived_name", declaration.place, name=declaration.name)
        self.open.append(identity)
        derived = self._type(declaration)
        self.open.pop()
        self.schemas[declaration.owner][declaration.name] = derived.info
        self.done[identity] = derived
        return derived.level

    def _names_in(self, record: str, text: str) -> int:
        """Resolve what an expression names, seen by its words alone; give the highest level."""
        words = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", re.sub(r"'[^']*'", "", text)))
        return max((self._need((record, word)) for word in sorted(words)), default=0)

    def _expression(self, record: str, text: str, place: Place, *, boolean: bool) -> Term:
        read = language.parse if boolean else language.parse_value
        return read(text, self.schema(record), place)

    def _column(self, declaration: Declaration, record: str, name: str) -> Column:
        if name == PERSON:
            return Column("_person", ColumnInfo(Type.ID))
        info = self.schemas[record].get(name)
        if info is None:
            refuse("rules.field", declaration.place, field=name, record=record)
        return Column(name, info)

    def _type(self, declaration: Declaration) -> Derived:
        if declaration.owner in self.world.tables:
            return self._type_in_table(declaration)
        kind, owner, place = declaration.kind, declaration.owner, declaration.place
        other = self._other(declaration)
        own = [name for key in ("on", "by", "order", "from", "to") for name in declaration.names(key)]
        if kind in {"sum", "lag", "previous_max", "concurrent_sum"}:
            own.append(declaration.subject)
        level = max((self._need((owner, name)) for name in own), default=0)
        expression = where = None
        if kind == "expression":
            level = max(level, self._names_in(owner, declaration.subject))
            expression = self._expression(owner, declaration.subject, place, boolean=False)
            inputs = columns_of(expression)
        else:
            inputs = tuple(dict.fromkeys(self._column(declaration, owner, name) for name in own))
        if other in self.world.codes:
            self._check_code_keys(declaration, other)
        self._check_types(declaration)
        text = declaration.options.get("where")
        if text is not None:
            level = max(level, self._names_in(other or owner, str(text)))
            where = self._expression(other or owner, str(text), place, boolean=True)
            if not other:
                inputs = tuple(dict.fromkeys((*inputs, *columns_of(where))))
        if other and kind == "lookup" and other in self.world.schemas:
            level = max(level, self._need((other, str(declaration.options["value"]))))
        info = self._info(declaration, other, inputs, expression)
        return Derived(declaration, info, inputs, expression, where, level + 1)

    def _other(self, declaration: Declaration) -> str:
        """Name the record type or code list that the column looks into, if it is another relation."""
        kind, subject = declaration.kind, declaration.subject
        wanted = {"count": "rows", "overlap": "rows", "last_year": "count"}.get(kind, subject)
        looks_elsewhere = kind in {"lookup", "exists"}
        into_record = looks_elsewhere and subject in self.world.schemas
        into_codes = looks_elsewhere and subject in self.world.codes and "where" not in declaration.options
        # Only the person is one row to look into; everything else is counted or asked for.
        many = into_record and kind == "lookup" and (subject, declaration.names("on")) != (PERSON, (PERSON,))
        if subject != wanted or many or (looks_elsewhere and not into_record and not into_codes):
            refuse("rules.derived_subject", declaration.place, kind=kind, subject=subject)
        return subject if looks_elsewhere else ""

    def _check_types(self, declaration: Declaration) -> None:
        """Check that what is summed is a number, and that periods are days."""
        schema, kind = self.schemas[declaration.owner], declaration.kind
        if kind in {"sum", "concurrent_sum"} and not schema[declaration.subject].type.numeric:
            refuse("rules.derived_subject", declaration.place, kind=kind, subject=declaration.subject)
        days = [*declaration.names("from"), *declaration.names("to")]
        days += [declaration.subject] if declaration.options.get("open_ended") else []
        for name in days:
            if schema[name].type is not Type.DATE:
                refuse("rules.derived_subject", declaration.place, kind=kind, subject=name)

    def _check_code_keys(self, declaration: Declaration, codes: str) -> None:
        """Check that a code list has the columns by which it is looked into, one for each column of the row."""
        keys = declaration.names("key") or ("code",)
        for key in keys:
            if key not in self.world.codes[codes]:
                refuse("rules.field", declaration.place, field=key, record=codes)
        if len(keys) != len(declaration.names("on")) or (declaration.kind == "lookup" and len(keys) != 1):
            refuse("rules.derived_key", declaration.place, kind=declaration.kind, key="key")

    def _info(
        self, declaration: Declaration, other: str, inputs: tuple[Column, ...], expression: Term | None
    ) -> ColumnInfo:
        source = next((column.info.source for column in inputs if column.info.source), "")
        flagged = any(column.info.flagged for column in inputs)
        if declaration.kind == "expression" and expression is not None:
            return ColumnInfo(expression.type, flagged, source)
        if declaration.kind == "lookup":
            value = str(declaration.options["value"])
            if other in self.world.schemas:
                found = self._column(declaration, other, value).info
                return ColumnInfo(found.type, flagged or found.flagged, source or found.source)
            listed = self.world.codes[other].get(value)
            if listed is None:
                refuse("rules.field", declaration.place, field=value, record=other)
            return ColumnInfo(listed, flagged, source)
        if declaration.kind in {"lag", "previous_max"}:
            return ColumnInfo(self._column(declaration, declaration.owner, declaration.subject).type, flagged, source)
        source = "last_year" if declaration.kind == "last_year" else source
        return ColumnInfo(_RESULT[declaration.kind], flagged, source)

    def _type_in_table(self, declaration: Declaration) -> Derived:
        kind, owner, place = declaration.kind, declaration.owner, declaration.place
        if kind in {"expression", "lookup"}:
            return self._type_beside(declaration)
        record = str(declaration.options["of"]) if kind == "last_year" else declaration.subject
        if record not in self.world.schemas:
            refuse("rules.derived_subject", place, kind=kind, subject=record)
        for key in ("distinct", "match"):
            for name in declaration.names(key):
                self._need((record, name))
                self._column(declaration, record, name)
        if ("match" in declaration.options) != bool(self.world.tables[owner].codes):
            refuse("rules.derived_key", place, kind=kind, key="match")
        text, where, level = declaration.options.get("where"), None, 0
        if text is not None:
            level = self._names_in(record, str(text))
            where = self._expression(record, str(text), place, boolean=True)
        needs = (declaration.options.get("match"), declaration.options.get("distinct"))
        level = max([level, *(self._need((record, str(name))) for name in needs if name)])
        headers = [column.info.source for column in columns_of(where) if column.info.source]
        source = "last_year" if kind == "last_year" else next(iter(headers), "")
        return Derived(declaration, ColumnInfo(_RESULT[kind], flagged=False, source=source), (), None, where, level + 1)

    def _type_beside(self, declaration: Declaration) -> Derived:
        """Type a column of a derived table that is made from the table's own other columns."""
        owner = declaration.owner
        if declaration.kind == "expression":
            level = self._names_in(owner, declaration.subject)
            term = self._expression(owner, declaration.subject, declaration.place, boolean=False)
            inputs, expression = columns_of(term), term
        else:
            level, expression = 0, None
            inputs = (self._column(declaration, owner, str(declaration.options["on"])),)
        other = declaration.subject if declaration.kind == "lookup" else ""
        if other and other not in self.world.codes:
            refuse("rules.derived_subject", declaration.place, kind="lookup", subject=other)
        info = self._info(declaration, other, inputs, expression)
        return Derived(declaration, info, inputs, expression, None, level + 1)
