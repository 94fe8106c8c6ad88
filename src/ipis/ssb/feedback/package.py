"""The zip that the municipality fetches: AES-256 (AE-2), opened by the PIN used at the submission (L17 §4.6)."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pyzipper

from ipis.kernel.calendar import OSLO
from ipis.ssb.feedback.cells import write_csv
from ipis.ssb.feedback.feilliste import COLUMNS
from ipis.ssb.feedback.page import render_page
from ipis.ssb.feedback.sheets import render_workbook

if TYPE_CHECKING:
    from datetime import datetime

    from ipis.kernel.secret import Secret
    from ipis.ssb.feedback.contents import Contents

_LEVEL = 6


def zip_name(register: str, kommune: str, bydel: str, at: datetime, earlier_today: int) -> str:
    """Name the zip as in L17 §4.5; a second one the same day ends in `-2`."""
    day = at.astimezone(OSLO).strftime("%Y%m%d")
    again = f"-{earlier_today + 1}" if earlier_today else ""
    return f"{kommune}{bydel}_{register}_tilbakemelding_{day}{again}.zip"


def render_files(contents: Contents) -> dict[str, bytes]:
    """Write every file of the package, by name."""
    columns = [contents.feilliste[column].to_pylist() for column in COLUMNS]
    files = {
        "tilbakemelding.html": render_page(contents),
        "feilliste.csv": write_csv(COLUMNS, zip(*columns, strict=True)),
        "feilliste.xlsx": render_workbook(contents),
    }
    for table in contents.tables:
        language, keys = contents.texts.language, table.definition.keys
        figures = ("this", "last_year", "change", "nation")
        header = [*(key.label[language] for key in keys), "", *(contents.texts[f"table.{each}"] for each in figures)]
        rows = ([*said, *numbers] for said, numbers in table.lines(language))
        files[f"{table.definition.id}.csv"] = write_csv(header, rows)
    files["om.json"] = _about(contents)
    return files


def close_zip(files: dict[str, bytes], password: Secret) -> bytes:
    """Put the files in a zip that only the password opens."""
    target = io.BytesIO()
    with pyzipper.AESZipFile(
        target, "w", compression=pyzipper.ZIP_DEFLATED, compresslevel=_LEVEL, encryption=pyzipper.WZ_AES
    ) as archive:
        archive.setencryption(pyzipper.WZ_AES, nbits=256)
        archive.setpassword(password.reveal().encode())
        for name, content in files.items():
            archive.writestr(name, content)
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
        "levels": contents.levels(),
        "tables": [table.definition.id for table in contents.tables],
    }
    return (json.dumps(about, indent=1) + "\n").encode()
