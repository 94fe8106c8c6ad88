"""What the Spark tests share: reports of two engines compared row for row, and the three counts printed."""

import os
from collections import Counter

from ipis.validation.run import run_many

ENGINES = ("duckdb", "spark")
# Read by Java itself when the cluster starts: over small tables the optimising compiler costs more than it gives.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


def rows(report):
    """Give a report's findings as a multiset: what shows is compared too, order is not."""
    return Counter(
        (row["rule"], row["record"], row["row"], row["field"], row["value"], tuple(row["shown"] or ()))
        for row in report.findings.table.to_pylist()
    )


def counted(reports):
    """Add up the verdicts of rules over reports: ok, breach and not assessed."""
    total = Counter()
    for report in reports:
        for verdict in report.verdicts.values():
            total += Counter(ok=verdict.ok, breach=verdict.breach, not_assessed=verdict.not_assessed)
    return total


def both(collection, contents, **options):
    """Judge the same deliveries on both engines, and say that they say the same; gives the reports."""
    one, other = (run_many(collection, contents, engine=engine, **options) for engine in ENGINES)
    assert len(one) == len(other) == len(contents)
    for place, (here, there) in enumerate(zip(one, other, strict=True)):
        assert dict(here.verdicts) == dict(there.verdicts), place
        assert rows(here) == rows(there), place
        assert here.culprits.keys() == there.culprits.keys(), place
    return one
