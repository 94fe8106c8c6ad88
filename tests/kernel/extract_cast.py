"""Extracts of Testvik (0403) in all three forms, from one plain description; the numbers are synthetic (month + 80)."""

from pathlib import Path
from xml.sax.saxutils import quoteattr

import pyarrow as pa
import pyarrow.parquet as pq

from ipis.kernel.collection import packaged
from ipis.kernel.demo import demo_orgnr

COLLECTION = packaged("iplos", 2017)
LAYOUT = COLLECTION.layout
NESTED = [name for name in LAYOUT.records if name != "person"]


def header(**changes):
    year = COLLECTION.year
    return {
        "formatVersjon": "1.0",
        "aargang": str(year),
        "fraDato": f"{year}-01-01",
        "tilDato": f"{year}-12-31",
        "uttakTid": f"{year + 1}-01-02T09:30:00+01:00",
        "kommuneNr": "0403",
        "bydel": "00",
        "orgNr": demo_orgnr("0403"),
        "leverandor": "Testleverandør",
        "navnEPJ": "Prøve",
        "versjonEPJ": "1",
        "versjonUt": "1",
        "innsending": "1",
        **changes,
    }


def person(number="1", **more):
    return {
        "brukerNr": number,
        "fid": "01815012352",
        "typeID": "1",
        "bostedKommuneNr": "0403",
        "bostedBydel": "00",
        **more,
    }


def content():
    """Give (record, values) in nesting order: a person's rows follow the person."""
    return [
        ("person", person("1", legeDato="2017-02-03", privatHjelpTimer="3.5")),
        ("vedtak", {"vedtakId": "v1", "tjenesteKode": "15", "vedtakDato": "2016-12-31", "utfall": "1"}),
        ("tjeneste", {"tjenesteId": "t1", "vedtakId": "v1", "kode": "15", "startDato": "2017-01-01", "timerUke": "3"}),
        ("vurdering", {"dato": "2017-05-06", "F01": "1", "F17": "9"}),
        ("person", person("2", dodsDato="2017-02-30")),
        ("diagnose", {"diagNr": "1", "kodeverk": "1", "kode": "P70", "dato": "2017"}),
        ("tjeneste", {"tjenesteId": "t2", "kode": "1", "startDato": "i går", "timerUke": "to", "dognUke": "0.5"}),
        ("deltakelse", {"dato": "2017-01-01", "arbeidBehov": "1"}),
    ]


def counts(rows):
    fields = LAYOUT.trailer.fields.values()
    return {f.name: str(sum(record == f.counts for record, _ in rows)) for f in fields if f.counts}


def element(record, values, close="/"):
    return f"<{record.element}" + "".join(f" {k}={quoteattr(v)}" for k, v in values.items()) + f"{close}>"


def xml(rows=None, head=None, trailer=None):
    """Write the extract as XML text."""
    rows = content() if rows is None else rows
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', element(LAYOUT.header, head or header(), "")]
    opened = False
    for name, values in rows:
        record = LAYOUT.records[name]
        if name == "person":
            lines += ["  </Person>"] * opened + ["  " + element(record, values, "")]
            opened = True
        else:
            lines.append("    " + element(record, values))
    lines += ["  </Person>"] * opened
    lines += ["  " + element(LAYOUT.trailer, counts(rows) if trailer is None else trailer), "</Uttrekk>"]
    return "\n".join(lines) + "\n"


def write_xml(folder: Path, *args, **more) -> Path:
    path = folder / "uttrekk.xml"
    path.write_text(xml(*args, **more), encoding="utf-8")
    return path


def flat(rows=None, head=None, trailer=None):
    """Give the extract as tables of texts: record -> columns."""
    rows = content() if rows is None else rows
    tables = {"uttrekk": [head or header()], "slutt": [counts(rows) if trailer is None else trailer]}
    number = None
    for name, values in rows:
        number = values.get("brukerNr", number) if name == "person" else number
        tables.setdefault(name, []).append({"brukerNr": number, **values} if name != "person" else values)
    return tables


def write_csv(folder: Path, tables, encoding="utf-8") -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in tables.items():
        names = list(dict.fromkeys(key for row in rows for key in row))
        lines = [";".join(names), *(";".join(_cell(row.get(key)) for key in names) for row in rows)]
        (folder / f"{name}.csv").write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return folder


def _cell(value):
    if value is None:
        return ""
    return '"' + value.replace('"', '""') + '"' if set(value) & set(';"') else value


def write_parquet(folder: Path, tables) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in tables.items():
        names = list(dict.fromkeys(key for row in rows for key in row))
        columns = {key: pa.array([row.get(key) for row in rows], pa.string()) for key in names}
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return folder
