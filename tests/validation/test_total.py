"""Arithmetic has an answer for every row: it never fails a scan, and its answer does not depend on the rows' order."""

import pytest
from tests.validation import desk
from tests.validation.test_derived import derive

BIG = 100
DOUBLED = "\n".join(
    f'x{level} = {{ expression = "{"n" if level == 0 else f"x{level - 1}"} + {"n" if level == 0 else f"x{level - 1}"}" }}'
    for level in range(60)
)


@pytest.mark.parametrize(
    ("require", "row", "verdict"),
    [
        ("n / 0 > 1", {"n": 5}, "not_assessed"), ("n / (n - n) > 1", {"n": 5}, "not_assessed"), ("0 / n = 0", {"n": 5}, "ok"),
        ("d / n > 1", {"n": 0, "d": "1.00"}, "not_assessed"),
        ("year(fra + 999999999) > 1", {"fra": "2017-01-01"}, "not_assessed"), ("year(fra - 999999999) > 1", {"fra": "2017-01-01"}, "not_assessed"),
        ("fra - til < 0", {"fra": "0001-01-01", "til": "9999-12-31"}, "ok"), ("-n < 0", {"n": 100}, "ok"), ("abs(-n) = n", {"n": 100}, "ok"),
        (" * ".join(["99999999.0"] * 40) + " > n", {"n": 1}, "ok"),
        ("(" + " * ".join(["99999999.0"] * 40) + ") * 0 > n", {"n": 1}, "ok"),
    ],
)  # fmt: skip
def test_arithmetic_at_its_ends_has_an_answer(require, row, verdict):
    counted = desk.judged(require, [row])
    assert getattr(counted, verdict) == 1


def test_whole_numbers_doubled_sixty_times_are_null_and_fail_no_scan():
    rows = [{"n": BIG}, {"n": 0}]
    known = desk.collection(desk.rule("x59 = 0"), f"[ting.derived]\n{DOUBLED}")
    report = desk.judge(known, ting=rows)
    assert not report.culprits
    verdict = report.verdicts["K900"]
    assert (verdict.ok, verdict.breach, dict(verdict.reasons)) == (1, 0, {"missing_value": 1})


def test_a_sum_is_exact_whatever_the_order_of_the_rows():
    """0.1 + 0.2 + 0.7 is 1 and not nearly 1, and nothing is left when all that ran has ended."""
    rows = [{"tid": "a", "d": value} for value in ("0.10", "0.20", "0.70")]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        drawn = [rows[place] for place in order]
        derived = '[ting.derived]\nsamlet = { sum = "d", by = ["tid"] }'
        assert desk.breaches("samlet = 1", drawn, derived=derived) == []
    days = [
        {"tid": "a", "d": value, "fra": f"2017-01-0{day}", "til": f"2017-01-0{day}"}
        for day, value in ((1, "0.10"), (2, "0.20"), (3, "0.70"), (4, "0.00"))
    ]
    running = '{ concurrent_sum = "d", by = ["tid"], from = "fra", to = "til" }'
    assert derive(running, days) == ["0.1", "0.2", "0.7", "0"]


def test_what_is_not_finite_does_not_count_in_a_sum():
    product = " * ".join(["99999999.0"] * 40)
    more = f'stor = {{ expression = "{product} * n" }}'
    rows = [{"tid": "a", "n": 1}, {"tid": "a", "n": 2}, {"tid": "b", "n": 0}]
    assert derive('{ sum = "stor", by = ["tid"] }', rows, more=more) == [None, None, None]
