"""Members of a forsendelse on their way in: any number of times before the hand-over, never again after it."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from ipis.kernel.canonical import sha256
from ipis.kernel.environment import Environment
from ipis.kernel.errors import IpisError, ParcelRefused, TryLater
from ipis.kernel.messages import Forward, Put
from ipis.kernel.signature import SigningKey
from ipis.ssb.intake.models import Forsendelse
from ipis.ssb.intake.receive import RowClaims
from ipis.ssb.intake.staging import Staging
from ipis.ssb.register.models import Job

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

    @pytest.mark.parametrize("length", ["", "x", "-1", "9" * 5000])
    def test_length_must_be_given(self, door, length):
        sent = {"Content-Length": length}
        answer = door.client.generic("PUT", f"/api/v1/inntak/{ID}/data-0001.age", b"x", headers=sent)
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


class TestSigned:
    """Whoever reaches the address but is not TPF leaves nothing here, and TPF keeps what it could not deliver."""

    DATA = b"sealed"
    PATH = f"/api/v1/inntak/{ID}/data-0001.age"

    def put(self, door, headers, data=DATA, path=PATH):
        headers = {"Ipis-SHA256": sha256(data), **headers}
        return door.client.put(path, data, content_type="application/octet-stream", headers=headers)

    def refused(self, door, room, headers, code="intake.unsigned", **changed):
        answer = self.put(door, headers, **changed)
        assert code_of(answer, 401) == code
        assert answer["WWW-Authenticate"] == "Ipis"
        assert not list(room.intake.iterdir())

    def signed(self, door, key=None):
        return Put(self.PATH, sha256(self.DATA), len(self.DATA)).sign(key or door.key)

    def test_member_that_tpf_signed_is_stored(self, door):
        assert self.put(door, self.signed(door)).status_code == 201

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Authorization": "Bearer x", "Ipis-Time": "2018-01-03T09:05:00+00:00"},
            {"Authorization": "Ipis eA==", "Ipis-Time": "2018-01-03T09:05:00"},
            {"Authorization": "Ipis eA==", "Ipis-Time": "now"},
        ],
        ids=["nothing", "another scheme", "no zone", "no time"],
    )
    def test_member_without_a_signature_is_refused(self, door, room, headers):
        self.refused(door, room, headers)

    def test_base64_that_is_none_is_refused(self, door, room):
        self.refused(door, room, self.signed(door) | {"Authorization": "Ipis *"})

    @pytest.mark.parametrize("minutes", [-6, 6])
    def test_a_signature_lives_five_minutes_either_way(self, door, room, minutes):
        with time_machine.travel(datetime.now(UTC) + timedelta(minutes=minutes), tick=False):
            headers = self.signed(door)
        self.refused(door, room, headers)

    def test_another_key_is_refused(self, door, room):
        stranger = SigningKey.generate("tpf-forward", Environment.TEST)
        self.refused(door, room, self.signed(door, stranger), "signature.other_key")

    def test_a_signature_is_of_one_path_and_one_content(self, door, room):
        """Neither another member nor other bytes, be they as many, come in with it."""
        self.refused(door, room, self.signed(door), "signature.wrong", data=b"SEALED")
        self.refused(door, room, self.signed(door), "signature.wrong", path=self.PATH.replace("0001", "0002"))

    def test_a_signed_hand_over_is_no_signed_member(self, door, room, make):
        """Both are signed in one namespace: neither may pass for the other."""
        import base64

        made = make()
        headers = self.signed(door) | {"Authorization": f"Ipis {base64.b64encode(made.signature).decode()}"}
        self.refused(door, room, headers, "signature.wrong")
        with pytest.raises(IpisError):
            Forward.parse(Put(self.PATH, sha256(self.DATA), 6).to_bytes("2018-01-03T09:05:00+00:00"))


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
        path = f"/api/v1/inntak/{made.forsendelse}/data-0001.age"
        answer = door.client.generic(
            "PUT",
            path,
            headers=Put(path, sha256(body), len(body)).sign(door.key),
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
            assert waiting.wait(120)
            thread.join(0.1)
            order.append("first")
        thread.join(120)
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
