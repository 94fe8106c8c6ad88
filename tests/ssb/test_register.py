"""What counts, what came before, and what is destroyed: the register's answers, as truth tables."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from tests.ssb.fake_tpf import BYDAL, NABO, TESTVIK

from ipis.kernel.calendar import OSLO
from ipis.kernel.errors import OurFault
from ipis.kernel.receipt import Kind
from ipis.ssb.keys import intake_keys
from ipis.ssb.packs import pack_of
from ipis.ssb.register import kvittering
from ipis.ssb.register.deliveries import (
    LOKAL,
    Release,
    counts_for,
    deliveries_as_of,
    lokal,
    newest_sequence,
    open_tables,
)
from ipis.ssb.register.models import AuditEvent, Delivery, Kvittering, Phase
from ipis.ssb.register.objects import ObjectStore
from ipis.ssb.register.retire import destroy_lokal, destroyed_from

AT = datetime(2018, 1, 5, 12, tzinfo=UTC)


def delivery(sequence=1, kommune=TESTVIK, bydel="00", phase=Phase.OPEN, loaded_at=AT, year=2017, **more):
    return Delivery.objects.create(
        register="iplos", year=year, kommune=kommune, bydel=bydel, orgnr="900040300", sequence=sequence,
        forsendelse=f"{Delivery.objects.count():032x}", environment="test", phase=phase, arrived_at=loaded_at,
        loaded_at=loaded_at, manifest_sha256="0" * 64, content_sha256="0" * 64, pack_version=1, program="test",
        sender="SHA256:x", pin_generation=1, key_version=1, rows={}, objects_sha256={}, **more,
    )  # fmt: skip


class TestWhatCounts:
    @pytest.mark.parametrize(
        ("phase", "reopened", "march", "june"),
        [
            (Phase.OPEN, False, True, True),
            (Phase.LATE, False, False, True),
            (Phase.CLOSED, False, False, False),
            (Phase.CLOSED, True, False, True),
            (Phase.LATE, True, False, True),
        ],
    )
    def test_phase_decides_the_release(self, phase, reopened, march, june):
        """In the window: March and June; late: June; after the corrections: nothing, unless staff reopen."""
        one = delivery(phase=phase, reopened=reopened)
        assert (counts_for(one, Release.MARCH), counts_for(one, Release.JUNE)) == (march, june)

    def test_newest_of_each_sender_counts(self):
        delivery()
        second = delivery(2)
        nabo = delivery(kommune=NABO)
        district = delivery(kommune=BYDAL, bydel="05")
        assert deliveries_as_of(2017, AT + timedelta(days=1)) == [district, second, nabo]

    def test_late_correction_does_not_push_the_one_in_time_out_of_march(self):
        first = delivery()
        late = delivery(2, phase=Phase.LATE)
        after = AT + timedelta(days=1)
        assert deliveries_as_of(2017, after, release=Release.MARCH) == [first]
        assert deliveries_as_of(2017, after, release=Release.JUNE) == [late]

    def test_list_is_as_of_an_instant_itself_excluded(self):
        """The same instant gives the same list for ever, whatever is loaded later."""
        first = delivery()
        delivery(2, loaded_at=AT + timedelta(hours=1))
        assert deliveries_as_of(2017, AT) == []
        assert deliveries_as_of(2017, AT + timedelta(hours=1)) == [first]

    def test_higher_sequence_counts_though_it_was_loaded_first(self):
        """What was held up on the way does not push out what replaced it."""
        second = delivery(2)
        delivery(1, loaded_at=AT + timedelta(hours=1))
        assert deliveries_as_of(2017, AT + timedelta(days=1)) == [second]

    def test_years_and_registers_are_apart(self):
        delivery(year=2016)
        assert deliveries_as_of(2017, AT + timedelta(days=1)) == []
        assert deliveries_as_of(2016, AT + timedelta(days=1), register="annet") == []


def test_newest_sequence_is_zero_without_any():
    assert newest_sequence("iplos", 2017, TESTVIK, "00") == 0
    delivery(4)
    assert newest_sequence("iplos", 2017, TESTVIK, "00") == 4


class TestObjects:
    @pytest.fixture
    def store(self, room):
        return ObjectStore(room.objects)

    def staged(self, tmp_path, content=b"x"):
        folder = tmp_path / os.urandom(4).hex()
        folder.mkdir()
        (folder / "person.parquet").write_bytes(content)
        return folder

    def test_what_a_dead_worker_left_is_replaced(self, store, tmp_path):
        """Files without a catalogue row are garbage; the next try puts its own in their place."""
        name = "iplos/2017/0403/00/0001-a"
        store.put(self.staged(tmp_path, b"half"), name)
        store.put(self.staged(tmp_path, b"whole"), name)
        assert store.file(name, "person.parquet").read_bytes() == b"whole"

    @pytest.mark.parametrize("name", ["", "..", "a/../../b", "/etc"])
    def test_name_that_leaves_the_store_is_our_fault(self, store, name):
        with pytest.raises(OurFault):
            store.path(name)

    def test_sweep_takes_old_garbage_only(self, store, tmp_path):
        names = [f"iplos/2017/0403/00/000{n}-a" for n in (1, 2, 3)]
        for name in names:
            store.put(self.staged(tmp_path), name)
        for name in names[:2]:
            os.utime(store.path(name), (0, time.time() - 2 * 24 * 3600))
        assert store.sweep({names[0]}) == 1
        assert [store.path(name).exists() for name in names] == [True, False, True]

    def test_missing_file_of_a_listed_delivery_is_our_fault(self, store, load):
        """Nothing is ever made up for what the catalogue promises."""
        row, _ = load()
        store.remove(row.delivery.folder)
        store.remove(row.delivery.folder)
        with pytest.raises(OurFault) as caught:
            open_tables(row.delivery, store)
        assert caught.value.code == "ssb.object_missing"


class TestLokal:
    def test_lokal_is_destroyed_sixty_days_after_the_final_release(self, load, room):
        """One second before it stands; at the instant it is gone, and the rows no longer lead to a record."""
        row, _ = load()
        store, collection = ObjectStore(room.objects), pack_of(room, "iplos", 2017).collection
        when = destroyed_from(collection)
        assert when == datetime(2018, 8, 14, tzinfo=OSLO)
        assert destroy_lokal(collection, store, when - timedelta(seconds=1)) == 0
        assert destroy_lokal(collection, store, when) == 1
        assert destroy_lokal(collection, store, when) == 0
        delivery = Delivery.objects.get()
        assert not store.file(delivery.folder, LOKAL).exists()
        assert lokal(delivery, store).num_rows == 0
        assert open_tables(delivery, store)["person"].num_rows == 30
        assert AuditEvent.objects.filter(event="lokal.destroyed", subject=row.forsendelse).exists()


class TestKvittering:
    def test_receipt_without_its_cause_is_our_fault(self, room):
        """No R4 without R3: the tree has no gaps."""
        with pytest.raises(OurFault) as caught:
            kvittering.issue(Kind.R4, delivery(), key=intake_keys(room).receipt, at=AT, details={})
        assert caught.value.code == "ssb.receipt_cause"
        assert not Kvittering.objects.exists()

    def test_r4_is_issued_for_each_feedback_and_posted(self, load, room):
        row, _ = load()
        key = intake_keys(room).receipt
        for n in (1, 2):
            kvittering.issue(Kind.R4, row.delivery, key=key, at=AT, details={"zip_sha256": str(n) * 64})
        r3 = Kvittering.objects.get(kind="R3")
        assert {kvittering.signed_of(k).receipt.causes for k in Kvittering.objects.filter(kind="R4")} == {r3.sha256}
        assert Kvittering.objects.filter(kind="R4", ours=True).count() == 2
