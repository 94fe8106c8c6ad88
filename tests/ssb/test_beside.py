"""What stands beside many deliveries, asked for at once, is what each would be told alone."""

import random
from datetime import timedelta

import pytest
from tests.ssb.fake_tpf import BYDAL, NABO, TESTVIK
from tests.ssb.test_register import AT, delivery

from ipis.ssb.register.deliveries import last_years, previous_delivery

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("seed", range(4))
def test_each_is_told_what_it_would_be_told_alone(seed):
    from ipis.ssb.feedback.beside import Beside

    draw, made = random.Random(seed), []
    for year in (2015, 2016, 2017):
        for kommune, bydel in ((TESTVIK, "00"), (NABO, "00"), (BYDAL, "01"), (BYDAL, "02")):
            for sequence in draw.sample(range(1, 9), draw.randrange(4)):
                loaded = AT + timedelta(hours=draw.randrange(6))
                made.append(delivery(sequence, kommune, bydel, year=year, loaded_at=loaded))
    predecessors = {TESTVIK: (NABO, BYDAL), NABO: (NABO,), BYDAL: ()}
    asked = [one for one in made if one.year == 2017]
    assert asked
    beside = Beside.of(asked, predecessors)
    for one in asked:
        assert beside.previous(one) == previous_delivery(one)
        assert beside.last_years(one) == last_years(one, predecessors[one.kommune])


def test_two_statements_serve_all(django_assert_num_queries):
    from ipis.ssb.feedback.beside import Beside

    asked = [delivery(sequence, kommune) for kommune in (TESTVIK, NABO) for sequence in (1, 2, 3)]
    with django_assert_num_queries(2):
        beside = Beside.of(asked, {TESTVIK: (), NABO: ()})
        assert [beside.previous(one) for one in asked] == [None, *asked[:2], None, *asked[3:5]]
        assert [beside.last_years(one) for one in asked] == [[]] * 6
