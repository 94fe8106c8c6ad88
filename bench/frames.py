"""Runs in .venv-bench, where nothing of ours is: pandera (Polars) or pointblank over Parquet files, findings included.

`frames.py <library> <folder>`: reads checks.json and <record>.parquet, prints {seconds, counts: {check: findings}}.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

Check = dict[str, Any]
"""id, record, field, kind (mandatory | code | range | pattern), and what the kind needs: values, low, high, pattern."""


def pandera(tables: dict[str, Any], checks: list[Check]) -> dict[str, int]:
    """Validate lazily, each check a column check that reports its failure cases."""
    import pandera.polars as pa
    from pandera.errors import SchemaErrors

    counts = {each["id"]: 0 for each in checks}
    for record, frame in tables.items():
        own = [each for each in checks if each["record"] == record]
        columns = {}
        for field in dict.fromkeys(each["field"] for each in own):
            made = [_pandera_check(pa, each) for each in own if each["field"] == field and each["kind"] != "mandatory"]
            mandatory = any(each["field"] == field and each["kind"] == "mandatory" for each in own)
            columns[field] = pa.Column(checks=made, nullable=not mandatory)
        try:
            pa.DataFrameSchema(columns).validate(frame, lazy=True)
        except SchemaErrors as error:
            cases = error.failure_cases
            for column, check in zip(cases["column"].to_list(), cases["check"].to_list(), strict=True):
                named = f"{record}.{column}.mandatory" if "nullable" in check else check
                counts[named] += 1
    return counts


def _pandera_check(pa: Any, each: Check) -> Any:
    named: dict[str, Any] = {"error": each["id"], "name": each["id"]}
    if each["kind"] == "code":
        return pa.Check.isin(each["values"], **named)
    if each["kind"] == "range":
        return pa.Check.in_range(each["low"], each["high"], **named)
    return pa.Check.str_matches(each["pattern"], **named)


def pointblank(tables: dict[str, Any], checks: list[Check]) -> dict[str, int]:
    """Interrogate each table once, and collect the rows that fail."""
    import pointblank as pb

    counts = {}
    for record, frame in tables.items():
        own = [each for each in checks if each["record"] == record]
        made = pb.Validate(frame)
        for each in own:
            field = each["field"]
            if each["kind"] == "mandatory":
                made = made.col_vals_not_null(field)
            elif each["kind"] == "code":
                made = made.col_vals_in_set(field, [*each["values"], None])
            elif each["kind"] == "range":
                made = made.col_vals_between(field, each["low"], each["high"], na_pass=True)
            else:
                made = made.col_vals_regex(field, each["pattern"], na_pass=True)
        made = made.interrogate(get_first_n=1_000_000, collect_extracts=True)
        extracts = made.get_data_extracts()
        for place, each in enumerate(own, 1):
            rows = extracts.get(place)
            counts[each["id"]] = 0 if rows is None else len(rows)
    return counts


def main(library: str, folder: Path) -> None:
    """Read, validate some times, and tell the best time and the counts."""
    import polars as pl

    checks = json.loads((folder / "checks.json").read_text(encoding="utf-8"))
    tables = {path.stem: pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
    run = {"pandera": pandera, "pointblank": pointblank}[library]
    times, counts = [], {}
    for _ in range(3):
        began = time.perf_counter()
        counts = run(tables, checks)
        times.append(time.perf_counter() - began)
    print(json.dumps({"seconds": min(times), "counts": counts}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
