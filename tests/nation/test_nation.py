"""A national collection through the rooms as processes: every finding is the one that was planted, on both sides."""

from __future__ import annotations

from collections import Counter

import pytest
from bench.nation import oracle
from bench.nation.ground import Ground, draw_extracts, lay_out, run_party
from bench.nation.stopwatch import Report

YEAR = 2017


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((0.02, 2), id="two places"),
        pytest.param((0.05, None), id="every place", marks=pytest.mark.long),
    ],
)
def nation(request, tmp_path_factory):
    """Let a share of the nation's persons, in some places or in all, go the whole way."""
    share, most = request.param
    ground = Ground(tmp_path_factory.mktemp("nation"), YEAR)
    draw_extracts(ground, share, most)
    lay_out(ground)
    run_party(ground, "municipalities", "proved")
    run_party(ground, "tpf")
    run_party(ground, "ssb", "intake")
    run_party(ground, "ssb", "feedback")
    return ground


def test_every_municipality_finds_what_was_planted(nation):
    for place in nation.places():
        assert not oracle.differences(oracle.told_at_home(nation, place), oracle.planted(nation, place)), place


def test_every_municipality_is_answered_with_what_it_found_itself(nation):
    both = oracle.rules_at_both(YEAR)
    answered = dict(oracle.answered(nation))
    assert sorted(answered) == nation.places()
    for place, found in answered.items():
        expected = oracle.only(oracle.told_at_home(nation, place), both)
        assert not oracle.differences(oracle.only(found, both), expected), place


def test_nobody_is_lost_between_the_parties(nation):
    """All that was read was sealed, pseudonymised, loaded and answered, and no process took more than 2 GiB."""
    reports = {
        name: Report.load(nation.report(name)) for name in ("municipalities", "tpf", "ssb-intake", "ssb-feedback")
    }
    count = len(nation.places())
    assert reports["municipalities"].facts["refused"] == []
    assert reports["tpf"].facts["states"] == {"erased": count}
    assert reports["ssb-intake"].facts["taken"] == count
    assert reports["ssb-feedback"].facts["made"] == count
    assert reports["ssb-intake"].facts["rows"] == reports["municipalities"].facts["rows"]
    peaks = {name: peak for report in reports.values() for name, peak in report.peak.items()}
    assert max(peaks.values()) < 2 << 30, peaks


def test_stage_times_add_up_to_the_whole(nation):
    """Each stage is counted without its inner ones, so that none is counted twice."""
    report = Report.load(nation.report("municipalities"))
    assert sum(span.wall for span in report.stages.values()) == pytest.approx(report.wall, rel=0.05)
    assert Counter(span.calls for span in report.stages.values())[len(nation.places())] > 5
