"""The page that `check --report` writes: one file, no script, readable by whoever has to correct the records.

It holds what the municipality's own rows hold – brukerNr, ids, values – and no identity number: for its eyes alone.
"""

from __future__ import annotations

import tomllib
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jinja2

from ipis.kernel.calendar import OSLO
from ipis.validation.catalogue import Level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipis.kernel.seasonpack import SeasonPack
    from ipis.kommune.precheck import Checked
    from ipis.kommune.told import Group, Told

_TEMPLATES = "templates"


def page(checked: Checked, found: Told, season: SeasonPack, name: str) -> str:
    """Write the page in the language of the findings."""
    texts, collection = texts_of(found.language), season.collection
    header = checked.clear.header
    groups = found.groups()
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source), autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["number"] = lambda count: f"{count:,}".replace(",", "," if found.language == "en" else " ")
    return environment.get_template("check.html").render(
        language=found.language,
        t=texts,
        file=name,
        kommune=header.kommune,
        kommune_name=collection.kommuner[header.kommune],
        bydel="" if header.bydel == collection.no_bydel else header.bydel,
        year=collection.year,
        address=collection.addresses["ssb"],
        extracted=_moment(header.extracted_at, found.language),
        made=_moment(datetime.now(OSLO), found.language),
        records=_records(checked, season, found.language),
        outcome=checked.outcome.value,
        by_level={level: [group for group in groups if group.level is level] for level in reversed(Level)},
        label=lambda row: _label(row, season, found.language),
        record_label=lambda record: _record_label(record, season, found.language),
        about=lambda group: group.about(collection.layout, found.language),
        also=lambda group: ", ".join(f"{rule} ({count})" for rule, count in group.also.items()),
        anchor=lambda group: f"{group.rule}-{groups.index(group)}",
        persons=_persons_touched(groups),
        unassessed=_unassessed(checked),
    )


@cache
def texts_of(language: str) -> Mapping[str, Mapping[str, str]]:
    """Read the words of the page and of the command's summary: section -> key -> text."""
    found = tomllib.loads(_source("check.toml"))
    return {section: {key: text[language] for key, text in keys.items()} for section, keys in found.items()}


def _source(name: str) -> str:
    return files("ipis.kommune").joinpath(_TEMPLATES, name).read_text(encoding="utf-8")


def _moment(at: datetime, language: str) -> str:
    local = at.astimezone(OSLO)
    return local.strftime("%Y-%m-%d %H:%M" if language == "en" else "%d.%m.%Y kl. %H.%M")


def _records(checked: Checked, season: SeasonPack, language: str) -> list[tuple[str, int]]:
    """Count what was read, so that a record type that fell out of the extract is seen at once."""
    layout = season.collection.layout
    return [(record.label[language], checked.tables[name].num_rows) for name, record in layout.records.items()]


def _label(row: Mapping[str, Any], season: SeasonPack, language: str) -> str:
    layout = season.collection.layout
    record = layout.records.get(row["record"], layout.header)
    field = record.fields.get(row["field"])
    return field.label[language] if field is not None else ""


def _record_label(record: str, season: SeasonPack, language: str) -> str:
    layout = season.collection.layout
    return layout.records.get(record, layout.header).label[language]


def _persons_touched(groups: list[Group]) -> int:
    return len({row["brukerNr"] for group in groups for row in group.rows if row["brukerNr"] is not None})


def _unassessed(checked: Checked) -> list[tuple[str, str, int]]:
    """List what could not be judged, by rule and reason: silence is not a pass."""
    return [
        (rule, reason, count)
        for rule, verdict in checked.report.verdicts.items()
        for reason, count in sorted(verdict.reasons.items())
        if reason != "runs_elsewhere"
    ]
