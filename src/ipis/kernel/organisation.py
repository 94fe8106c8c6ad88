"""Organisation numbers: nine digits, modulus 11, first digit 8 or 9 (python-stdnum accepts any first digit)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

WEIGHTS = (3, 2, 7, 6, 5, 4, 3, 2, 1)
"""Of the nine digits, the check digit last; the weighted sum of a valid number is a multiple of 11."""

PATTERN = r"^[89][0-9]{8}$"


def is_orgnr(text: str) -> bool:
    """Tell whether a text is an organisation number by form and check digit; whether it exists is not asked."""
    if len(text) != len(WEIGHTS) or not text.isascii() or not text.isdigit() or text[0] not in "89":
        return False
    return sum(int(digit) * weight for digit, weight in zip(text, WEIGHTS, strict=True)) % 11 == 0


def are_orgnr(texts: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Tell it for a whole column; false where null."""
    shaped = pc.match_substring_regex(texts, PATTERN).fill_null(False)
    valid = np.asarray(shaped).astype(bool)
    joined = "".join(pc.filter(texts, shaped).to_pylist()).encode("ascii")
    digits = np.frombuffer(joined, dtype=np.uint8).reshape(-1, len(WEIGHTS)).astype(np.int32) - ord("0")
    valid[valid] = (digits @ np.array(WEIGHTS, dtype=np.int32)) % 11 == 0
    return valid
