"""The feedback as one page that needs nothing beside it: no script, no address it loads from, printable."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, StrictUndefined

from ipis.ssb.feedback.feilliste import Status
from ipis.ssb.tables.compare import FIGURES

if TYPE_CHECKING:
    from jinja2 import Template

    from ipis.ssb.feedback.contents import Contents
    from ipis.ssb.tables.compare import ControlTable

SHOWN = 100
"""Records listed under a rule on the page; how many more there are, and where they stand, is said."""
_KEYS = ("brukerNr", "record", "id", "field")
_WORDS = ("found", "expected", "do")


@dataclass(frozen=True, slots=True)
class Group:
    """The findings of one rule about one field, which are met in one way."""

    rule: str
    level: str
    effect: str
    count: int
    persons: int
    new: int
    said: dict[str, str]
    """Found, expected and do, where they are the same for all; else empty and in `columns`."""
    example: str
    """What was found in the first, where each has its own words."""
    columns: tuple[str, ...]
    """The columns that tell the findings apart; none for a finding about the delivery."""
    rows: list[dict[str, object]]


def render_page(contents: Contents) -> bytes:
    """Write the page."""
    standing = _groups(contents.standing, contents)
    fixed = contents.feilliste.filter(pc.equal(contents.feilliste["status"], Status.FIXED.value))
    return (
        _template()
        .render(
            c=contents,
            t=contents.texts,
            levels={level: [group for group in standing if group.level == level] for level in contents.levels()},
            fixed=_groups(fixed, contents),
            tables=[(table, _figures(table)) for table in contents.tables],
            shown=SHOWN,
            figures=FIGURES,
        )
        .encode()
    )


@cache
def _template() -> Template:
    loader = PackageLoader("ipis.ssb.feedback")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    return environment.get_template("tilbakemelding.html")


def _groups(findings: pa.Table, contents: Contents) -> list[Group]:
    """Put together what is met in one way: what is about the whole delivery first, then the most frequent."""
    numbered = findings.select(["rule", "record", "field"]).append_column("n", pa.array(range(findings.num_rows)))
    listed = numbered.group_by(["rule", "record", "field"]).aggregate([("n", "list")])["n_list"]
    groups = [_group(findings.take(places.values), contents) for places in listed]
    return sorted(groups, key=lambda group: (bool(group.columns), -group.count, group.rule))


def _group(part: pa.Table, contents: Contents) -> Group:
    first = part.slice(0, 1).to_pylist()[0]
    said = {word: first[word] if len(pc.unique(part[word])) == 1 else "" for word in _WORDS}
    columns = [column for column in (*_KEYS, "value") if pc.any(pc.not_equal(part[column], "")).as_py()]
    if contents.sequence > 1 and first["status"] != Status.FIXED.value:
        columns.append("status")
    return Group(
        rule=first["rule"],
        level=first["level"],
        effect=first["effect"],
        count=part.num_rows,
        persons=len(set(part["brukerNr"].to_pylist()) - {""}),
        new=pc.sum(pc.equal(part["status"], Status.NEW.value)).as_py(),
        said=said,
        example="" if said["found"] else first["found"],
        columns=(*columns, *(word for word in _WORDS if not said[word])) if _has_keys(part) else (),
        rows=part.slice(0, SHOWN).to_pylist(),
    )


def _has_keys(part: pa.Table) -> bool:
    return bool(pc.any(pc.or_(pc.not_equal(part["brukerNr"], ""), pc.not_equal(part["id"], ""))).as_py())


def _figures(table: ControlTable) -> list[str]:
    """Name the figures worth a column: last year and the nation only where there are any."""
    filled = {name for name in FIGURES if table.frame[name].null_count < table.frame.num_rows}
    return [name for name in FIGURES if name == "this" or name in filled]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}".replace(",", "\u202f")
