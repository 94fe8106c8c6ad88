"""JSON in one form: what is signed or hashed reads the same at every party, and nothing ambiguous is read."""

from __future__ import annotations

import hashlib
import json
from typing import NoReturn

from ipis.kernel.errors import ParcelRefused

MAX_BYTES = 4 << 20


def dumps(value: object) -> bytes:
    """Write the canonical form: sorted keys, no white space, integers only, UTF-8."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def loads(data: bytes, *, what: str, max_bytes: int = MAX_BYTES) -> dict[str, object]:
    """Read one object; refuse doubled keys, fractions and what is not canonical. `what` names the file."""
    if len(data) > max_bytes:
        raise ParcelRefused("parcel.json", what=what)

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(items)
        if len(found) != len(items):
            raise ParcelRefused("parcel.json_doubled_key", what=what)
        return found

    def fraction(_text: str) -> NoReturn:
        raise ParcelRefused("parcel.json", what=what)

    try:
        value = json.loads(data.decode(), object_pairs_hook=pairs, parse_float=fraction, parse_constant=fraction)
        same = isinstance(value, dict) and dumps(value) == data
    except (ValueError, RecursionError) as error:
        raise ParcelRefused("parcel.json", what=what) from error
    if not same:
        raise ParcelRefused("parcel.json", what=what)
    return dict(value)


def sha256(data: bytes) -> str:
    """Give the SHA-256 as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()
