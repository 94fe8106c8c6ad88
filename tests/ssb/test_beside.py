"""What stands beside deliveries: the sender's delivery before, and last year's; after a merger the predecessors'."""

import random
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from tests.ssb.fake_tpf import BYDAL, NABO, TESTVIK
from tests.ssb.test_register import AT, delivery

from ipis.kernel.demo import demo_orgnr
from ipis.ssb.packs import pack_of
from ipis.ssb.register.models import Phase

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
BEFORE = AT - timedelta(days=365)


@pytest.fixture
def judge(room):
    """Give the feedback worker's judge."""
    from ipis.ssb.feedback.judge import Judge
    from ipis.ssb.keys import feedback_keys

    return Judge(room, feedback_keys(room).identity)


def last_year(sequence=1, kommune=TESTVIK, bydel="00", loaded_at=BEFORE, **more):
    return delivery(sequence, kommune, bydel, loaded_at=loaded_at, year=2016, **more)


def beside(*deliveries, successors=None):
    from ipis.ssb.feedback.beside import beside_many

    return beside_many(deliveries, successors or {})


def previous(*deliveries):
    return [each.previous for each in beside(*deliveries)]


def last_years(one, successors=None):
    (found,) = beside(one, successors=successors)
    return list(found.last_years)


class TestPrevious:
    def test_it_has_the_nearest_lower_number_of_the_same_sender_and_year(self):
        first, third, seventh = delivery(1), delivery(3), delivery(7)
        delivery(2, NABO)
        delivery(2, year=2016)
        assert previous(first, third, seventh) == [None, first, third]

    def test_each_district_has_its_own(self):
        first, second = delivery(1, BYDAL, "01"), delivery(2, BYDAL, "01")
        other = delivery(3, BYDAL, "02")
        assert previous(other, second, first) == [None, first, None]

    def test_another_register_is_apart(self):
        one = delivery(2)
        other = delivery(1)
        type(other).objects.filter(pk=other.pk).update(register="annet")
        assert previous(one) == [None]

    def test_the_number_decides_not_the_time(self):
        """What was held up on the way is before what overtook it."""
        second, first = delivery(2), delivery(1, loaded_at=AT + HOUR)
        assert previous(first, second) == [None, first]

    @pytest.mark.parametrize("phase", Phase)
    def test_one_that_does_not_count_is_before_all_the_same(self, phase):
        """The municipality was told of it; whether it counts for a release is another matter."""
        first, second = delivery(1, phase=phase), delivery(2)
        assert previous(second) == [first]


class TestLastYears:
    def test_it_is_the_senders_newest_of_the_year_before(self):
        delivery(5, year=2015)
        last_year(1)
        newest = last_year(2)
        last_year(3, NABO)
        assert last_years(delivery(1)) == [newest]

    def test_there_is_none_without_a_year_before(self):
        delivery(1, year=2015)
        last_year(1, NABO)
        assert last_years(delivery(1)) == []

    def test_each_year_has_its_own_year_before(self):
        eldest, elder, one = delivery(1, year=2015), last_year(1), delivery(1)
        assert [last_years(each) for each in (eldest, elder, one)] == [[], [], [elder]]
        type(eldest).objects.filter(pk=eldest.pk).update(loaded_at=BEFORE - HOUR)
        assert last_years(elder) == [eldest]

    def test_it_is_as_it_stood_when_this_one_was_loaded(self):
        """The same instant is too late: what a delivery is compared with never changes afterwards."""
        first = last_year(1)
        last_year(2, loaded_at=AT)
        last_year(3, loaded_at=AT + HOUR)
        early, late = delivery(1), delivery(2, loaded_at=AT + HOUR)
        assert last_years(early) == [first]
        assert [one.sequence for one in last_years(late)] == [2]

    def test_the_number_decides_what_is_newest(self):
        second = last_year(2)
        last_year(1, loaded_at=BEFORE + HOUR)
        assert last_years(delivery(1)) == [second]

    def test_another_register_is_apart(self):
        its, other = last_year(1), last_year(2)
        type(other).objects.filter(pk=other.pk).update(register="annet")
        assert last_years(delivery(1)) == [its]

    def test_a_district_has_its_own(self):
        last_year(1, BYDAL, "01")
        second = last_year(1, BYDAL, "02")
        assert last_years(delivery(1, BYDAL, "02")) == [second]
        assert last_years(delivery(1, BYDAL, "03")) == []

    @pytest.mark.parametrize("phase", Phase)
    def test_one_that_does_not_count_stands_all_the_same(self, phase):
        its = last_year(1, phase=phase)
        assert last_years(delivery(1)) == [its]


class TestMerger:
    def test_predecessors_count_with_all_their_districts_each_with_its_newest(self):
        last_year(1, BYDAL, "02")
        districts = [last_year(1, BYDAL, "01"), last_year(2, BYDAL, "02")]
        nabo = last_year(1, NABO)
        assert last_years(delivery(1), {BYDAL: TESTVIK, NABO: TESTVIK}) == [*districts, nabo]

    def test_one_that_kept_its_number_stands_among_them(self):
        own, nabo = last_year(1), last_year(4, NABO)
        assert last_years(delivery(1), {NABO: TESTVIK}) == [own, nabo]
        assert last_years(delivery(2), {NABO: TESTVIK, TESTVIK: TESTVIK}) == [own, nabo]

    def test_one_that_became_itself_brings_no_other_district(self):
        first = last_year(1, BYDAL, "01")
        last_year(1, BYDAL, "02")
        assert last_years(delivery(1, BYDAL, "01"), {BYDAL: BYDAL}) == [first]

    def test_a_predecessor_is_as_it_stood_too(self):
        last_year(1, NABO, loaded_at=AT)
        last_year(1, BYDAL, "01")
        stood = last_year(2, BYDAL, "01", loaded_at=AT - HOUR)
        last_year(3, BYDAL, "01", loaded_at=AT + HOUR)
        assert last_years(delivery(1), {NABO: TESTVIK, BYDAL: TESTVIK}) == [stood]

    def test_it_changes_nothing_for_others(self):
        last_year(1, BYDAL, "01")
        nabo = last_year(1, NABO)
        assert last_years(delivery(1, NABO), {BYDAL: TESTVIK}) == [nabo]

    def test_the_delivery_before_is_never_a_predecessors(self):
        delivery(1, NABO)
        (found,) = beside(delivery(2), successors={NABO: TESTVIK, BYDAL: NABO})
        assert (found.previous, found.predecessors) == (None, {NABO})

    def test_predecessors_are_those_that_last_years_pack_names(self, room, judge, load):
        """Sandefjord 0710 of 2017 is 0706, 0719 and 0720 of 2016."""
        parts = [
            load(year=2016, kommune=kommune, orgnr=demo_orgnr("0710"), persons=2)[0].delivery
            for kommune in ("0706", "0720")
        ]
        row, _ = load(kommune="0710", persons=2)
        found = judge.judge(row.delivery, pack_of(room, "iplos", 2017), "nb").beside
        assert (found.previous, list(found.last_years)) == (None, parts)
        assert found.predecessors == {"0706", "0719", "0720"}


SUCCESSORS = {NABO: TESTVIK, BYDAL: TESTVIK, TESTVIK: TESTVIK}
SENDERS = ((TESTVIK, "00"), (NABO, "00"), (BYDAL, "01"), (BYDAL, "02"))


@pytest.mark.parametrize("seed", range(8))
def test_many_are_told_what_looking_through_the_whole_register_tells(seed):
    """Senders, years, numbers and hours drawn at random; each is looked for among all of them."""
    draw, made = random.Random(seed), []
    for year in (2015, 2016, 2017):
        for kommune, bydel in SENDERS:
            made += [
                delivery(sequence, kommune, bydel, year=year, loaded_at=AT + draw.randrange(6) * HOUR)
                for sequence in draw.sample(range(1, 9), draw.randrange(4))
            ]
    asked = [one for one in made if one.year == 2017]
    assert asked
    for one, found in zip(asked, beside(*asked, successors=SUCCESSORS), strict=True):
        lower = [each for each in made if key(each) == key(one) and each.sequence < one.sequence]
        assert found.previous == max(lower, key=lambda each: each.sequence, default=None)
        newest = {}
        for sender in sorted(SENDERS):
            for each in made:
                stood = key(each) == (2016, *sender) and each.loaded_at < one.loaded_at
                if stood and each.sequence >= newest.get(sender, each).sequence:
                    newest[sender] = each
        own, merged = (one.kommune, one.bydel), one.kommune == TESTVIK
        assert list(found.last_years) == [each for sender, each in newest.items() if merged or sender == own]


def key(one):
    return one.year, one.kommune, one.bydel


def test_nothing_stands_beside_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert beside() == []


def test_two_statements_serve_all(django_assert_num_queries):
    asked = [delivery(sequence, kommune) for kommune in (TESTVIK, NABO) for sequence in (1, 2, 3)]
    with django_assert_num_queries(2):
        assert previous(*asked) == [None, *asked[:2], None, *asked[3:5]]


def test_a_run_of_many_asks_no_more_than_a_run_of_one(room, judge, load):
    """Judged and counted, each with a delivery before and a last year's that are counted already."""
    from ipis.ssb.feedback.count import Counter

    made = [
        load(kommune=kommune, year=year, sequence=sequence, persons=2)[0].delivery
        for kommune in (TESTVIK, NABO, "0101")
        for year, sequence in ((2016, 1), (2017, 1), (2017, 2))
    ]
    asked, pack = made[2::3], pack_of(room, "iplos", 2017)

    def statements(its):
        with CaptureQueriesContext(connection) as seen:
            Counter(judge).count_many(judge.judge_many(its, pack, ["nb"] * len(its)), pack)
        return len(seen)

    statements(asked)
    assert statements(asked) == statements(asked[:1])
