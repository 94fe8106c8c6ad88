"""The feedback as one page that needs nothing beside it: no script, no address it loads from, printable."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import pyarrow.compute as pc
from jinja2 import Environment, PackageLoader, StrictUndefined

from ipis.kernel.calendar import OSLO

if TYPE_CHECKING:
    from datetime import datetime

    from jinja2 import Template

    from ipis.ssb.feedback.contents import Contents
    from ipis.ssb.tables.compute import ControlTable

SHOWN = 100
"""Records listed under a rule on the page; how many more there are, and where they stand, is said."""


@dataclass(frozen=True, slots=True)
class Group:
    """The standing findings of one rule."""

    rule: str
    level: str
    message: str
    effect: str
    count: int
    new: int
    rows: list[dict[str, object]]


def render_page(contents: Contents) -> bytes:
    """Write the page."""
    groups = _groups(contents)
    return (
        _template()
        .render(
            c=contents,
            t=contents.texts,
            groups=groups,
            levels={level: [g for g in groups if g.level == level] for level in contents.levels()},
            tables=[(table, _columns(table)) for table in contents.tables],
            moment=_moment,
            shown=SHOWN,
            counts=_counts_for(contents.phase),
        )
        .encode()
    )


@cache
def _template() -> Template:
    loader = PackageLoader("ipis.ssb.feedback")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["number"] = _number
    return environment.get_template("tilbakemelding.html")


def _groups(contents: Contents) -> list[Group]:
    standing = contents.standing
    found = []
    for rule in pc.unique(standing["rule"]).to_pylist():
        part = standing.filter(pc.equal(standing["rule"], rule))
        rows = part.slice(0, SHOWN).to_pylist()
        messages = {row["message"] for row in rows}
        found.append(
            Group(
                rule=rule,
                level=rows[0]["level"],
                message=rows[0]["message"] if len(messages) == 1 else "",
                effect=rows[0]["effect"],
                count=part.num_rows,
                new=pc.sum(pc.equal(part["status"], "new")).as_py(),
                rows=rows,
            )
        )
    return sorted(found, key=lambda group: -group.count)


def _columns(table: ControlTable) -> list[str]:
    """Name the figures worth a column: last year and the nation only where there are any."""
    columns = ["this"]
    if any(row.last_year is not None for row in table.rows):
        columns += ["last_year", "change"]
    if any(row.nation is not None for row in table.rows):
        columns.append("nation")
    return columns


def _counts_for(phase: str) -> str:
    return {"open": "march_and_june", "late": "june"}.get(phase, "none")


def _moment(at: datetime) -> str:
    return at.astimezone(OSLO).strftime("%d.%m.%Y %H:%M")


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}".replace(",", "\u202f")
