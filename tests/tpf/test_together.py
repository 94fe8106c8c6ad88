"""Several parcels in one batch of the worker: each as if it were alone, whatever happens to its neighbours."""

import hashlib
import hmac
from collections import Counter

import pytest
from django.db import OperationalError
from hypothesis import given
from hypothesis import strategies as st
from tests.tpf import season as cast
from tests.tpf.sender import Machine

from ipis.kernel.demo import demo_address, demo_orgnr, demo_pin
from ipis.kernel.errors import OurFault, Refused
from ipis.kernel.forsendelse import Limits
from ipis.kernel.receipt import check_tree
from ipis.kernel.secret import Secret
from ipis.lib.jobs import JobState, LostClaimError
from ipis.tpf import accept, arrival, mapping, notices, quota
from ipis.tpf.models import Audit, Forsendelse, Job, Outbox, QuotaSet, ReceiptRow, SenderKey, Upload
from ipis.tpf.together import at_once, each, in_groups
from ipis.tpf.transitions import ParcelState, UploadState


def enrol(kommune, bydel="00"):
    from ipis.tpf.desk import desk
    from ipis.tpf.enrolment import Login
    from ipis.tpf.enrolment import enrol as enrol_one

    login = Login(kommune, bydel, cast.YEAR)
    enrol_one(login, demo_orgnr(kommune), Secret(demo_pin(kommune)), demo_address(kommune), desk().pins)


@pytest.fixture
def three(testvik, nabo, season, tmp_path):
    """Testvik, Nabo and Storby, each logged in."""
    enrol(cast.STORBY)
    return [one.log_in() for one in (testvik, nabo, Machine(season, tmp_path, cast.STORBY))]


@pytest.fixture
def batches(monkeypatch):
    """Watch how many jobs each call of a step is given."""
    seen = []
    for module, name in ((accept, "receive_step"), (mapping, "pseudonymise_step")):
        _watch(monkeypatch, module, name, seen)
    return seen


def _watch(monkeypatch, module, name, seen):
    from ipis.tpf import worker
    from ipis.tpf.models import Step

    real = getattr(module, name)

    def watched(jobs, bench):
        seen.append((jobs[0].kind, len(jobs)))
        return real(jobs, bench)

    kind = {"receive_step": Step.RECEIVE, "pseudonymise_step": Step.PSEUDONYMISE}[name]
    monkeypatch.setitem(worker.TOGETHER, kind, watched)


def states():
    return {row.enrolment.kommune: row.state for row in Forsendelse.objects.select_related("enrolment")}


def assert_exactly_once():
    """Every receipt stands once, its tree is whole, every job is done, and so is the audit chain."""
    for parcel in Forsendelse.objects.filter(state=ParcelState.DONE):
        kinds = [row.kind for row in parcel.receipts.all()]
        assert kinds == ["R1", "R2", "R5"]
        check_tree([row.signed for row in parcel.receipts.all()])
    assert set(Job.objects.values_list("state", flat=True)) == {JobState.DONE}
    assert Audit.first_broken() is None
    events = Counter(Audit.objects.filter(event__startswith="receipt_").values_list("event", "subject"))
    assert set(events.values()) <= {1}


def test_parcels_of_several_municipalities_go_through_together(three, work, batches, room):
    for one in three:
        one.upload(one.seal())
    work()
    assert set(states().values()) == {ParcelState.DONE}
    assert batches == [("receive", 3), ("pseudonymise", 3)]
    assert SenderKey.objects.count() == Outbox.objects.filter(purpose__startswith="sender-key").count() == 3
    assert_exactly_once()
    assert not [*room.parcels.iterdir(), *room.uploads.iterdir()]


def test_a_damaged_file_is_refused_and_its_neighbours_go_on(three, work, batches):
    testvik, nabo, storby = three
    testvik.upload(testvik.seal())
    path = nabo.seal()
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    place = nabo.upload(path)
    storby.upload(storby.seal())
    work()
    assert batches[0] == ("receive", 3)
    assert states() == {cast.TESTVIK: ParcelState.DONE, cast.STORBY: ParcelState.DONE}
    assert nabo.get(place).json()["problem"]["code"].startswith("parcel.")
    assert Outbox.objects.get(purpose__startswith="refused").recipient == demo_address(cast.NABO)
    assert_exactly_once()


def test_a_refusal_that_could_not_be_written_is_made_again(three, work, monkeypatch, room):
    """What the file was is known from the file alone: it goes when its refusal stands."""
    testvik, nabo, _ = three
    path = nabo.seal()
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    testvik.upload(testvik.seal())
    place = nabo.upload(path)

    def full(*_):
        raise OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(notices, "refused", full)
        work()
    assert nabo.get(place).json()["state"] == "stored"
    work()
    assert nabo.get(place).json()["problem"]["code"].startswith("parcel.")
    assert states() == {cast.TESTVIK: ParcelState.DONE}
    assert_exactly_once()
    assert not [*room.parcels.iterdir(), *room.uploads.iterdir()]


def test_one_that_breaks_the_format_is_rejected_and_its_neighbours_go_on(three, work, monkeypatch):
    paths = [three[0].seal()]
    with monkeypatch.context() as patch:
        patch.setattr(cast, "pack_identities", cast.broken_identities)
        paths.append(three[1].seal())
    paths.append(three[2].seal())
    places = [one.upload(path) for one, path in zip(three, paths, strict=True)]
    work()
    found = [one.get(place).json() for one, place in zip(three, places, strict=True)]
    assert [each["state"] for each in found] == ["done", "closed", "done"]
    assert found[1]["problem"]["code"] == "tpf.identity_form"
    assert found[1]["receipts"] == ["R1", "R5"]
    assert_exactly_once()


def test_one_of_too_many_persons_is_held_and_its_neighbours_go_on(three, work, monkeypatch):
    monkeypatch.setattr(quota, "allowance", lambda *_: 8)
    for one, persons in zip(three, (5, 9, 8), strict=True):
        one.upload(one.seal(persons=persons))
    work()
    assert states() == {
        cast.TESTVIK: ParcelState.DONE,
        cast.NABO: ParcelState.HELD,
        cast.STORBY: ParcelState.DONE,
    }
    assert QuotaSet.objects.count() == 2


@pytest.mark.parametrize(("first", "passed"), [(0, 2), (5, 1)], ids=["the same persons", "other persons"])
def test_districts_of_one_city_are_counted_together_within_a_batch(
    enrolled, season, tmp_path, work, monkeypatch, batches, first, passed
):
    monkeypatch.setattr(quota, "allowance", lambda *_: 8)
    for bydel, number in (("01", 0), ("02", first)):
        enrol(cast.STORBY, bydel)
        (tmp_path / bydel).mkdir()
        district = Machine(season, tmp_path / bydel, cast.STORBY).log_in(bydel=bydel)
        district.upload(district.seal(bydel=bydel, persons=5, first=number))
    work()
    assert batches[1] == ("pseudonymise", 2)
    assert Forsendelse.objects.filter(state=ParcelState.DONE).count() == passed
    assert Forsendelse.objects.filter(state=ParcelState.HELD).count() == 2 - passed


@pytest.mark.parametrize("known", [False, True], ids=["a first send", "an enrolled key"])
@pytest.mark.parametrize(("sequences", "codes"), [((2, 3), ["", ""]), ((3, 2), ["", "tpf.sequence"])])
def test_two_parcels_of_one_municipality_in_a_batch_are_judged_in_order(
    testvik, work, batches, sequences, codes, known
):
    testvik.log_in()
    if known:
        testvik.upload(testvik.seal(sequence=1))
        work()
        batches.clear()
    for number in sequences:
        testvik.upload(testvik.seal(sequence=number))
    work()
    assert batches[0] == ("receive", 2)
    assert [upload.problem_code for upload in Upload.objects.order_by("pk")][-2:] == codes
    assert SenderKey.objects.count() == 1
    assert_exactly_once()


def test_the_same_file_twice_in_a_batch_is_one_forsendelse(testvik, work, batches):
    path = testvik.log_in().seal()
    places = [testvik.upload(path) for _ in range(2)]
    work()
    assert batches[0] == ("receive", 2)
    assert {testvik.get(place).json()["state"] for place in places} == {"done"}
    assert Forsendelse.objects.count() == 1
    assert_exactly_once()


def test_all_files_of_a_split_forsendelse_may_lie_in_one_batch(testvik, nabo, work, batches):
    files = testvik.seal_files(persons=6_000, limits=Limits(part=150_000, file=200_000))
    testvik.log_in().upload(files[0])
    nabo.log_in().upload(nabo.seal())
    for path in files[1:]:
        testvik.upload(path)
    work()
    assert batches[0] == ("receive", len(files) + 1)
    assert states()[cast.NABO] == ParcelState.DONE
    assert ReceiptRow.objects.filter(kind="R1").count() == 2


def test_a_fault_of_ours_at_one_leaves_it_alone_in_the_queue(three, work, monkeypatch):
    places = [one.upload(one.seal()) for one in three]
    bad = places[1].rpartition("/")[2]
    real = arrival.read

    def faulty(one, settings):
        if one.upload.public_id == bad:
            raise OurFault("tpf.audit_broken", event=0)
        return real(one, settings)

    with monkeypatch.context() as patch:
        patch.setattr(accept, "read", faulty)
        work()
        assert states() == {cast.TESTVIK: ParcelState.DONE, cast.STORBY: ParcelState.DONE}
        left = Job.objects.get(state=JobState.QUEUED)
        assert left.problem == "worker.OurFault"
        assert left.faults
    work()
    assert set(states().values()) == {ParcelState.DONE}
    assert_exactly_once()


def test_a_transaction_that_fails_for_all_is_tried_for_each(three, work, monkeypatch, batches):
    real = Job.finish_all.__func__

    def crowded(cls, done):
        if len(done) > 1:
            raise LostClaimError(done[0].kind, "x")
        real(cls, done)

    monkeypatch.setattr(Job, "finish_all", classmethod(crowded))
    for one in three:
        one.upload(one.seal())
    work()
    assert batches == [("receive", 3), *[("receive", 1)] * 3, ("pseudonymise", 3), *[("pseudonymise", 1)] * 3]
    assert_exactly_once()
    assert len(states()) == 3


def test_a_swept_job_rolls_its_group_back_and_the_others_are_done_alone(three, work, monkeypatch):
    """The transaction of a group holds only as long as every job of it is this worker's."""
    for one in three:
        one.upload(one.seal())
    real, stolen = accept.make_folders, []

    def steal(parcels, settings):
        if not stolen:
            stolen.append(Job.objects.filter(kind="receive").order_by("pk")[1].pk)
            Job.objects.filter(pk=stolen[0]).update(claimed_by="another:1")
        real(parcels, settings)

    monkeypatch.setattr(accept, "make_folders", steal)
    work()
    assert states() == {
        cast.TESTVIK: ParcelState.DONE,
        cast.NABO: ParcelState.ARRIVING,
        cast.STORBY: ParcelState.DONE,
    }
    Job.objects.filter(pk__in=stolen).update(state=JobState.QUEUED, claimed_by="")
    work()
    assert set(states().values()) == {ParcelState.DONE}
    assert_exactly_once()


def test_what_has_changed_meanwhile_refuses_one_even_at_its_last_file(three, work, monkeypatch, room):
    """The whole is refused with all that its files brought, and its neighbours go on."""
    testvik, nabo, _ = three
    *first, last = testvik.seal_files(persons=6_000, limits=Limits(part=150_000, file=200_000))
    for path in first:
        testvik.upload(path)
    work()
    place = testvik.upload(last)
    nabo.upload(nabo.seal())
    real = accept.make_folders

    def meanwhile(parcels, settings):
        SenderKey.objects.create(kommune=cast.TESTVIK, bydel="00", fingerprint="another", public="another")
        real(parcels, settings)

    with monkeypatch.context() as patch:
        patch.setattr(accept, "make_folders", meanwhile)
        work("receive")
    work()
    assert testvik.get(place).json()["problem"]["code"] == "tpf.other_key"
    assert states() == {cast.TESTVIK: ParcelState.REFUSED, cast.NABO: ParcelState.DONE}
    assert_exactly_once()
    assert not [*room.parcels.iterdir(), *room.uploads.iterdir()]


def test_what_another_worker_completed_meanwhile_is_not_accepted_twice(testvik, work, monkeypatch):
    """The same file twice, taken in by two workers at once: the second finds the first one's forsendelse."""
    path = testvik.log_in().seal()
    testvik.upload(path)
    real = accept._as_it_stands

    def late(group):
        Forsendelse.objects.filter(state=ParcelState.ARRIVING).update(state=ParcelState.RECEIVED)
        return real(group)

    monkeypatch.setattr(accept, "_as_it_stands", late)
    work("receive")
    assert Upload.objects.get().state == UploadState.UNPACKED
    assert not ReceiptRow.objects.exists()


def test_groups_are_bounded_and_hold_no_two_of_one_owner():
    items = [("a", 3), ("b", 3), ("a", 1), ("c", 9), ("d", 1), ("e", 9), ("f", 4)]
    groups = list(in_groups(items, lambda item: item[1], 8, lambda item: item[0]))
    assert ["".join(name for name, _ in group) for group in groups] == ["ab", "a", "c", "d", "e", "f"]
    assert list(in_groups([], lambda item: 1, 8, lambda item: item)) == []


def test_each_keeps_the_order_and_raises_what_is_no_refusal():
    refused = []

    def odd(number):
        if number % 2:
            raise Refused("tpf.sequence", found=number, newest=0)
        if number == 8:
            raise OurFault("tpf.audit_broken", event=0)
        return number

    assert each([4, 1, 2, 3], odd, lambda number, _: refused.append(number)) == [4, 2]
    assert refused == [1, 3]
    with pytest.raises(OurFault):
        each([8], odd, lambda *_: None)
    assert at_once([3, 1, 2], str) == ["3", "1", "2"]


@given(st.binary(min_size=1, max_size=64), st.binary(max_size=200))
def test_a_mark_is_the_hmac(key, text):
    assert quota.Marker(key)(text) == hmac.digest(key, text, hashlib.sha256)


def test_what_is_staged_is_counted_by_an_index_and_not_by_reading_all_uploads(enrolled):
    """However much a municipality has sent before, the next creation costs the same."""
    from ipis.tpf.models import Enrolment

    staged = Upload.objects.filter(enrolment=Enrolment.objects.first(), state__in=["receiving", "stored"])
    assert "tpf_staged_uploads (enrolment_id=? AND state=?)" in staged.explain()
    due = Job.objects.filter(kind__in=["receive"], state="queued").order_by("id")
    assert "tpf_waiting_jobs (state=?)" in due.explain()
