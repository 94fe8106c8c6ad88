"""Root causes: findings that one correction mends are one problem, and the weightiest of them is told first.

A rule may name its problem and say what findings of it have in common (`problem: {name, by}`, docs/spec/rules.md);
rules that share the name share the problem. Without it every row that breaks a rule is a problem of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

BY_ROW, BY_BRUKER, BY_VALUE = "row", "bruker", "value"
LEVELS = ("kritisk", "feil", "advarsel", "info")
"""The heaviest first."""
EFFECTS = ("avvis_forsendelse", "hold_utenfor", "nullstill_felt", "behold")
_BETWEEN = "\x1f"
_ORDER = ("_last", "_level", "_effect", "_has_row", "rule", "record", "brukerNr", "id", "field", "row")


@dataclass(frozen=True, slots=True)
class Numbered:
    """Which problem each finding belongs to, and the order in which findings are read."""

    order: NDArray[np.int64]
    """Places of the findings, problem by problem, the weightiest problem first and its main finding first."""
    problem: NDArray[np.int32]
    """The problem of each finding, in that order: 1, 1, 2, …"""


def number(
    findings: pa.Table, named: Mapping[str, tuple[str, str]], *, last: NDArray[np.int8] | None = None
) -> Numbered:
    """Give each finding the number of its problem, and the order in which findings are read.

    `findings` has the columns rule, level, effect, record, row, brukerNr, id, field and value.

    `named` gives a rule's problem: its name and what its findings share (row, bruker, value). `last` puts findings
    behind all others (0 first), each a problem apart from what stands; brukerNr and id are empty where there is none.
    """
    behind = np.zeros(findings.num_rows, np.int8) if last is None else last
    places = np.asarray(_sorted(findings, behind), np.int64)
    codes = _causes(findings, named)[places]
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(1, len(first) + 1, dtype=np.int32)
    problem = rank[inverse]
    by_problem = np.argsort(problem, kind="stable")
    return Numbered(places[by_problem], problem[by_problem])


def _sorted(findings: pa.Table, behind: NDArray[np.int8]) -> pa.Array:
    keys = {
        "_last": pa.array(behind),
        "_level": _weights(findings["level"], LEVELS),
        "_effect": _weights(findings["effect"], EFFECTS),
        "_has_row": pc.is_valid(findings["row"]),
        **{name: findings[name] for name in _ORDER if not name.startswith("_")},
    }
    return pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending") for name in _ORDER])


def _weights(column: pa.ChunkedArray, order: tuple[str, ...]) -> pa.ChunkedArray:
    return pc.fill_null(pc.index_in(column, value_set=pa.array(order)), len(order))


def _causes(findings: pa.Table, named: Mapping[str, tuple[str, str]]) -> NDArray[np.int32]:
    """Give equal numbers to findings of one cause."""
    rules = findings["rule"].combine_chunks().dictionary_encode()
    known = [named.get(rule, (rule, BY_ROW)) for rule in rules.dictionary.to_pylist()]
    name, by = (
        pa.array([entry[part] for entry in known], pa.string()).take(rules.indices)
        if known
        else rules.cast(pa.string())
        for part in (0, 1)
    )
    bruker, value = (pc.fill_null(findings[column].combine_chunks(), "") for column in ("brukerNr", "value"))
    row = findings["row"].combine_chunks()
    # What is about the delivery has no row: each such finding stands for itself.
    own = pc.coalesce(row.cast(pa.int64()), pa.array(-1 - np.arange(len(row))))
    by_row = pc.binary_join_element_wise("row", findings["record"].combine_chunks(), own.cast(pa.string()), _BETWEEN)
    shared = pc.case_when(
        pc.make_struct(
            pc.and_(pc.equal(by, BY_BRUKER), pc.not_equal(bruker, "")),
            pc.and_(pc.equal(by, BY_VALUE), pc.not_equal(value, "")),
        ),
        pc.binary_join_element_wise("bruker", bruker, _BETWEEN),
        pc.binary_join_element_wise("value", value, _BETWEEN),
        by_row,
    )
    causes = pc.binary_join_element_wise(name, shared, _BETWEEN)
    return np.asarray(causes.dictionary_encode().indices, np.int32)
