"""Pushing to the portal and reading its events, over a real socket; a portal that is down, busy, refuses or lies."""

import os
import shutil

import pytest
from tests.ports import free_port
from tests.ssb.fake_portal import FakePortal
from tests.ssb.feedback_room import closed, due_now, give_back, jobs, opened, tilbakemeldinger, worker


class Killed(BaseException):
    """A worker that dies."""


@pytest.fixture
def portal(room):
    from ipis.ssb.keys import feedback_keys

    portal = FakePortal(feedback_keys(room).push.public)
    yield portal
    portal.close()


@pytest.fixture
def made(room, load, enrolled):
    """One tilbakemelding that waits for the portal."""
    load()
    worker(room).run(once=True)
    due_now()
    return tilbakemeldinger()[0]


def events(room, portal):
    """Read the portal's events once."""
    from ipis.ssb.feedback.portal import read_events
    from ipis.ssb.keys import feedback_keys

    return read_events(room.model_copy(update={"filsluse_url": portal.url}), feedback_keys(room).push)


def state(one):
    one.refresh_from_db()
    return one.state


def folder(room, one):
    return room.data / "utgaaende" / one.push


def test_three_files_and_the_signed_note_reach_the_portal(room, portal, made):
    """What the municipality downloads is what R4 names; afterwards nothing of it stays here."""
    data = closed(room, made)
    worker(room, filsluse_url=portal.url).run(once=True)
    note = portal.shown[made.push]
    assert (note.tenant, [m.name for m in note.members]) == (
        "0403", [made.name, f"{made.name}.kvittering", f"{made.name}.kvittering.sig"],
    )  # fmt: skip
    assert portal.zip_of(made.push) == data
    assert opened(data)
    assert state(made) == "pushed"
    assert not folder(room, made).exists()
    assert jobs("push")[0][:2] == (made.push, "done")


@pytest.mark.parametrize("status", [500, 502, 503, 408, 429])
def test_a_busy_portal_is_tried_again(room, portal, made, status):
    """Nothing is lost, and the next try is the same note to the byte."""
    portal.answers = [200, 200, status]
    worker(room, filsluse_url=portal.url).run(once=True)
    assert jobs("push") == [(made.push, "queued", "feedback.portal_busy")]
    assert state(made) == "made"
    due_now()
    worker(room, filsluse_url=portal.url).run(once=True)
    assert state(made) == "pushed"


@pytest.mark.parametrize(("url", "code"), [("", "feedback.no_portal"), ("http://127.0.0.1:{}", "feedback.portal_down")])
def test_a_portal_that_is_not_there_is_tried_again(room, made, url, code):
    """Down or not yet told of: the job waits."""
    worker(room, filsluse_url=url.format(free_port())).run(once=True)
    assert jobs("push") == [(made.push, "queued", code)]
    assert folder(room, made).exists()


@pytest.mark.parametrize("status", [301, 400, 401, 404, 422])
def test_a_refusal_is_left_to_staff_until_they_ask_for_it_again(room, portal, made, status):
    """The same would be refused again; the files stay, and `ipis ssb revalidate` sends them anew."""
    from ipis.ssb.register.deliveries import REVALIDATE
    from ipis.ssb.register.models import AuditEvent, Job

    portal.answers = [200, status]
    worker(room, filsluse_url=portal.url).run(once=True)
    assert jobs("push") == [(made.push, "failed", "feedback.portal_refuses")]
    assert AuditEvent.objects.filter(event="tilbakemelding.not-taken").count() == 1
    Job.again(REVALIDATE, made.delivery.forsendelse)
    worker(room, filsluse_url=portal.url).run(once=True)
    assert state(made) == "pushed"
    assert len(tilbakemeldinger()) == 1


def test_files_that_are_gone_are_left_to_staff_and_made_anew(room, portal, made):
    """A push without its files cannot succeed; revalidation makes the next revision."""
    from ipis.ssb.register.deliveries import REVALIDATE
    from ipis.ssb.register.models import Job

    shutil.rmtree(folder(room, made))
    worker(room, filsluse_url=portal.url).run(once=True)
    assert jobs("push") == [(made.push, "failed", "feedback.file_missing")]
    assert portal.asked == []
    Job.again(REVALIDATE, made.delivery.forsendelse)
    worker(room, filsluse_url=portal.url).run(once=True)
    _, second = tilbakemeldinger()
    assert (second.revision, second.state) == (2, "pushed")


@pytest.mark.parametrize("point", ["push:half", "push:answered", "push:before-commit", "push:committed"])
def test_a_worker_that_dies_pushes_once_in_the_end(room, portal, made, monkeypatch, point):
    """The portal shows one feedback, whichever point the worker died at."""
    monkeypatch.setattr(os, "kill", lambda *_: (_ for _ in ()).throw(Killed))
    first = worker(room, filsluse_url=portal.url, kill_at=point)
    with pytest.raises(Killed):
        first.run(once=True)
    give_back(first)
    worker(room, filsluse_url=portal.url).run(once=True)
    assert list(portal.shown) == [made.push]
    assert state(made) == "pushed"
    assert jobs("push")[0][:2] == (made.push, "done")


def test_events_move_a_tilbakemelding_on(room, portal, made):
    """Downloaded, then confirmed; read twice, nothing happens twice, and backwards never."""
    worker(room, filsluse_url=portal.url).run(once=True)
    portal.happen(1, "file_listed", made.push)
    portal.happen(3, "file_downloaded", made.push)
    assert events(room, portal) == 2
    assert state(made) == "downloaded"
    portal.happen(4, "file_confirmed", made.push)
    portal.happen(5, "file_downloaded", made.push)
    portal.happen(6, "file_confirmed", "f" * 32)
    assert events(room, portal) == 3
    assert state(made) == "confirmed"
    assert events(room, portal) == 0


def test_an_event_proves_a_push_whose_note_of_success_was_lost(room, portal, made):
    """The portal shows it, so it was pushed."""
    portal.happen(1, "file_confirmed", made.push)
    assert events(room, portal) == 1
    assert state(made) == "confirmed"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"{}x", b"7", b'[{"number": 1}]', b'[{"number": "x", "kind": "a", "push": "b"}]', b"[[1, 2]]", b"[" * 9000,
        b'[{"number": 0, "kind": "a", "push": "b"}]', b'[{"number": 99999999999999999999, "kind": "a", "push": "b"}]',
        b'[{"number": 2, "kind": "a", "push": "b"}, {"number": 2, "kind": "a", "push": "b"}]',
    ],
)  # fmt: skip
def test_nothing_that_the_portal_says_stops_the_worker(room, portal, made, body):
    """Whoever took the portal writes its answers; they are refused whole."""
    from ipis.ssb.feedback.models import PortalEvents

    portal.events = body
    assert events(room, portal) == 0
    assert state(made) == "made"
    assert PortalEvents.objects.get().read_to == 0


@pytest.mark.parametrize("status", [403, 503])
def test_a_portal_that_gives_no_events_is_asked_again_later(room, portal, made, status):
    """The tick gives nothing and the next one asks again."""
    portal.answers = [status]
    portal.happen(1, "file_confirmed", made.push)
    assert events(room, portal) == 0
    assert events(room, portal) == 1


def test_events_are_read_now_and_then_and_old_garbage_swept(room, portal, made, monkeypatch):
    """The ticks act after their time, not at a start."""
    from datetime import timedelta

    from ipis.ssb.feedback import steps
    from ipis.ssb.keys import feedback_keys

    monkeypatch.setattr(steps, "_EVENTS_EVERY", timedelta(0))
    settings = room.model_copy(update={"filsluse_url": portal.url})
    _, read, sweep = steps.ticks(settings, feedback_keys(room))
    read()
    sweep()
    assert portal.asked == ["GET /api/v1/hendelser?after=0"]
    assert folder(room, made).exists()


def test_what_may_become_of_a_tilbakemelding_is_one_table():
    """Every state is in it, what is confirmed stays so, and the picture of it is drawn from the table."""
    from ipis.ssb.feedback.transitions import ALLOWED, State, diagram

    assert set(ALLOWED) == set(State)
    assert ALLOWED[State.CONFIRMED] == frozenset()
    assert "made --> pushed" in diagram()


def test_a_forbidden_or_lost_change_of_state_is_our_fault(room, made):
    """Neither backwards nor over somebody else's change."""
    from ipis.kernel.errors import OurFault
    from ipis.ssb.feedback.models import Tilbakemelding
    from ipis.ssb.feedback.transitions import State, move

    with pytest.raises(OurFault):
        move(made, State.CONFIRMED, actor="test")
    Tilbakemelding.objects.update(state=State.PUSHED)
    with pytest.raises(OurFault):
        move(made, State.PUSHED, actor="test")
