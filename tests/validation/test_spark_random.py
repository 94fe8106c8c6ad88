"""Spark says what DuckDB says over random rules and random tables; one session, one run a seed."""

import sys

import pytest
from tests.validation import spark_cast, spark_random


def judged(seed, **size):
    known, contents, nation = spark_random.drawn(seed, **size)
    return spark_cast.both(known, contents, at="M", nation=nation)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_rules_find_the_same_on_both_engines(seed, capsys):
    reports = judged(seed)
    total = spark_cast.counted(reports)
    with capsys.disabled():
        sys.stdout.write(f"\nseed {seed}: {dict(total)} on both engines\n")
    assert all(total[kind] for kind in ("ok", "breach", "not_assessed"))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_random_rules_find_the_same_on_both_engines(seed):
    judged(seed, rules=60, count=4, rows=120)
