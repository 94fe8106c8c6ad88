"""A column of strings as rows of bytes of one width: what arithmetic on digits starts from."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

_BLOCK = 16_384


def blocks(count: int) -> Iterator[slice]:
    """Cut a column in parts whose bytes and intermediate columns stay in the processor's cache."""
    for start in range(0, count, _BLOCK):
        yield slice(start, min(start + _BLOCK, count))


def byte_rows(strings: pa.Array, width: int) -> tuple[NDArray[np.int64], Bytes]:
    """Give byte lengths (n) and the first bytes of each string (n × width), filled up with zero."""
    count = len(strings)
    lengths, matrix = np.empty(count, np.int64), np.empty((count, width), np.uint8)
    for rows in blocks(count):
        lengths[rows], matrix[rows] = _block_matrix(strings.slice(rows.start, rows.stop - rows.start), width)
    return lengths, matrix


def _block_matrix(strings: pa.Array, width: int) -> tuple[NDArray[np.int64], Bytes]:
    count = len(strings)
    _, offsets_buffer, data_buffer = strings.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[strings.offset : strings.offset + count + 1].astype(np.int64)
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else np.zeros(0, np.uint8)
    lengths = np.diff(offsets)
    length = int(lengths[0])
    if 0 < length <= width and (lengths == length).all():
        return lengths, _rows_of_one_length(data[offsets[0] : offsets[-1]], length, width)
    padded = np.concatenate([data[offsets[0] : offsets[-1]], np.zeros(width, np.uint8)])
    # All bytes of a row as one element: numpy then copies them at once instead of looping over each row.
    windows = np.ndarray((len(padded) - width + 1,), f"V{width}", padded, strides=(1,))
    matrix: Bytes = windows[offsets[:-1] - offsets[0]].view(np.uint8).reshape(count, width)
    occurring = np.flatnonzero(np.bincount(np.minimum(lengths, width)))
    for length in occurring.tolist():
        rows = slice(None) if len(occurring) == 1 else np.flatnonzero(lengths == length)
        matrix[rows, length:] = 0
    return lengths, matrix


def _rows_of_one_length(data: Bytes, length: int, width: int) -> Bytes:
    """Lay strings that stand end to end in rows; a row is one element, copied at once."""
    rows = np.zeros(len(data) // length, np.dtype({"names": ["text"], "formats": [f"V{length}"], "itemsize": width}))
    rows["text"] = data.view(f"V{length}")
    matrix: Bytes = rows.view(np.uint8).reshape(-1, width)
    return matrix


def all_digits(digits: Bytes, lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which rows hold ASCII digits over their whole length."""
    whole = np.ones(len(digits), np.bool_)
    for rows in blocks(len(digits)):
        are_digits = digits[rows] - np.uint8(ord("0")) <= np.uint8(9)
        # A row has no more digits than its length, so equal sums say that all rows are whole.
        if np.count_nonzero(are_digits) != lengths[rows].sum():
            whole[rows] = np.count_nonzero(are_digits, axis=1) == lengths[rows]
    return whole
