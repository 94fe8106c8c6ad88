"""The change page from one collection year to the next: what whoever delivers to a register has to look at each autumn.

Written from the two definition folders alone: dates and switches, fields, code lists, derived columns, and rules.
"""

from __future__ import annotations

import tomllib
from dataclasses import fields as members_of
from typing import TYPE_CHECKING, Any

from ipis.validation import rulebook
from ipis.validation.author.unfilled import unfilled
from ipis.validation.catalogue import Kind, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import Field
    from ipis.validation.rulebook import Rulebook

_NOT_NEWS = ("year", "register", "name.")
_COMPARED = ("record", "over", "level", "effect", "audience", "runs_at", "scope", "kind")


def page(before: Collection, after: Collection, names: tuple[str, str] | None = None) -> str:
    """Write the page, in Markdown; `names` are what was asked for, where that is not the two years."""
    names = names or (str(before.year), str(after.year))
    lines = [f"# {after.register.upper()}: what changes from {names[0]} to {names[1]}", ""]
    lines += [f"Made from the two definitions by `ipis rules changes {names[0]} {names[1]}`.", ""]
    lines += _section("Dates, versions and switches", _values(before, after, names))
    lines += _section("Record layout", _fields(before, after, names))
    for name in sorted({*before.codes, *after.codes}):
        if not name.endswith("_valid"):
            lines += _section(f"Code list `{name}`", _list(before.codes.get(name), after.codes.get(name)), silent=True)
    old, new = rulebook.of(before), rulebook.of(after)
    lines += _section("Rules that are new", _only_in(new, old, after))
    lines += _section("Rules that fall away", _only_in(old, new, before))
    lines += _section("Rules that change", _changed_rules((before, old), (after, new)))
    lines += _section("Derived columns, on which rules rest", _derived(before, after, names))
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(heading: str, found: Iterator[str], *, silent: bool = False) -> list[str]:
    listed = list(found)
    if silent and not listed:
        return []
    return [f"## {heading}", "", *(listed or ["Nothing."]), ""]


def _table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    if rows:
        yield f"| {' | '.join(headings)} |"
        yield "|---" * len(headings) + "|"
        yield from (f"| {' | '.join(map(_cell, row))} |" for row in rows)


def _cell(value: object) -> str:
    if value is None or value in ("", (), []):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(_cell(each) for each in (value if isinstance(value, list | tuple) else sorted(value)))
    if isinstance(value, dict):
        return ", ".join(f"{key} {_cell(each)}" for key, each in value.items())
    return str(value).replace("|", "\\|").replace("\n", " ").strip()


def _values(before: Collection, after: Collection, names: tuple[str, str]) -> Iterator[str]:
    old, new = (dict(_flat(tomllib.loads(each.folder["collection.toml"].decode("utf-8")))) for each in (before, after))
    rows = [
        (f"`{key}`", old.get(key), new.get(key))
        for key in {**old, **new}
        if old.get(key) != new.get(key) and not key.startswith(_NOT_NEWS)
    ]
    yield from _table(("", *names), rows)


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _fields(before: Collection, after: Collection, names: tuple[str, str]) -> Iterator[str]:
    old, new = (
        {(record.element or record.name, each.name): each for record, each in of.layout.every_field()}
        for of in (before, after)
    )
    rows: list[tuple[object, ...]] = []
    for place in {**old, **new}:
        name = f"`{'.'.join(place)}`"
        if place not in old:
            rows.append((name, "", f"new: {_described(new[place])}"))
        elif place not in new:
            rows.append((name, _described(old[place]), "falls away"))
        else:
            rows += [(name, *change) for change in _field_changes(old[place], new[place])]
    yield from _table(("field", *names), rows)


def _described(field: Field) -> str:
    size = f" {field.length},{field.scale}" if field.scale else f" {field.length}" if field.length else ""
    return f"{field.label['nb']}, {field.kind}{size}{', required' if field.required else ''}"


def _field_changes(old: Field, new: Field) -> Iterator[tuple[str, str]]:
    for member in members_of(old):
        was, now = getattr(old, member.name), getattr(new, member.name)
        if was != now:
            yield f"{member.name}: {_cell(was)}", f"{member.name}: {_cell(now)}"


def _list(old: pa.Table | None, new: pa.Table | None) -> Iterator[str]:
    if old is None or new is None:
        yield "A new list." if old is None else "The list falls away."
        return
    if old.equals(new):
        return
    key = "code"
    if key not in old.column_names or key not in new.column_names or _doubled(old, key) or _doubled(new, key):
        yield f"{old.num_rows} rows become {new.num_rows}."
        return
    was, now = ({row[key]: row for row in table.to_pylist()} for table in (old, new))
    rows: list[tuple[object, ...]] = []
    for code in sorted({*was, *now}, key=str):
        if code not in was:
            rows.append((code, _name(now[code]), "", f"comes in{_successor(now[code])}"))
        elif code not in now:
            rows.append((code, _name(was[code]), "goes out", ""))
        else:
            rows += [(code, _name(now[code]), *change) for change in _row_changes(was[code], now[code])]
    yield from _table(("code", "", "before", "after"), rows)


def _doubled(table: pa.Table, key: str) -> bool:
    return bool(len(table[key].unique()) < table.num_rows)


def _name(row: Mapping[str, Any]) -> str:
    return str(row.get("label_nb") or row.get("name") or "")


def _successor(row: Mapping[str, Any]) -> str:
    return f"; its number becomes {row['successor']}" if row.get("successor") else ""


def _row_changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in {**was, **now}:
        if was.get(key) != now.get(key):
            yield f"{key}: {_cell(was.get(key))}", f"{key}: {_cell(now.get(key))}"


def _only_in(book: Rulebook, other: Rulebook, its: Collection) -> Iterator[str]:
    rows = [
        (
            rule.id,
            rule.level.value,
            rule.effect.value,
            _about(rule, book),
            unfilled(rule.message["nb"].found, rule, its, "nb"),
        )
        for rule in book.rules.values()
        if rule.id not in other.rules
    ]
    yield from _table(("rule", "level", "effect", "about", "what it says"), rows)


def _about(rule: Rule, book: Rulebook) -> str:
    """Name the fields that a rule points at."""
    fields = [f"{rule.record}.{check.field}" if check.field else rule.record for check in rule.checks]
    fields += _faults(rule, book)
    return ", ".join(f"`{name}`" for name in dict.fromkeys(fields) if name)


def _faults(rule: Rule, book: Rulebook) -> list[str]:
    """Name the fields whose faults the layout gives to a rule, with the kinds of fault."""
    return [
        f"{each.record}.{each.field.name} ({', '.join(sorted(each.faults))})"
        for each in book.predicates
        if each.rule == rule.id and rule.kind is Kind.LAYOUT
    ]


def _changed_rules(before: tuple[Collection, Rulebook], after: tuple[Collection, Rulebook]) -> Iterator[str]:
    (_, old), (_, new) = before, after
    kept = [(old.rules[number], rule) for number, rule in new.rules.items() if number in old.rules]
    rows = [
        (now.id, *change)
        for was, now in kept
        for change in (*_rule_changes(was, now, old, new), *_said_anew((was, before[0]), (now, after[0])))
    ]
    yield from _table(("rule", "what", "before", "after"), rows)


def _rule_changes(was: Rule, now: Rule, old: Rulebook, new: Rulebook) -> Iterator[tuple[str, str, str]]:
    for name in _COMPARED:
        if getattr(was, name) != getattr(now, name):
            yield name, _cell(getattr(was, name)), _cell(getattr(now, name))
    if _conditions(was) != _conditions(now):
        yield "condition", _cell(_conditions(was)), _cell(_conditions(now))
    if _faults(was, old) != _faults(now, new):
        yield "fields", _cell(_faults(was, old)), _cell(_faults(now, new))


def _said_anew(before: tuple[Rule, Collection], after: tuple[Rule, Collection]) -> Iterator[tuple[str, str, str]]:
    """Give the messages that are worded anew."""
    for language in after[0].message:
        if before[0].message[language] != after[0].message[language]:
            said = []
            for rule, its in (before, after):
                text = rule.message[language]
                said.append(unfilled(f"{text.found} {text.expected} {text.do}", rule, its, language))
            yield f"text ({language})", _cell(said[0]), _cell(said[1])


def _conditions(rule: Rule) -> list[str]:
    """Give a rule's conditions as written, without needless spaces."""
    return [
        f"{each.field or 'record'}: `{' '.join(each.require.split())}`"
        + (f" where `{' '.join(each.where.split())}`" if each.where else "")
        for each in rule.checks
        if each.require
    ]


def _derived(before: Collection, after: Collection, names: tuple[str, str]) -> Iterator[str]:
    old, new = (dict(_declared(each)) for each in (before, after))
    rows = [(f"`{name}`", old.get(name), new.get(name)) for name in {**old, **new} if old.get(name) != new.get(name)]
    yield from _table(("column", *names), rows)


def _declared(collection: Collection) -> Iterator[tuple[str, object]]:
    layout = collection.layout
    for record in layout.records.values():
        for name, value in record.derived.items():
            yield f"{record.name}.{name}", value
        for name, members in record.families.items():
            yield f"{record.name}, family {name}", list(members)
    for table, declared in layout.derived_tables.items():
        yield from ((f"{table}.{key}", value) for key, value in _flat(declared.get("columns", {})))
