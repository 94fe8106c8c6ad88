"""The sides of a control table: where a key's value comes from, and the values of its grid in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipis.kernel.errors import LANGUAGES
from ipis.ssb.tables.conditions import names_in
from ipis.validation.terms import Type

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ipis.ssb.tables.conditions import Conditions
    from ipis.ssb.tables.reading import Node, Text
    from ipis.validation.terms import Term

BLANK = ""
"""The code of what is missing."""
TOTAL = "*"
"""The code of all rows together."""
_TOTAL_LABEL = {"nb": "I alt", "nn": "I alt", "en": "Total"}
_MONTHS = {
    "nb": "januar februar mars april mai juni juli august september oktober november desember",
    "nn": "januar februar mars april mai juni juli august september oktober november desember",
    "en": "January February March April May June July August September October November December",
}
_SOURCES = ("values", "codes", "bands", "months", "records", "rules")
_NUMBERS = (Type.INT, Type.DEC, Type.NUM)


@dataclass(frozen=True, slots=True)
class Key:
    """One side of a table: a column (or the members of a family, or conditions), and the values in order."""

    id: str
    label: Text
    values: tuple[tuple[str, Text], ...]
    column: str = ""
    family: tuple[str, ...] = ()
    when: Mapping[str, Term] = field(default_factory=dict)
    bands: tuple[float, ...] = ()
    months: bool = False
    prefix: int = 0
    sparse: bool = False
    total: bool = False
    nested: bool = False
    """Its values lie under those of the key before: not shown under that one's total."""

    @property
    def repeats(self) -> bool:
        """Tell whether a row can count in more than one value."""
        return bool(self.family or self.when)

    def columns(self) -> Iterator[str]:
        """Go through the columns that the key needs."""
        if self.column:
            yield self.column
        yield from self.family
        yield from names_in(*self.when.values())


def read_key(node: Node, record: str, conditions: Conditions) -> Key:
    """Read a key of a table over a record type."""
    optional = {"id", "column", "family", "blank", "prefix", "sparse", "total", "nested", *_SOURCES}
    raw = node.mapping({"label"}, optional)
    sources = [name for name in _SOURCES if name in raw]
    sparse = "sparse" in raw and raw["sparse"].boolean()
    # A column whose values nobody can list shows those that are there.
    open_list = sparse and "column" in raw and not sources
    if len(sources) + ("family" in raw) + open_list != 1 or {"column", "family"} <= raw.keys():
        node.refuse("tables.value", allowed="column + " + " | ".join(_SOURCES) + "; family; values + when")
    values, when = _values(raw, sources, record, conditions)
    if ("column" in raw) == bool(when or "family" in raw):
        node.refuse("tables.missing", key="column")
    family = _family(raw["family"], record, conditions) if "family" in raw else ()
    if family:
        fields = conditions.collection.layout.records[record].fields
        values = tuple((name, dict(fields[name].label)) for name in family)
    if "blank" in raw:
        values = (*values, (BLANK, raw["blank"].languages()))
    total = "total" in raw and raw["total"].boolean()
    column = _column(raw, record, conditions)
    return Key(
        id=raw["id"].text() if "id" in raw else column or "variabel",
        label=raw["label"].languages(),
        values=((TOTAL, _TOTAL_LABEL), *values) if total else values,
        column=column,
        family=family,
        when=when,
        bands=tuple(low for low, _ in _bounds(raw["bands"])) if "bands" in raw else (),
        months="months" in raw,
        prefix=raw["prefix"].integer() if "prefix" in raw else 0,
        sparse=sparse,
        total=total,
        nested="nested" in raw and raw["nested"].boolean(),
    )


def _column(raw: Mapping[str, Node], record: str, conditions: Conditions) -> str:
    if "column" not in raw:
        return ""
    types = {"bands": _NUMBERS, "months": (Type.DATE,)}
    expected = next((kinds for source, kinds in types.items() if source in raw), (Type.TEXT, Type.INT, Type.BOOL))
    return conditions.column(raw["column"], record, *expected).name


def _family(node: Node, record: str, conditions: Conditions) -> tuple[str, ...]:
    name = node.text()
    if name not in conditions.schemas[record].families:
        node.refuse("rules.family", family=name, record=record)
    return conditions.schemas[record].families[name]


def _values(
    raw: Mapping[str, Node], sources: list[str], record: str, conditions: Conditions
) -> tuple[tuple[tuple[str, Text], ...], dict[str, Term]]:
    if not sources:
        return (), {}
    source = sources[0]
    if source == "values":
        return _written(raw[source], record, conditions)
    if source == "bands":
        return _bands(raw[source]), {}
    if source == "codes":
        return _codes(raw[source], conditions), {}
    if not raw[source].boolean():
        raw[source].refuse("tables.value", allowed="true")
    if source == "months":
        names = {lang: months.split() for lang, months in _MONTHS.items()}
        return tuple((f"{n + 1:02}", {lang: names[lang][n] for lang in LANGUAGES}) for n in range(12)), {}
    if source == "records":
        return tuple((each.name, dict(each.label)) for each in conditions.collection.layout.records.values()), {}
    return _rules(conditions), {}


def _written(node: Node, record: str, conditions: Conditions) -> tuple[tuple[tuple[str, Text], ...], dict[str, Term]]:
    values, when = [], {}
    for item in node.items():
        raw = item.mapping({"code", "label"}, {"when"})
        code = raw["code"].text()
        values.append((code, raw["label"].languages()))
        condition = conditions.perhaps(raw.get("when"), record)
        if condition is not None:
            when[code] = condition
    if len({code for code, _ in values}) < len(values) or (when and len(when) < len(values)):
        node.refuse("tables.value", allowed="[{code, label, when}]")
    return tuple(values), when


def _bounds(node: Node) -> tuple[tuple[float, Text | None], ...]:
    """Read lower bounds, each a number or `{from, label}`."""
    read: list[tuple[float, Text | None]] = []
    for item in node.items():
        if isinstance(item.value, dict):
            raw = item.mapping({"from", "label"})
            read.append((raw["from"].number(), raw["label"].languages()))
        else:
            read.append((item.number(), None))
    bounds = [low for low, _ in read]
    if not bounds or bounds != sorted(set(bounds)):
        node.refuse("tables.value", allowed="0 < 18 < 67")
    return tuple(read)


def _bands(node: Node) -> tuple[tuple[str, Text], ...]:
    bounds, named = _bounds(node), []
    for place, (low, label) in enumerate(bounds):
        high = bounds[place + 1][0] - 1 if place + 1 < len(bounds) else None
        name = f"{low:g}+" if high is None else f"{low:g}" if low == high else f"{low:g}–{high:g}"
        named.append((f"{low:g}", label or dict.fromkeys(LANGUAGES, name)))
    return tuple(named)


def _codes(node: Node, conditions: Conditions) -> tuple[tuple[str, Text], ...]:
    """Read the name of a code list, or of the part of one whose column has one of these values."""
    part = None if isinstance(node.value, str) else node.mapping({"list", "column", "is"})
    named = node if part is None else part["list"]
    listed = conditions.collection.codes.get(named.text())
    if listed is None:
        named.refuse("tables.codes", codes=named.text())
    rows = listed.to_pylist()
    if part is not None:
        column, wanted = part["column"].text(), part["is"].words()
        if column not in listed.column_names:
            part["column"].refuse("rules.field", field=column, record=named.text())
        rows = [row for row in rows if str(row[column]) in wanted]
    found: dict[str, Text] = {}
    for row in rows:
        label = {lang: row.get(f"label_{lang}") or row["label_nb"] for lang in LANGUAGES}
        # A code of letters is ours alone and says no more than its name; one with digits is what the trade knows it by.
        shown = f"{row['code']} " if any(map(str.isdigit, row["code"])) else ""
        found.setdefault(row["code"], {lang: shown + text for lang, text in label.items()})
    return tuple(found.items())


def _rules(conditions: Conditions) -> tuple[tuple[str, Text], ...]:
    """Name each rule by its number and the fields that it points at."""
    layout = conditions.collection.layout
    named = []
    for rule in conditions.book.rules.values():
        about = layout.records.get(rule.record) or layout.header
        fields = [about.fields[check.field] for check in rule.checks if check.field in about.fields]
        labels = {lang: dict.fromkeys(each.label[lang] for each in fields) for lang in LANGUAGES}
        named.append((rule.id, {lang: " ".join([rule.id, ", ".join(labels[lang])]).strip() for lang in LANGUAGES}))
    return tuple(named)
