"""Answers that travel in the data part: findings of which the municipality says "this is right as it is".

The form is docs/spec/forsendelse.md §7.1. An answer names a finding's key (rule, record, brukerNr, id, field), its ids
as local keys.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel.errors import ParcelRefused

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ipis.kernel.layout import Layout

SVAR: Final = "svar"
SVAR_SCHEMA: Final = pa.schema(
    [
        pa.field("rule", pa.string(), nullable=False),
        pa.field("record", pa.string(), nullable=False),
        pa.field("brukerNr", pa.int64()),
        pa.field("id", pa.int64()),
        pa.field("field", pa.string(), nullable=False),
        pa.field("begrunnelse", pa.string(), nullable=False),
    ]
)
"""One row an answer; `brukerNr` and `id` are local keys, null where the finding shows none."""
ID_COLUMNS: Final = ("brukerNr", "id")
KEY_COLUMNS: Final = ("rule", "record", "brukerNr", "id", "field")
LONGEST: Final = 500
"""The most characters of a begrunnelse."""
RULE: Final = re.compile(r"[A-Z][0-9]{3}", re.ASCII)
_FIELD: Final = r"^([A-Za-z][A-Za-z0-9_]{0,39})?$"
_ORDER: Final = ("brukerNr", "id", "rule", "record", "field")


def in_order(answers: pa.Table) -> pa.Table:
    """Sort answers by random numbers before anything that tells of the extract (SVAR_SCHEMA in, the same out)."""
    keys = [(column, "ascending", "at_start") for column in _ORDER]
    return answers.take(pc.sort_indices(answers, sort_keys=keys))


def keys_in(answers: pa.Table | None) -> list[NDArray[np.int64]]:
    """Give the local keys that answers name, column by column."""
    if answers is None:
        return []
    return [pc.unique(answers[name]).drop_null().to_numpy(zero_copy_only=False) for name in ID_COLUMNS]


def as_read(answers: pa.Table) -> pa.Table:
    """Give `begrunnelse` as an eye reads it, for a look after numbers; the other columns as they are."""
    texts = pa.array([_as_read(text) for text in answers["begrunnelse"].to_pylist()], pa.string())
    return answers.set_column(answers.column_names.index("begrunnelse"), "begrunnelse", texts)


def _as_read(text: str) -> str:
    """Write digits of any width and script as 0-9, and leave out signs that do not show."""
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKC", text)
    return "".join(str(unicodedata.decimal(sign, sign)) for sign in plain if unicodedata.category(sign) != "Cf")


def check_answers(answers: pa.Table, layout: Layout, part: str) -> None:
    """Refuse answers out of form, about records that the layout does not know, or twice about one key."""
    records = pa.array([layout.header.name, *layout.records])
    fits = (
        pc.all(pc.match_substring_regex(answers["rule"], f"^{RULE.pattern}$")).as_py() is not False
        and pc.all(pc.is_in(answers["record"], value_set=records)).as_py() is not False
        and pc.all(pc.match_substring_regex(answers["field"], _FIELD)).as_py() is not False
        and (pc.max(pc.utf8_length(answers["begrunnelse"])).as_py() or 0) <= LONGEST
    )
    distinct = answers.group_by(list(KEY_COLUMNS)).aggregate([]).num_rows
    if not fits or distinct != answers.num_rows or not in_order(answers).equals(answers):
        raise ParcelRefused("parcel.answers", part=part)
