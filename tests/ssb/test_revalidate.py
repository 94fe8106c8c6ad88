"""Judging stored deliveries by changed rules: new feedback where the verdict is another, and nowhere else."""

import pytest
from tests.ssb.feedback_room import closed, code_rules, jobs, listed, opened, packed, r4, tilbakemeldinger, worker

from ipis.kernel.errors import IpisError

__all__ = ["packed"]


@pytest.fixture
def revalidate(room):
    """Judge every delivery again, as `ipis ssb revalidate` asks for."""
    from ipis.ssb.register.deliveries import REVALIDATE
    from ipis.ssb.register.models import Delivery, Job

    def go():
        for delivery in Delivery.objects.all():
            Job.again(REVALIDATE, delivery.forsendelse)
        worker(room).run(once=True)

    return go


def test_the_same_rules_make_nothing_new(room, load, enrolled, revalidate):
    """A municipality is not written to for nothing."""
    load()
    worker(room).run(once=True)
    revalidate()
    assert len(tilbakemeldinger()) == 1
    assert [state for _, state, _ in jobs("revalidate")] == ["done"]


def test_a_rule_that_changes_the_verdict_makes_a_second_revision(room, load, enrolled, revalidate, packed):
    """Its own zip, R4 and kept findings; the first stays as it was."""
    load(email="ingen adresse")
    packed(more={"rules/levering.yaml": code_rules("M")})
    worker(room).run(once=True)
    (first,) = tilbakemeldinger()
    before = closed(room, first)
    packed(more={"rules/levering.yaml": code_rules("M S")})
    revalidate()
    _, second = tilbakemeldinger()
    assert (second.revision, second.name) == (2, "040300_iplos_tilbakemelding_20180103-2.zip")
    assert r4(room, second).receipt.details["revision"] == 2
    assert closed(room, first) == before
    told = [{row["rule"] for row in listed(opened(closed(room, one)))} for one in (first, second)]
    assert told[1] - told[0] == {"K016"}
    assert sorted(path.name for path in (room.data / "funn" / first.delivery.forsendelse).iterdir()) == [
        "0001.parquet", "0002.parquet", "tall-0001.parquet",
    ]  # fmt: skip
    revalidate()
    assert len(tilbakemeldinger()) == 2


def test_the_next_delivery_is_compared_with_the_newest_revision(room, load, enrolled, revalidate, packed):
    """A finding that only the second revision told of is open in the next delivery, not new."""
    packed(more={"rules/levering.yaml": code_rules("M")})
    load(email="ingen adresse")
    worker(room).run(once=True)
    packed(more={"rules/levering.yaml": code_rules("M S")})
    revalidate()
    load(sequence=2, seed=2, email="ingen adresse")
    worker(room).run(once=True)
    rows = listed(opened(closed(room, tilbakemeldinger()[-1])))
    assert [row["status"] for row in rows if row["rule"] == "K016"] == ["open"]


def test_before_the_first_feedback_there_is_nothing_to_renew(room, load, revalidate):
    """Its own job will judge by the rules in place."""
    row, _ = load()
    (room.intake / row.forsendelse / "contact.age").unlink()
    revalidate()
    assert tilbakemeldinger() == []
    assert [subject for subject, _, _ in jobs("feedback")] == [row.forsendelse]


def test_a_new_version_of_the_pack_reaches_exactly_those_it_concerns(room, load, packed, monkeypatch):
    """One rule changed in mid-collection: all are judged again in one run, one gets a new zip, and one push."""
    from tests.ssb.conftest import enrol
    from tests.ssb.fake_tpf import BYDAL, NABO, TESTVIK
    from tests.ssb.feedback_room import about

    from ipis.ssb.feedback.judge import Judge

    packed(more={"rules/levering.yaml": code_rules("M")})
    for kommune, bydel, email in (
        (TESTVIK, "00", "a@b.test"),
        (NABO, "00", "ingen adresse"),
        (BYDAL, "01", "c@d.test"),
    ):
        enrol(room, kommune, bydel=bydel)
        load(kommune=kommune, bydel=bydel, email=email, persons=5)
    worker(room).run(once=True)
    before = {one.push for one in tilbakemeldinger()}
    runs, judge_many = [], Judge.judge_many
    monkeypatch.setattr(
        Judge, "judge_many", lambda self, its, *more: (runs.append(len(its)), judge_many(self, its, *more))[1]
    )
    packed(more={"rules/levering.yaml": code_rules("M S")}, version=2)
    revalidate_by_command(room)
    worker(room).run(once=True)
    assert runs == [3, 1]
    (new,) = [one for one in tilbakemeldinger() if one.push not in before]
    assert (new.delivery.kommune, new.revision) == (NABO, 2)
    assert about(opened(closed(room, new)))["pack_version"] == 2
    assert {subject for subject, _, _ in jobs("push")} == before | {new.push}


def test_chosen_municipalities_alone_are_judged_again(room, load):
    from tests.ssb.fake_tpf import NABO, TESTVIK

    rows = {kommune: load(kommune=kommune, persons=5)[0] for kommune in (TESTVIK, NABO, "0101")}
    revalidate_by_command(room, "--kommune", NABO, "--kommune", "0101")
    assert {subject for subject, _, _ in jobs("revalidate")} == {rows[k].forsendelse for k in (NABO, "0101")}


@pytest.mark.parametrize(
    ("more", "code"),
    [(("--kommune", "9999"), "ssb.revalidate_none"), (("--year", "2031"), "ssb.no_pack")],
    ids=["a municipality without a delivery", "a year without a pack"],
)
def test_what_names_no_delivery_is_told_and_nothing_is_queued(room, load, more, code):
    """A mistyped number would else look as if it were done."""
    from tests.ssb.fake_tpf import TESTVIK

    load(persons=5)
    with pytest.raises(IpisError) as caught:
        revalidate_by_command(room, "--kommune", TESTVIK, *more)
    assert caught.value.code == code
    assert jobs("revalidate") == []


def test_how_many_are_queued_is_said(room, load):
    assert revalidate_by_command(room) == "no delivery of iplos 2017 has been loaded; nothing queued\n"
    load(persons=5)
    assert revalidate_by_command(room) == "1 delivery of iplos 2017 queued\n"


def revalidate_by_command(room, *more):
    """`ipis ssb revalidate`, in this process; gives what it says."""
    from typer.testing import CliRunner

    from ipis.ssb import cli

    cli_settings = pytest.MonkeyPatch()
    with cli_settings.context() as patched:
        patched.setattr(cli.SsbSettings, "load", classmethod(lambda *_: room))
        patched.setattr(cli, "_configure", lambda _room: None)
        done = CliRunner().invoke(cli.app, ["revalidate", "--settings", "x", "--year", "2017", *more])
    if isinstance(done.exception, IpisError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output
