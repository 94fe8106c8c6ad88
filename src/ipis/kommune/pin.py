"""The PIN of the KOSTRA letter: read from a file or asked for without showing it, and kept as a secret from then on."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Final

import typer

from ipis.kernel.collection import PinForm
from ipis.kernel.errors import Misuse
from ipis.kernel.secret import Secret

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def read_pin(file: Path | None, form: PinForm | None = None) -> Secret:
    """Read the PIN from the first line of a file, else ask; refuse one that is empty or has not the year's form."""
    if file is None:
        text = str(typer.prompt("PIN", hide_input=True, err=True))
    elif file.is_file():
        text = file.read_text(encoding="utf-8").partition("\n")[0]
    else:
        raise Misuse("pin.no_file", file=file.name)
    text = text.strip()
    if not text:
        raise Misuse("pin.empty")
    if form is not None and not (
        form.minimum_length <= len(text) <= form.maximum_length and re.fullmatch(form.pattern, text)
    ):
        raise Misuse("pin.form", least=form.minimum_length, most=form.maximum_length)
    return Secret(text)


def draw_feedback_code() -> Secret:
    """Draw 12 letters of Crockford's alphabet: a short PIN alone falls in seconds offline (architecture §2.8)."""
    return Secret("".join(secrets.choice(_CROCKFORD) for _ in range(12)))
