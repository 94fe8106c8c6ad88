"""A rule author's desk: a small register of persons and services, rules written on the spot, rows written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from tests.validation.layout_toml import field, record, section, supplied

from ipis.kernel.collection import Collection, load, load_any
from ipis.kernel.definitions import DefinitionFolder
from ipis.validation import examples
from ipis.validation.findings import Report
from ipis.validation.run import run

YEAR = 2017
_FORM = {"form": "L002"}
LAYOUT = "\n".join([
    'format = "1.0"',
    record("uttrekk", kind="header"),
    field("uttrekk", "aargang", "int", length=4),
    field("uttrekk", "fraDato", "date", length=35),
    field("uttrekk", "tilDato", "date", length=35),
    field("uttrekk", "kommuneNr", "str", length=35),
    field("uttrekk", "uttakTid", "datetime", length=35),
    field("uttrekk", "innsending", "str", length=35),
    record("slutt", kind="trailer"),
    record("person", key_fields=["brukerNr"]),
    field("person", "brukerNr", "id", length=5, required=True, rules={"mandatory": "L001", **_FORM}),
    field("person", "doed", "date", length=10, rules=_FORM),
    supplied("person", alder="int16", id_reason="string"),
    record("ting", key_fields=["tid"], id_field="tid"),
    field("ting", "tid", "id", length=5, rules=_FORM),
    field("ting", "vist", "id"),
    field("ting", "kode", "code", length=2, codes=["01", "02", "03"], rules={"code": "L003"}),
    field("ting", "fra", "date", length=10, rules=_FORM),
    field("ting", "til", "date", length=10, rules=_FORM),
    field("ting", "n", "int", length=9, minimum=0, maximum=100, rules={**_FORM, "range": "L004"}),
    field("ting", "d", "dec", length=8, scale=2, rules=_FORM),
    field("ting", "tekst", "str"),
    field("ting", "A1", "code", length=1, codes=["1", "2"], rules={"code": "L003"}),
    field("ting", "A2", "code", length=1, codes=["1", "2"], rules={"code": "L003"}),
    section("ting.families", A=["A1", "A2"]),
    "",
])  # fmt: skip
_RULES = "\n".join(
    f'[rules.{name}]\nlevel = "feil"\neffect = "{effect}"\n'
    f'message = {{ nb = "{{label}} {{v}}. Ventet. Rett.", nn = "{{label}} {{v}}. Venta. Rett.", en = "{{label}} {{v}}. Expected. Do." }}'
    for name, effect in (
        ("L001", "hold_utenfor"),
        ("L002", "behold"),
        ("L003", "nullstill_felt"),
        ("L004", "nullstill_felt"),
    )
)
MESSAGE = "\n".join(f'    {key}: {{found: "Fant {{v}}.", expected: "Noe.", do: "Rett."}}' for key in ("nb", "nn", "en"))


def rule(require: str, where: str = "", *, number: str = "K900", record: str = "ting", more: str = "") -> str:
    """Write a rule record; what is more comes as further YAML lines."""
    lines = [f"- id: {number}", f"  record: {record}", "  level: feil", "  effect: hold_utenfor"]
    if where:
        lines.append(f"  where: {where}")
    lines += [f"  require: {require}", *(f"  {line}" for line in more.splitlines()), "  message:", MESSAGE]
    lines += ["  examples: {passes: [{}], breaks: [{}]}"]
    return "\n".join(lines) + "\n"


@cache
def _needed() -> dict[str, bytes]:
    """The members that every definition folder must have."""
    packaged = DefinitionFolder.packaged("iplos", YEAR)
    return {name: packaged[name] for name in ("collection.toml", "codes/kommuner.csv", "codes/successors.csv")}


def folder(
    rules: str = "", derived: str = "", codes: Mapping[str, str] | None = None, layout: str = LAYOUT
) -> DefinitionFolder:
    """Give a definition folder: 2017's own, with this layout and these rules in place of its own."""
    members = dict(_needed())
    members["layout.toml"] = f"{layout}\n{derived}\n{_RULES}\n".encode()
    members["codes/liste.csv"] = b"code,navn,tall,kode\n01,en,1,01\n02,to,2,02\n"
    members |= {f"codes/{name}.csv": text.encode() for name, text in (codes or {}).items()}
    if rules:
        members["rules/ting.yaml"] = rules.encode()
    return DefinitionFolder.from_members(members, "desk")


def collection(rules: str = "", derived: str = "", **more: Any) -> Collection:
    return load(folder(rules, derived, **more))


def any_collection(rules: str = "", derived: str = "", **more: Any) -> Collection:
    """Give a register without person and header."""
    return load_any(folder(rules, derived, **more))


def judge(
    known: Collection,
    *,
    at: str = "M",
    header: Mapping[str, str | None] | None = None,
    last_year: Mapping[str, list[dict[str, Any]]] | None = None,
    nation: Mapping[str, Any] | None = None,
    **rows: list[dict[str, Any]],
) -> Report:
    """Judge rows written by hand."""
    return run(
        known,
        tables(known, rows),
        at=at,
        header=header,
        last_year=None if last_year is None else tables(known, last_year),
        nation=nation,
    )


def tables(known: Collection, rows: Mapping[str, list[dict[str, Any]]]):
    given = {"person": [{"brukerNr": "1"}], **rows}
    return {name: examples.table(record, given.get(name, [])) for name, record in known.layout.records.items()}


def judged(require: str, rows: list[dict[str, Any]], where: str = "", derived: str = "", **more: Any):
    """Give the verdict of one rule on rows of `ting`."""
    known = collection(rule(require, where), derived)
    report = judge(known, ting=rows, **more)
    assert not report.culprits
    return report.verdicts["K900"]


def breaches(require: str, rows: list[dict[str, Any]], where: str = "", derived: str = "", **more: Any) -> list[int]:
    """Give the rows that one rule finds fault with."""
    report = judge(collection(rule(require, where), derived), ting=rows, **more)
    assert not report.culprits
    return [found["row"] for found in report.findings.table.to_pylist() if found["rule"] == "K900"]
