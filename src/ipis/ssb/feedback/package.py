"""The zip that the municipality fetches: AES-256 (AE-2), opened by the PIN used at the submission (L17 §4.6)."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyzipper

from ipis.kernel.calendar import OSLO
from ipis.lib.delimited import heading, joined_bytes, write_csv
from ipis.ssb.feedback.cells import decimal_sign
from ipis.ssb.feedback.feilliste import COLUMNS
from ipis.ssb.feedback.figures import TABLES, long_heading
from ipis.ssb.feedback.page import render_page
from ipis.ssb.feedback.sheets import render_workbook

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ipis.kernel.secret import Secret
    from ipis.ssb.feedback.contents import Contents
    from ipis.ssb.feedback.figures import Figures

_LEVEL = 3
INDICATORS = "indikatorer.csv"


def zip_name(register: str, kommune: str, bydel: str, at: datetime, earlier_today: int) -> str:
    """Name the zip as in L17 §4.5; a second one the same day ends in `-2`."""
    day = at.astimezone(OSLO).strftime("%Y%m%d")
    again = f"-{earlier_today + 1}" if earlier_today else ""
    return f"{kommune}{bydel}_{register}_tilbakemelding_{day}{again}.zip"


def render_files(contents: Contents, figures: Sequence[Figures] | None = None) -> dict[str, bytes]:
    """Write every file of the package, by name; `figures` are the control tables in words where they are ready."""
    tables = contents.figures() if figures is None else figures
    files = {
        "tilbakemelding.html": render_page(contents, tables),
        "feilliste.csv": write_csv(contents.feilliste.select(COLUMNS)),
        "feilliste.xlsx": render_workbook(contents, tables),
    }
    if tables:
        lines = (joined_bytes(each.lines) for each in tables)
        files[TABLES] = b"".join([heading(long_heading(contents.texts)), *lines])
    if contents.indicators:
        files[INDICATORS] = write_csv(_indicators(contents), decimal=decimal_sign(contents.texts.language))
    files["om.json"] = _about(contents)
    return files


def _indicators(contents: Contents) -> pa.Table:
    texts, rows, language = contents.texts, contents.indicators, contents.texts.language
    figures = {
        name: [None if (figure := getattr(row, name)) is None else round(figure, row.decimals) for row in rows]
        for name in ("value", "if_corrected", "last_year", "nation")
    }
    named = {
        texts["indicators.id"]: pa.array([row.id for row in rows]),
        texts["indicators.name"]: pa.array([contents.name_of(row) for row in rows]),
        texts["indicators.unit"]: pa.array([row.unit[language] for row in rows]),
        **{texts[f"indicators.{name}"]: pa.array(column, pa.float64()) for name, column in figures.items()},
        texts["indicators.open"]: pa.array([row.open_findings for row in rows]),
        texts["indicators.why"]: pa.array([contents.why_empty(row) for row in rows]),
    }
    return pa.table(named)


def close_zip(files: dict[str, bytes], password: Secret) -> bytes:
    """Put the files in a zip that only the password opens."""
    target = io.BytesIO()
    with pyzipper.AESZipFile(
        target, "w", compression=pyzipper.ZIP_DEFLATED, compresslevel=_LEVEL, encryption=pyzipper.WZ_AES
    ) as archive:
        archive.setencryption(pyzipper.WZ_AES, nbits=256)
        archive.setpassword(password.reveal().encode())
        for name, content in files.items():
            # A workbook is a zip already.
            how = pyzipper.ZIP_STORED if name.endswith(".xlsx") else pyzipper.ZIP_DEFLATED
            archive.writestr(name, content, compress_type=how)
    return target.getvalue()


def _about(contents: Contents) -> bytes:
    about = {
        "format": 1,
        "forsendelse": contents.forsendelse,
        "kommune": contents.kommune,
        "bydel": contents.bydel,
        "year": contents.year,
        "sequence": contents.sequence,
        "pack_version": contents.pack_version,
        "language": contents.texts.language,
        "findings": contents.statuses,
        "problems": {name: tally.problems for name, tally in contents.tallies.items()},
        "levels": contents.levels(),
        "tables": [table.definition.id for table in contents.tables],
    }
    return (json.dumps(about, indent=1) + "\n").encode()
