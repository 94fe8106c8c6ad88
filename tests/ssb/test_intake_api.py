"""TPF's door into SSB: members any number of times, a hand-over that is proved before it is acknowledged, and nothing else."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.ssb.fake_tpf import BYDAL, TESTVIK, Tpf, receipts, resigned

from ipis.kernel.canonical import sha256
from ipis.kernel.environment import Environment
from ipis.kernel.errors import ParcelRefused, TryLater
from ipis.kernel.manifest import Manifest
from ipis.kernel.signature import SigningKey
from ipis.ssb.intake.models import Forsendelse, Member
from ipis.ssb.intake.receive import RowClaims
from ipis.ssb.intake.staging import Staging
from ipis.ssb.register.models import AuditEvent, Job, Kvittering

ID = "0123456789abcdef0123456789abcdef"


def code_of(answer, status):
    assert answer.status_code == status, answer.content
    return answer.json()["code"]


class TestMembers:
    def test_member_is_stored_and_may_come_again(self, door, room):
        """201 the first time, 200 for the same bytes: a lost answer costs nothing."""
        assert door.put(ID, "data-0001.age", b"sealed").status_code == 201
        assert door.put(ID, "data-0001.age", b"sealed").status_code == 200
        assert (room.intake / ID / "data-0001.age").read_bytes() == b"sealed"

    def test_member_is_readable_by_this_user_alone(self, door, room):
        door.put(ID, "data-0001.age", b"sealed")
        assert (room.intake / ID / "data-0001.age").stat().st_mode & 0o077 == 0

    def test_member_before_the_hand_over_may_be_mended(self, door, room):
        """What was stored wrongly is replaced as long as nobody has claimed it."""
        door.put(ID, "data-0001.age", b"spoilt")
        assert door.put(ID, "data-0001.age", b"right").status_code == 201
        assert (room.intake / ID / "data-0001.age").read_bytes() == b"right"

    @pytest.mark.parametrize(
        "name",
        [
            "identity-0001.age",
            "data-1.age",
            "data-00001.age",
            "forward.json",
            "R3.json",
            "R5.json",
            "..",
            "x",
            "manifest.json.sig.sig",
            "ＲＩ.json",
        ],
    )
    def test_unknown_name_is_refused(self, door, room, name):
        """Above all the identity part: it has no business at SSB."""
        answer = door.put(ID, name, b"x")
        assert answer.status_code in (404, 422)
        assert not (room.intake / ID).exists()

    @pytest.mark.parametrize("forsendelse", ["0", ID.upper(), ID + "0", "../" + ID[3:], "%2e%2e"])
    def test_what_is_no_id_is_refused(self, door, forsendelse):
        assert door.put(forsendelse, "data-0001.age", b"x").status_code in (404, 422)

    @pytest.mark.parametrize("digest", ["", "0" * 63, "A" * 64, "x"])
    def test_hash_must_be_given(self, door, digest):
        assert code_of(door.put(ID, "data-0001.age", b"x", digest), 422) == "intake.hash_form"

    def test_other_bytes_than_stated_are_refused_and_not_kept(self, door, room):
        assert code_of(door.put(ID, "data-0001.age", b"x", "0" * 64), 422) == "intake.hash"
        assert not list((room.intake / ID).iterdir())

    def test_too_large_a_member_is_refused_unread(self, room):
        """The bound is looked at before the first byte."""
        staging = replace(Staging.of(room), member_max_bytes=10)
        with pytest.raises(ParcelRefused) as caught:
            staging.put(ID, "data-0001.age", io.BytesIO(b"0" * 11), 11, "0" * 64, RowClaims())
        assert caught.value.code == "intake.member_size"

    def test_cut_transfer_is_tried_again_and_leaves_nothing(self, room):
        with pytest.raises(TryLater) as caught:
            Staging.of(room).put(ID, "data-0001.age", io.BytesIO(b"half"), 8, sha256(b"half.it."), RowClaims())
        assert caught.value.code == "intake.cut"
        assert not list((room.intake / ID).iterdir())

    def test_strangers_cannot_fill_the_disk(self, room):
        """What stands in intake at a time is bounded; TPF is asked to come again."""
        staging = replace(Staging.of(room), standing_max_bytes=10)
        staging.put(ID, "data-0001.age", io.BytesIO(b"12345678"), 8, sha256(b"12345678"), RowClaims())
        with pytest.raises(TryLater) as caught:
            staging.put(ID, "data-0002.age", io.BytesIO(b"123"), 3, sha256(b"123"), RowClaims())
        assert caught.value.code == "intake.full"

    @pytest.mark.parametrize("name", ["manifest.json", "manifest.json.sig", "R1.json", "R2.json.sig"])
    def test_small_members_count_too(self, room, name):
        """Whatever the name, the bytes fill the same disk."""
        staging = replace(Staging.of(room), standing_max_bytes=10)
        staging.put(ID, name, io.BytesIO(b"12345678"), 8, sha256(b"12345678"), RowClaims())
        with pytest.raises(TryLater) as caught:
            staging.put(ID, "data-0002.age", io.BytesIO(b"123"), 3, sha256(b"123"), RowClaims())
        assert caught.value.code == "intake.full"

    @pytest.mark.parametrize("name", ["manifest.json", "R1.json", "R2.json.sig"])
    def test_small_member_may_not_be_large(self, door, room, name):
        """Only sealed parts may be as large as the settings say."""
        answer = door.put(ID, name, b"0" * ((8 << 20) + 1))
        assert code_of(answer, 422) == "intake.member_size"
        assert not (room.intake / ID).exists()

    def test_folders_without_a_hand_over_are_bounded(self, room, door, make):
        """Empty folders fill a disk too; those of taken forsendelser do not count."""
        door.send(make())
        staging = replace(Staging.of(room), unclaimed_max=2)
        for name in (ID, ID[::-1]):
            staging.put(name, "R1.json", io.BytesIO(b"x"), 1, sha256(b"x"), RowClaims())
        with pytest.raises(TryLater) as caught:
            staging.put("f" * 32, "R1.json", io.BytesIO(b"x"), 1, sha256(b"x"), RowClaims())
        assert caught.value.code == "intake.full"
        staging.put(ID, "R2.json", io.BytesIO(b"x"), 1, sha256(b"x"), RowClaims())

    def test_length_must_be_given(self, door):
        answer = door.client.generic("PUT", f"/api/v1/inntak/{ID}/data-0001.age", b"x", headers={"Content-Length": "x"})
        assert code_of(answer, 400) == "intake.length"

    @pytest.mark.parametrize("method", ["get", "post", "delete", "patch"])
    def test_nothing_can_be_read_back(self, door, method):
        """Intake takes; it never gives."""
        door.put(ID, "data-0001.age", b"sealed")
        assert getattr(door.client, method)(f"/api/v1/inntak/{ID}/data-0001.age").status_code == 405

    def test_unclaimed_members_are_swept_after_a_week(self, room):
        import os
        import time

        staging = Staging.of(room)
        for name in (ID, ID[::-1]):
            staging.put(name, "data-0001.age", io.BytesIO(b"x"), 1, sha256(b"x"), RowClaims())
            os.utime(room.intake / name, (0, time.time() - 8 * 24 * 3600))
        assert staging.sweep({ID}) == 1
        assert [path.name for path in room.intake.iterdir()] == [ID]


class TestTaken:
    """After the acknowledgement TPF deletes its parts: what stands here is the only copy."""

    def test_member_of_a_taken_parcel_cannot_be_replaced(self, door, make, room):
        made = make()
        door.send(made)
        assert code_of(door.put(made.forsendelse, "data-0001.age", b"other"), 409) == "intake.claimed"
        assert (room.intake / made.forsendelse / "data-0001.age").read_bytes() == made.members["data-0001.age"]

    def test_nothing_can_be_added_to_it(self, door, make):
        made = make()
        door.send(made)
        assert code_of(door.put(made.forsendelse, "data-0009.age", b"more"), 409) == "intake.claimed"

    def test_deleted_parts_are_not_brought_back(self, door, load, room):
        """A retry after the parts were deleted is acknowledged, and stores nothing."""
        _, made = load()
        door.send(made)
        assert not (room.intake / made.forsendelse / "data-0001.age").exists()

    @pytest.mark.parametrize(("data", "status"), [(b"other", 409), (None, 200)])
    def test_transfer_that_ends_after_the_hand_over_changes_nothing(self, door, make, room, data, status):
        """A PUT may begin before the hand-over and end long after it."""
        made = make()
        right = made.members["data-0001.age"]
        door.put_all(made)
        (room.intake / made.forsendelse / "data-0001.age").write_bytes(b"first try")

        class Slow(io.BytesIO):
            def read(self, *size):
                if not Forsendelse.objects.exists():
                    door.send(made)
                return super().read(*size)

        body = right if data is None else data
        answer = door.client.generic(
            "PUT",
            f"/api/v1/inntak/{made.forsendelse}/data-0001.age",
            **{"wsgi.input": Slow(body), "CONTENT_LENGTH": str(len(body)), "HTTP_IPIS_SHA256": sha256(body)},
        )
        assert answer.status_code == status
        assert (room.intake / made.forsendelse / "data-0001.age").read_bytes() == right
        assert not list((room.intake / made.forsendelse).glob(".*"))

    def test_hand_over_waits_for_a_member_on_its_way_in(self, room):
        """Whoever holds the forsendelse's lock is alone: neither proof nor rename comes in between."""
        import threading

        staging, order, waiting = Staging.of(room), [], threading.Event()
        staging.put(ID, "R1.json", io.BytesIO(b"x"), 1, sha256(b"x"), RowClaims())

        def second():
            waiting.set()
            with staging.locked(ID):
                order.append("second")

        thread = threading.Thread(target=second)
        with staging.locked(ID):
            thread.start()
            assert waiting.wait(5)
            thread.join(0.1)
            order.append("first")
        thread.join(5)
        assert order == ["first", "second"]

    def test_strangers_mapping_part_is_not_opened_and_does_not_stay(self, door, make, intake, room):
        """Only the parts that TPF signed for are read, whatever else was put beside them."""
        made = make()
        door.put(made.forsendelse, "mapping-0002.age", b"a stranger's")
        door.put(made.forsendelse, "data-0009.age", b"a stranger's")
        door.send(made)
        intake.run(once=True)
        assert Forsendelse.objects.get().state == "cleared"
        left = {path.name for path in (room.intake / made.forsendelse).iterdir()}
        assert left == {name for name in made.members if not name.startswith(("data-", "mapping-"))}

    @pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b"other"), lambda path: path.unlink()])
    def test_member_changed_on_disk_is_held_for_staff(self, door, make, intake, room, spoil):
        """Only what TPF signed for is ever opened; a restored member is loaded after its release."""
        from ipis.ssb.intake.load import release

        made = make()
        door.send(made)
        path = room.intake / made.forsendelse / "data-0001.age"
        spoil(path)
        intake.run(once=True)
        row = Forsendelse.objects.get()
        assert (row.state, row.problem) == ("held", "intake.disturbed")
        path.write_bytes(made.members["data-0001.age"])
        release(row, actor="staff:kari", key_check=False)
        intake.run(once=True)
        assert Forsendelse.objects.get().state == "cleared"

    def test_two_hand_overs_at_once_are_one(self, room, door, make):
        """The second finds the first's row by the constraint, not by luck."""
        from ipis.ssb.intake import receive
        from ipis.ssb.packs import pack_of

        made = make()
        door.put_all(made)
        pack = pack_of(room, "iplos", 2017)
        proved = receive._prove(room, pack, made.forward, "0" * 64)
        rows = [receive._store(proved, pack, room.business_clock().now()) for _ in range(2)]
        assert rows[0] == rows[1]
        assert Job.objects.count() == 1


class TestHandOver:
    def test_acknowledgement_is_a_durable_row(self, door, make):
        """202 comes with row, members, TPF's receipts, job and audit event."""
        made = make()
        assert door.send(made).json() == {"state": "received", "forsendelse": made.forsendelse}
        row = Forsendelse.objects.get()
        assert (row.state, row.kommune, row.sequence, row.pin_generation) == ("received", TESTVIK, 1, 1)
        assert set(Member.objects.values_list("name", flat=True)) == set(made.members)
        assert set(Kvittering.objects.values_list("kind", "ours")) == {("R1", False), ("R2", False)}
        assert list(Job.objects.values_list("kind", flat=True)) == ["load"]
        assert AuditEvent.objects.get().event == "forsendelse.received"

    def test_same_parcel_again_is_acknowledged_again(self, door, make):
        """A lost answer: the same row, one job."""
        made = make()
        door.send(made)
        assert door.post(made).status_code == 202
        assert (Forsendelse.objects.count(), Job.objects.count(), Kvittering.objects.count()) == (1, 1, 2)

    def test_same_parcel_after_it_was_loaded_is_acknowledged_again(self, door, load):
        """The parts are gone by then; the row answers."""
        _, made = load()
        assert door.post(made).status_code == 202

    def test_same_id_with_other_bytes_is_refused(self, door, make):
        door.send(make(forsendelse=ID))
        other = make(forsendelse=ID, seed=2)
        assert code_of(door.post(other), 409) == "intake.other_bytes"

    def test_number_of_another_parcel_is_refused(self, door, make):
        door.send(make())
        other = make(seed=2)
        door.put_all(other)
        assert code_of(door.post(other), 409) == "intake.sequence"
        assert Forsendelse.objects.count() == 1

    def test_earlier_number_that_was_held_up_is_still_taken(self, door, make):
        """TPF has accepted both; the one that lost its way counts for nothing but is not lost."""
        door.send(make(sequence=2))
        door.send(make(sequence=1, seed=2))
        assert Forsendelse.objects.count() == 2

    def test_missing_member_is_asked_for_again(self, door, make):
        made = make()
        door.put_all(replace(made, members={n: d for n, d in made.members.items() if n != "data-0001.age"}))
        answer = door.post(made)
        assert code_of(answer, 503) == "intake.member_missing"
        assert answer.json()["retry"] is True
        door.put(made.forsendelse, "data-0001.age", made.members["data-0001.age"])
        assert door.post(made).status_code == 202

    def test_districts_are_taken_where_agreed(self, door, make):
        door.send(make(kommune=BYDAL, bydel="05"))

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"null",
            b'{"forward": 1, "signature": ""}',
            b'{"forward": "!", "signature": ""}',
            b'{"forward": ""}',
            b"[" * 100_000,
        ],
    )
    def test_body_that_is_not_the_agreed_json_is_refused(self, door, body):
        answer = door.client.post(f"/api/v1/inntak/{ID}", body, content_type="application/json")
        assert code_of(answer, 400) == "intake.body"

    def test_forward_that_is_not_json_is_refused(self, door):
        note = {"forward": "AAAA", "signature": ""}
        answer = door.client.post(f"/api/v1/inntak/{ID}", note, content_type="application/json")
        assert code_of(answer, 422) == "parcel.json"


class TestProofs:
    """Each is handed over with everything right but one thing; nothing is stored, and the right one is taken after it."""

    def refused(self, door, made, code, right=None, status=422):
        door.put_all(made)
        assert code_of(door.post(made), status) == code
        assert not Forsendelse.objects.exists()
        assert not Job.objects.exists()
        if right is not None:
            door.send(right)

    def test_another_address(self, door, make):
        made = make()
        answer = door.post(replace(made, forsendelse=ID))
        assert code_of(answer, 422) == "intake.address"

    def test_forward_signed_by_another_key(self, door, make):
        made = make()
        stranger = SigningKey.generate("tpf-forward", Environment.TEST)
        self.refused(
            door,
            replace(made, signature=stranger.sign(made.forward.to_bytes(), "ipis-forward@v1")),
            "signature.other_key",
            made,
        )

    def test_forward_signed_in_another_namespace(self, door, make, tpf):
        """A receipt's signature is no hand-over."""
        made = make()
        signed = tpf.receipts.sign(made.forward.to_bytes(), "ipis-receipt@v1")
        self.refused(door, replace(made, signature=signed), "signature.namespace", made)

    def test_forward_changed_after_signing(self, door, make):
        made = make()
        self.refused(door, replace(made, forward=replace(made.forward, pin_generation=2)), "signature.wrong", made)

    def test_another_environment(self, door, make, tpf):
        made = make()
        self.refused(door, resigned(tpf, made, environment=Environment.DEMO), "parcel.environment", made)

    def test_year_without_a_pack_is_tried_again(self, door, make, tpf):
        made = make()
        self.refused(door, resigned(tpf, made, year=2015), "ssb.no_pack", status=503)

    def test_member_changed_after_tpf_signed(self, door, make):
        made = make()
        door.put_all(made)
        door.put(made.forsendelse, "data-0001.age", b"other")
        assert code_of(door.post(made), 422) == "intake.hash"

    def test_manifest_of_a_sender_that_tpf_does_not_vouch_for(self, door, make, tpf):
        made = make()
        other = SigningKey.generate("sender", Environment.TEST).public.openssh
        self.refused(door, resigned(tpf, made, sender=other), "parcel.sender", made)

    def test_manifest_signature_of_something_else(self, door, make, tpf):
        made = make()
        wrong = tpf.sender.sign(b"{}", "ipis-manifest@v1")
        self.refused(
            door, resigned(tpf, made, members=made.members | {"manifest.json.sig": wrong}), "signature.wrong", made
        )

    def test_manifest_that_is_not_the_one_tpf_names(self, door, make, tpf):
        made = make()
        self.refused(door, resigned(tpf, made, manifest_sha256="0" * 64), "intake.manifest_differs", made)

    @pytest.mark.parametrize("changes", [{"kommune": "0412"}, {"bydel": "01"}, {"orgnr": "999999999"}, {"sequence": 7}])
    def test_forward_that_disagrees_with_the_manifest(self, door, make, tpf, changes):
        """K009: TPF cannot hand a parcel over for another sender than the one who signed it."""
        made = make()
        self.refused(door, resigned(tpf, made, **changes), "intake.manifest_differs", made)

    def test_data_part_of_another_parcel(self, door, make, tpf):
        """Parts of two parcels mixed: the manifest names hashes."""
        made, other = make(), make()
        mixed = made.members | {"data-0001.age": other.members["data-0001.age"]}
        self.refused(door, resigned(tpf, made, members=mixed), "intake.manifest_differs", made)

    def test_data_part_too_many(self, door, make, tpf):
        made = make()
        more = made.members | {"data-0002.age": made.members["data-0001.age"]}
        self.refused(door, resigned(tpf, made, members=more), "intake.manifest_differs", made)

    @pytest.mark.parametrize("name", ["contact.age", "mapping-0001.age", "R2.json.sig", "manifest.json"])
    def test_member_that_every_parcel_has_is_lacking(self, door, make, tpf, name):
        made = make()
        fewer = {n: d for n, d in made.members.items() if n != name}
        self.refused(door, resigned(tpf, made, members=fewer), "intake.member_lacking", made)

    def test_mapping_with_a_gap(self, door, make, tpf):
        made = make()
        gap = made.members | {"mapping-0003.age": made.members["mapping-0001.age"]}
        self.refused(door, resigned(tpf, made, members=gap), "intake.member_lacking", made)

    def test_identity_part_is_never_taken(self, door, make, tpf):
        """A note that names one is refused before anything of it could be read."""
        made = make()
        more = made.members | {"identity-0001.age": b"sealed to TPF"}
        door.put_all(made)
        assert code_of(door.post(resigned(tpf, made, members=more)), 422) == "parcel.field"

    @pytest.mark.parametrize(
        "changes",
        [{"phase": "late"}, {"kommune": "0412"}, {"year": 2016}, {"sequence": 2}, {"forsendelse": ID}],
    )
    def test_r1_of_something_else(self, door, make, tpf, changes):
        """What TPF receipted and what it hands over must be the same thing."""
        made = make()
        facts = Manifest.parse(made.members["manifest.json"]).facts
        wrong = receipts(tpf, made.content, facts, made.forward.manifest_sha256, **changes)
        self.refused(door, resigned(tpf, made, members=made.members | wrong), "intake.receipt_differs", made)

    def test_r1_at_another_instant(self, door, make, tpf):
        """The phase follows from the instant; TPF may not move it afterwards."""
        made = make()
        self.refused(
            door, resigned(tpf, made, received_at=datetime(2018, 1, 4, tzinfo=UTC)), "intake.receipt_differs", made
        )

    def test_receipts_signed_by_another(self, door, make, tpf):
        made = make()
        facts = Manifest.parse(made.members["manifest.json"]).facts
        wrong = receipts(Tpf(), made.content, facts, made.forward.manifest_sha256)
        self.refused(door, resigned(tpf, made, members=made.members | wrong), "signature.other_key", made)

    def test_r2_not_caused_by_this_r1(self, door, make, tpf):
        made = make()
        facts = Manifest.parse(made.members["manifest.json"]).facts
        other = receipts(tpf, made.content, facts, made.forward.manifest_sha256, audit_head="1" * 64)
        mixed = made.members | {n: d for n, d in other.items() if n.startswith("R2")}
        self.refused(door, resigned(tpf, made, members=mixed), "parcel.receipt_tree", made)

    def test_two_receipts_swapped(self, door, make, tpf):
        made = make()
        m = made.members
        swapped = m | {"R1.json": m["R2.json"], "R1.json.sig": m["R2.json.sig"]}
        self.refused(door, resigned(tpf, made, members=swapped), "intake.receipt_differs", made)

    def test_phase_before_the_window_is_never_taken(self, door, make):
        self.refused(door, make(phase="before"), "parcel.field")

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            ({"kommune": "5001"}, "intake.kommune"),
            ({"bydel": "01"}, "intake.bydel"),
            ({"kommune": BYDAL, "bydel": "16"}, "intake.bydel"),
            ({"orgnr": "999999999"}, "intake.orgnr"),
        ],
    )
    def test_sender_that_the_pack_does_not_know(self, door, make, content, code):
        """K007, K008, K010: 5001 is right in January 2018 as a number, and wrong for the collection year."""
        self.refused(door, make(**content), code, make())

    def test_small_member_that_is_huge_is_refused_unread(self, door, make, tpf, room):
        """Also where it came to stand here by another way than the door."""
        made = make()
        huge = resigned(tpf, made, members=made.members | {"R1.json": b"0" * ((8 << 20) + 1)})
        door.put_all(made)
        (room.intake / made.forsendelse / "R1.json").write_bytes(huge.members["R1.json"])
        assert code_of(door.post(huge), 422) == "intake.member_size"


class TestReplacedKeys:
    """A key that is accepted until an instant is not accepted after it."""

    @pytest.fixture
    def replaced(self, monkeypatch, room):
        """Say in the season pack until when a role's key is taken."""
        from ipis.kernel.seasonpack import KeyState
        from ipis.ssb.intake import receive
        from ipis.ssb.packs import pack_of

        def replaced_at(role, until):
            pack = pack_of(room, "iplos", 2017)
            keys = [
                replace(key, state=KeyState.ACCEPT_UNTIL, accept_until=until) if key.role == role else key
                for key in pack.body.keys
            ]
            changed = replace(pack, body=replace(pack.body, keys=tuple(keys)))
            monkeypatch.setattr(receive, "pack_of", lambda *_: changed)

        return replaced_at

    def test_forward_is_judged_by_now(self, door, make, replaced, at):
        made = make()
        door.put_all(made)
        replaced("tpf-forward", datetime(2018, 1, 3, 10, tzinfo=UTC))
        at(datetime(2018, 1, 3, 11, tzinfo=UTC))
        assert code_of(door.post(made), 422) == "signature.other_key"
        at(datetime(2018, 1, 3, 9, 30, tzinfo=UTC))
        assert door.post(made).status_code == 202

    def test_receipts_are_judged_by_their_own_instant(self, door, make, replaced):
        """R1 was signed at nine: a key good until half past nine signed it rightly."""
        made = make()
        door.put_all(made)
        replaced("tpf-receipt", datetime(2018, 1, 3, 8, 30, tzinfo=UTC))
        assert code_of(door.post(made), 422) == "signature.other_key"
        replaced("tpf-receipt", datetime(2018, 1, 3, 9, 30, tzinfo=UTC))
        assert door.post(made).status_code == 202


def test_problem_is_told_in_the_language_asked_for(door, make):
    made = make()
    answer = door.client.post(
        f"/api/v1/inntak/{made.forsendelse}",
        made.note(),
        content_type="application/json",
        headers={"accept-language": "nn"},
    )
    assert "ikkje motteken" in answer.json()["found"]


def test_health_names_the_room(door):
    assert door.client.get("/healthz").json() == {"room": "ssb"}
