"""The feilliste summed by rule: how many problems, findings and persons, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ipis.ssb.feedback.feilliste import Status
from ipis.validation.problems import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence


def by_rule(feilliste: pa.Table) -> pa.Table:
    """Sum the feilliste: rule, level, found and do of the first, problems, findings, persons and one column a status.

    `wordings` tells in how many ways it was found: more than one, and the first is an example.
    A problem counts once under each rule that has findings of it; `findings` adds up to the length of the list.
    """
    statuses = {
        status.value: pc.equal(feilliste["status"], status.value).combine_chunks().cast(pa.int32()) for status in Status
    }
    person = pc.if_else(pc.equal(feilliste["brukerNr"], ""), None, feilliste["brukerNr"])
    columns = {name: feilliste[name] for name in ("rule", "level", "found", "do", "problem")}
    counted = pa.table({**columns, "person": person, **statuses})
    summed = counted.group_by("rule", use_threads=False).aggregate(
        [
            *((name, "first") for name in ("level", "found", "do")),
            ("found", "count_distinct"),
            ("problem", "count_distinct"),
            ("rule", "count"),
            ("person", "count_distinct", pc.CountOptions(mode="only_valid")),
            *((status, "sum") for status in statuses),
        ]
    )
    weight = pc.index_in(summed["level_first"], value_set=pa.array(LEVELS))
    named = pa.table(
        {
            "rule": summed["rule"],
            "level": summed["level_first"],
            "found": summed["found_first"],
            "wordings": summed["found_count_distinct"],
            "do": summed["do_first"],
            "problems": summed["problem_count_distinct"],
            "findings": summed["rule_count"],
            "persons": summed["person_count_distinct"],
            **{status: summed[f"{status}_sum"] for status in statuses},
            "weight": weight,
        }
    )
    return named.sort_by(_ORDER).drop_columns(["weight"]).combine_chunks()


_ORDER: Sequence[tuple[str, str]] = [("weight", "ascending"), ("findings", "descending"), ("rule", "ascending")]
