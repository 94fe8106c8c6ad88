"""What a run answers: findings as one table, verdicts counted by rule, and messages filled in whole columns."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ipis.validation.catalogue import Level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipis.kernel.layout import Layout
    from ipis.validation.catalogue import Rule

FINDINGS = pa.schema(
    [
        pa.field("rule", pa.string(), nullable=False),
        pa.field("record", pa.string(), nullable=False),
        pa.field("row", pa.int32()),
        pa.field("field", pa.string(), nullable=False),
        pa.field("value", pa.string()),
        pa.field("shown", pa.list_(pa.string())),
    ]
)
"""One row a finding: `row` is the record's `_row`, null where the finding is about the delivery; `field` the one to
correct; `value` as it stood (never of an identity field or an id); `shown` the values that the message names."""

_ISO_DAY = r"^([0-9]{4})-([0-9]{2})-([0-9]{2})$"
_NUMBER = r"^(-?[0-9]+)\.([0-9]{1,2})$"
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one rule judged the rows it runs over; `outside` are those that its `where` leaves out."""

    ok: int = 0
    breach: int = 0
    not_assessed: int = 0
    outside: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Verdict) -> Verdict:
        """Count two parts of one rule together."""
        return Verdict(
            self.ok + other.ok,
            self.breach + other.breach,
            self.not_assessed + other.not_assessed,
            self.outside + other.outside,
            dict(Counter(self.reasons) + Counter(other.reasons)),
        )


@dataclass(frozen=True, slots=True)
class Texts:
    """What messages need besides the findings: the rules, the layout's labels and bounds, and the year."""

    rules: Mapping[str, Rule]
    layout: Layout
    year: int

    def constants(self, record: str, name: str, language: str) -> dict[str, str]:
        """Give what a message may say of a field, whatever the row."""
        known = self.layout.records.get(record) or self.layout.header
        about = known.fields.get(name)
        values = {"year": str(self.year), "record": known.label[language]}
        if about is not None:
            bounds = {"minimum": about.minimum, "maximum": about.maximum, "length": about.length}
            values |= {"label": about.label[language], "field": about.label[language]}
            values |= {key: str(bound) for key, bound in bounds.items() if bound is not None}
        return values


@dataclass(frozen=True, slots=True)
class Findings:
    """All findings of a run, in order of rule and row."""

    table: pa.Table
    texts: Texts

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def count_by_rule(self) -> dict[str, int]:
        """Count the findings of each rule that made any."""
        return _counted(self.table["rule"])

    def count_by_level(self) -> dict[str, int]:
        """Count the findings of each level, the levels without any included."""
        counts = dict.fromkeys((level.value for level in Level), 0)
        for rule, count in self.count_by_rule().items():
            counts[self.texts.rules[rule].level.value] += count
        return counts

    def messages(self, language: str) -> pa.Array:
        """Write the message of every finding: what was found, what was expected, what to do now."""
        return pc.binary_join_element_wise(*self.parts(language), " ")

    def parts(self, language: str) -> tuple[pa.Array, pa.Array, pa.Array]:
        """Write the three parts of every finding's message as three columns."""
        if not len(self):
            empty = pa.array([], pa.string())
            return empty, empty, empty
        groups = self.table.select(["rule", "record", "field"]).append_column("n", pa.array(range(len(self))))
        listed = groups.group_by(["rule", "record", "field"]).aggregate([("n", "list")]).to_pylist()
        written: list[tuple[pa.Array, pa.Array, pa.Array]] = []
        for group in listed:
            rows = self.table.take(pa.array(group["n_list"]))
            written.append(self._write(rows, group["rule"], group["record"], group["field"], language))
        order = pc.sort_indices(pa.array([place for group in listed for place in group["n_list"]]))
        found, expected, do = (pa.concat_arrays([parts[i] for parts in written]).take(order) for i in range(3))
        return found, expected, do

    def _write(
        self, rows: pa.Table, rule_id: str, record: str, name: str, language: str
    ) -> tuple[pa.Array, pa.Array, pa.Array]:
        rule = self.texts.rules[rule_id]
        constants = self.texts.constants(record, name, language)
        columns = {"v": rows["value"], "value": rows["value"]}
        shown = rows["shown"].combine_chunks()
        for place, column in enumerate(rule.shows):
            columns[column.rpartition(".")[2]] = _with_comma(pc.list_element(shown, place), language)
        values = {key: _readable(column, language) for key, column in columns.items()}
        text = rule.message[language]
        found, expected, do = (
            _fill(template, values, constants, rows.num_rows) for template in (text.found, text.expected, text.do)
        )
        return found, expected, do


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    return {item["values"]: item["counts"] for item in pc.value_counts(column.combine_chunks()).to_pylist()}


def _readable(column: pa.Array | pa.ChunkedArray, language: str) -> pa.Array:
    """Write days as the language does; a value that is not there reads as a dash."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    filled = pc.fill_null(column.cast(pa.string()), "–")
    return filled if language == "en" else pc.replace_substring_regex(filled, _ISO_DAY, r"\3.\2.\1")


def _with_comma(numbers: pa.Array, language: str) -> pa.Array:
    """Write computed numbers with the decimal sign of the language; what stood in a field is shown as it stood."""
    return numbers if language == "en" else pc.replace_substring_regex(numbers, _NUMBER, r"\1,\2")


def _fill(template: str, values: Mapping[str, pa.Array], constants: Mapping[str, str], count: int) -> pa.Array:
    """Put a column's values, or the same words, where the template names them; nothing in a value is read again."""
    pieces: list[object] = []
    for place, piece in enumerate(_PLACEHOLDER.split(template)):
        if place % 2 == 0:
            pieces.append(piece)
        else:
            pieces.append(values[piece] if piece in values else constants.get(piece, "{" + piece + "}"))
    if not any(isinstance(piece, pa.Array) for piece in pieces):
        return pa.array(["".join(map(str, pieces))] * count, pa.string())
    return pc.binary_join_element_wise(*(pa.scalar(p) if isinstance(p, str) else p for p in pieces), "")


def placeholders(template: str) -> set[str]:
    """List what a message names."""
    return set(_PLACEHOLDER.findall(template))


def has_stray_brace(template: str) -> bool:
    """Tell whether a message has a brace that belongs to no name; it would reach people as it stands."""
    return bool(set("{}") & set(_PLACEHOLDER.sub("", template)))


@dataclass(frozen=True, slots=True)
class Report:
    """The answer of a run: findings, verdicts by rule, and the rules and derived columns that could not be run."""

    findings: Findings
    verdicts: Mapping[str, Verdict]
    culprits: Mapping[str, str]

    @property
    def refused(self) -> bool:
        """Tell whether a finding of level kritisk says that the extract cannot be accepted."""
        return self.findings.count_by_level()[Level.KRITISK] > 0
