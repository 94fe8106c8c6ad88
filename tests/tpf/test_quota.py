"""The quota of distinct persons, what is held for staff, and what has waited too long."""

import datetime

import pytest
from django.db import OperationalError
from tests.tpf import season as cast

from ipis.kernel.errors import Misuse
from ipis.kernel.forsendelse import Limits
from ipis.tpf import enrolment, erase, quota
from ipis.tpf.models import Audit, Forsendelse, Outbox, QuotaSet
from ipis.tpf.transitions import ParcelState
from ipis.tpf.worker import Housekeeping

LOGIN = enrolment.Login(cast.TESTVIK, "00", cast.YEAR)


@pytest.fixture
def few(monkeypatch):
    """Allow eight persons."""
    monkeypatch.setattr(quota, "allowance", lambda *_: 8)


def sent(testvik, work, sequence, **facts):
    testvik.log_in().upload(testvik.seal(sequence=sequence, **facts))
    work()
    return Forsendelse.objects.get(sequence=sequence)


def test_the_allowance_is_a_quarter_of_the_population_and_at_least_fifty(season):
    collection = season.pack.collection
    assert quota.allowance(collection.limits, 0) == 50
    hamar = next(row["total"] for row in collection.inhabitants().to_pylist() if row["kommune"] == cast.TESTVIK)
    assert quota.allowance(collection.limits, hamar) == hamar // 4 > 5000


def test_the_same_persons_again_count_once(testvik, work, few):
    states = [sent(testvik, work, n, persons=8).state for n in (1, 2, 3)]
    assert states == [ParcelState.DONE] * 3


def test_more_persons_than_allowed_wait_for_staff(testvik, work, few, room):
    """The first eight pass; the next one is held with its R1, identities sealed as they came, and told by mail."""
    sent(testvik, work, 1, persons=8)
    held = sent(testvik, work, 2, persons=1, first=8)
    assert held.state == ParcelState.HELD
    assert [row.kind for row in held.receipts.all()] == ["R1"]
    answer = testvik.get(f"/api/v1/forsendelser/{held.identifier}?wait=1").json()
    assert answer["state"] == "held"
    assert Outbox.objects.filter(purpose=f"held-{held.pk}").exists()
    assert QuotaSet.objects.count() == 1
    assert list(room.parcels.rglob("identity-*"))
    assert enrolment.release_held(LOGIN) == [held.identifier]
    work()
    held.refresh_from_db()
    assert held.state == ParcelState.DONE
    assert Audit.objects.filter(event="held_released").exists()


def test_only_valid_numbers_are_counted(testvik, work, few):
    """Dummies make no dictionary: they get no national pseudonym."""
    parcel = sent(testvik, work, 1, numbers=["12345"] * 20 + [""] * 20 + [cast.number_born_in(1950, 1)] * 3)
    assert parcel.state == ParcelState.DONE
    assert len(bytes(QuotaSet.objects.get().digests)) == 16


def test_a_forsendelse_without_valid_numbers_passes(testvik, work, few):
    assert sent(testvik, work, 1, numbers=["", ""]).state == ParcelState.DONE
    assert sent(testvik, work, 2, numbers=[cast.number_born_in(1950, 1)]).state == ParcelState.DONE


def test_the_digests_need_the_workers_key(testvik, work, bench):
    parcel = sent(testvik, work, 1)
    digests = bytes(QuotaSet.objects.get().digests)
    assert len(digests) == 5 * 16
    assert quota.year_key(bench, cast.YEAR) != quota.year_key(bench, cast.YEAR + 1)
    assert parcel.quotaset.kommune == cast.TESTVIK


def test_key_and_digests_are_destroyed_in_june(testvik, work, bench, clock, room):
    sent(testvik, work, 1)
    quota.destroy_when_over(bench)
    assert QuotaSet.objects.exists()
    clock(datetime.datetime(2018, 6, 15, 12, tzinfo=datetime.UTC))
    Housekeeping(bench)()
    assert not QuotaSet.objects.exists()
    assert not list(room.worker_keys.glob("quota-*"))
    assert Audit.objects.filter(event="quota_key_destroyed").exists()


def test_nothing_to_release_is_said(enrolled):
    with pytest.raises(Misuse) as error:
        enrolment.release_held(LOGIN)
    assert error.value.code == "tpf.nothing_held"
    with pytest.raises(Misuse) as error:
        enrolment.release_key(LOGIN)
    assert error.value.code == "tpf.no_key_to_release"


def test_what_is_held_too_long_loses_its_identities_with_r5(testvik, work, few, bench, clock, room):
    """Whatever holds a forsendelse up, its sealed identities go after the collection's days, and R5 says so."""
    held = sent(testvik, work, 1, persons=9)
    erase.end_overdue(bench)
    work()
    held.refresh_from_db()
    assert held.state == ParcelState.HELD
    clock(cast.IN_WINDOW + datetime.timedelta(days=15))
    Housekeeping(bench)()
    work()
    held.refresh_from_db()
    assert (held.state, held.problem_code) == (ParcelState.CLOSED, "tpf.overdue")
    assert [row.kind for row in held.receipts.all()] == ["R1", "R5"]
    assert not list(room.parcels.iterdir())


def test_half_a_forsendelse_is_deleted_after_the_same_days(testvik, work, bench, clock, room):
    files = testvik.seal_files(persons=6_000, limits=Limits(part=150_000, file=200_000))
    place = testvik.log_in().upload(files[0])
    work()
    clock(cast.IN_WINDOW + datetime.timedelta(days=15))
    erase.end_overdue(bench)
    assert testvik.get(place).json()["problem"]["code"] == "tpf.overdue"
    assert not list(room.parcels.iterdir())


def test_what_is_overdue_keeps_its_parts_until_its_refusal_stands(testvik, work, bench, clock, room, monkeypatch):
    """A last file that comes meanwhile must not complete a forsendelse whose other parts are gone."""
    files = testvik.seal_files(persons=6_000, limits=Limits(part=150_000, file=200_000))
    testvik.log_in().upload(files[0])
    work()
    clock(cast.IN_WINDOW + datetime.timedelta(days=15))

    def full(*_):
        raise OperationalError("database or disk is full")

    monkeypatch.setattr(erase.notices, "refused", full)
    with pytest.raises(OperationalError):
        erase.end_overdue(bench)
    assert Forsendelse.objects.get().state == ParcelState.ARRIVING
    assert list(room.parcels.glob("*/*"))


def test_housekeeping_rests_for_a_minute_and_outlives_a_missing_pack(enrolled, bench, season):
    keeper = Housekeeping(bench)
    hidden = season.path.with_suffix(".away")
    season.path.rename(hidden)
    try:
        keeper()
        keeper()
    finally:
        hidden.rename(season.path)


def test_real_numbers_in_a_test_parcel_are_rejected(testvik, work, monkeypatch):
    """A module that does not refuse them itself gains nothing."""
    import pyarrow as pa

    from ipis.tpf.pseudonymise import Pseudonymiser

    real = Pseudonymiser.mappings

    def judged(self, *words):
        (table,) = real(self, *words)
        index = table.schema.get_field_index("id_reason")
        return [table.set_column(index, table.schema.field(index), pa.array(["real_in_test"] * table.num_rows))]

    monkeypatch.setattr(Pseudonymiser, "mappings", judged)
    parcel = sent(testvik, work, 1)
    assert (parcel.state, parcel.problem_code) == (ParcelState.CLOSED, "tpf.real_in_test")


def test_records_that_break_the_format_are_rejected(testvik, work, monkeypatch):
    monkeypatch.setattr(cast, "pack_identities", cast.broken_identities)
    assert sent(testvik, work, 1).problem_code == "tpf.identity_form"


def test_after_the_final_publication_everything_waits_for_staff(testvik, work, bench, clock, room):
    """The quota is gone with its key: no new one is drawn, and no forsendelse is pseudonymised unseen."""
    clock(datetime.datetime(2018, 6, 15, 12, tzinfo=datetime.UTC))
    held = sent(testvik, work, 1)
    assert (held.state, held.held_for) == (ParcelState.HELD, "publication")
    assert not list(room.worker_keys.glob("quota-*"))
    body = Outbox.objects.get(purpose=f"held-{held.pk}").body
    assert "endelig publisering" in body
    assert "flere personer" not in body
    enrolment.release_held(LOGIN)
    work()
    held.refresh_from_db()
    assert held.state == ParcelState.DONE
    assert not QuotaSet.objects.exists()
    assert not list(room.worker_keys.glob("quota-*"))


def test_the_key_of_an_earlier_year_is_destroyed_too(testvik, work, bench, room):
    """The next season's pack may take the place of the last before June's destruction has run."""
    quota.year_key(bench, cast.YEAR - 1)
    quota.year_key(bench, cast.YEAR)
    quota.destroy_when_over(bench)
    assert [path.name for path in room.worker_keys.glob("quota-*")] == [f"quota-{cast.YEAR}"]
    assert quota.is_over(bench, cast.YEAR - 1)
    assert not quota.is_over(bench, cast.YEAR)
