"""TPF's door into SSB: members any number of times, a hand-over that is proved before it is acknowledged, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.ssb.fake_tpf import BYDAL, TESTVIK, Tpf, receipts, resigned

from ipis.kernel.environment import Environment
from ipis.kernel.manifest import Manifest
from ipis.kernel.signature import SigningKey
from ipis.ssb.intake.models import Forsendelse, Member
from ipis.ssb.register.models import AuditEvent, Job, Kvittering

ID = "0123456789abcdef0123456789abcdef"


def code_of(answer, status):
    assert answer.status_code == status, answer.content
    return answer.json()["code"]


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
