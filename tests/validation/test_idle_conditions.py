"""A rule of several conditions: where one lacks what it needs, its rows are counted as not assessed and do not pass silently."""

from ipis.kernel.collection import packaged
from ipis.validation import examples, rulebook

COLLECTION = packaged("iplos", 2017)
K074 = rulebook.of(COLLECTION).rules["K074"]


def verdict(example):
    return examples.judge(COLLECTION, K074, example).verdicts["K074"]


def test_the_condition_that_needs_the_nation_is_not_assessed_beside_the_one_that_does_not():
    counted = verdict({"kode": "15", "timerUke": 101})
    assert (counted.breach, counted.not_assessed, dict(counted.reasons)) == (1, 1, {"no_nation": 1})


def test_with_the_nation_both_are_assessed():
    nation = {"nasjon_tjeneste": [{"kode": "15", "timer_p995": 40}]}
    counted = verdict({"kode": "15", "timerUke": 35, "nation": nation})
    assert (counted.ok, counted.not_assessed) == (2, 0)
