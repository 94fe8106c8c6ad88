"""Writes, per collection year, the page of the record layout and the XML schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from ipis.kernel.collection import Collection, packaged, packaged_years
from ipis.kernel.layout import Field, Kind, RecordType
from ipis.kernel.xsd import schema

REGISTER = "iplos"
FOLDER = "docs/generated"

FORMS = """## The three forms

**XML**, one file: UTF-8 (a byte-order mark may stand first), XML 1.0 without DOCTYPE, values in attributes,
`Uttrekk > Person > (the other records)*`, and `Slutt` last. Before `<Uttrekk` stands at most 64 KiB. A value has at
most 1,000 characters, a record at most 100 attributes. Nested records take `brukerNr` from their person; one that
states another is refused. The schema beside this page checks the structure only.

**CSV**, one folder: `<record>.csv` for each record type below (capitals do not matter), `uttrekk.csv` and `slutt.csv`
with one row each. `;` between the columns, a heading with the field names in any order, one line per row, UTF-8 or
Windows-1252 (found out and said; one encoding in all files), `"` around a value that holds `;`. A column that is not
used may be left out.

**Parquet**, one folder: `<record>.parquet` likewise; columns of text, or whole numbers, decimals and days as such.

An empty value is an absent one. The same content gives the same tables and findings in each form; a flat file can
besides show rows whose person does not exist. In flat files a row belongs to the first person with its `brukerNr`, so a
person without a number has no rows there.
Dates are `yyyy-mm-dd` from 1900 to 2099; decimals have a point; a service code may lack its leading zero."""

TRAILER = {
    "sha256": "SHA-256, in hexadecimal, of the bytes of the XML file before `<Slutt`; empty in CSV and Parquet",
}
"""What the reader (`ipis.kernel.extract_xml`) compares; the counts name their record types themselves."""


def generate() -> dict[str, str]:
    """Give the pages and schemas of all years in the package."""
    years = [packaged(REGISTER, year) for year in packaged_years(REGISTER)]
    made = {f"{FOLDER}/layout-{each.register}-{each.year}.md": _page(each) for each in years}
    return made | {f"{FOLDER}/{each.register}-{each.year}.xsd": schema(each.layout) for each in years}


def _page(year: Collection) -> str:
    lines = [f"# Record layout {year.register.upper()} {year.year}", ""]
    lines += [f"“IPIS uttrekk {year.layout.format}”: one file is one municipality, district and year.", "", FORMS, ""]
    lines += _record(year.layout.header, _header_values(year))
    for record in year.layout.records.values():
        lines += _record(record, {})
    lines += _record(year.layout.trailer, TRAILER)
    lines += ["## Faults that only the layout names", "", "| rule | level | effect | message |", "|---|---|---|---|"]
    lines += [f"| {r.id} | {r.level} | {r.effect} | {r.message['nb']} |" for r in year.layout.rules.values()]
    lines += ["", "## Code lists", ""]
    used = {field.codes for _, field in year.layout.every_field() if isinstance(field.codes, str)}
    for name in sorted(used):
        lines += _code_list(name, year.codes[name])
    lines += ["Municipalities, districts and inhabitants: Statistics Norway’s open data."]
    return "\n".join(lines) + "\n"


def _header_values(year: Collection) -> dict[str, str]:
    """Say what `ipis.kernel.header` wants in the header of this year."""
    agreed = "; another only where districts are agreed" if year.agreements else ""
    return {
        "formatVersjon": f"`{year.layout.format}`",
        "aargang": f"`{year.year}`",
        "fraDato": f"`{year.begins_on.isoformat()}`",
        "tilDato": f"`{year.ends_on.isoformat()}`",
        "uttakTid": f"ISO 8601 with offset, as `{year.window.opens_at.isoformat(timespec='seconds')}`",
        "kommuneNr": f"a municipality of {year.year}",
        "bydel": f"`{year.no_bydel}`{agreed}",
        "orgNr": "the number that answers for the municipality in the season pack",
    }


def _record(record: RecordType, more: Mapping[str, str]) -> list[str]:
    heading = {"record": "", "header": " (header)", "trailer": " (trailer)"}[record.kind]
    lines = [f"## {record.element}{heading}: {record.label['nb']}", ""]
    if record.key_fields:
        lines += [f"File name `{record.name}`, key {', '.join(f'`{name}`' for name in record.key_fields)}.", ""]
    lines += ["| field | | type | required | values | rules |", "|---|---|---|---|---|---|"]
    lines += [f"| {' | '.join(_cells(field, more.get(field.name, '')))} |" for field in record.fields.values()]
    return [*lines, ""]


def _cells(field: Field, more: str) -> Iterator[str]:
    yield f"`{field.name}`"
    yield field.label["nb"] + (" *(identity part only)*" if field.identity else "")
    yield _type(field)
    yield "yes" if field.required else ""
    yield "; ".join(filter(None, (more, _values(field))))
    yield ", ".join(f"{kind} {rule}" for kind, rule in field.rules.items())


def _type(field: Field) -> str:
    size = f"{field.length},{field.scale}" if field.kind is Kind.DEC else str(field.length)
    return f"{field.kind} {size}"


def _values(field: Field) -> str:
    said = []
    if isinstance(field.codes, tuple):
        said.append(", ".join(field.codes) or "none in this year")
    elif field.codes is not None:
        said.append(f"list [{field.codes}](#{field.codes})")
    if field.pattern is not None:
        said.append("`" + field.pattern.replace("|", "\\|") + "`" + (", modulus 11" if field.check else ""))
    if field.minimum is not None:
        said.append(f"{field.minimum}–{'' if field.maximum is None else field.maximum}")
    if field.counts is not None:
        said.append(f"number of {field.counts} records")
    return "; ".join(said)


def _code_list(name: str, table: pa.Table) -> list[str]:
    if table.num_rows > 60:
        return [f"### {name}", "", f"{table.num_rows} values, see `codes/{name}.csv` in the definitions.", ""]
    columns = [column for column in table.column_names if column not in {"label_nn", "label_en"}]
    lines = [f"### {name}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    rows = (
        ["" if value is None else str(value) for value in row.values()] for row in table.select(columns).to_pylist()
    )
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]
