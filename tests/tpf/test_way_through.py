"""One forsendelse from login to SSB's 202, as the municipality, SSB and the disk see it."""

import base64

import httpx2
import pytest
from tests.tpf import season as cast

from ipis.kernel.canonical import sha256
from ipis.kernel.forsendelse import Limits
from ipis.kernel.messages import FORWARD, Forward, Put
from ipis.kernel.opening import join_mapping, read_mapping_part
from ipis.kernel.receipt import Kind, SignedReceipt, check_tree
from ipis.kernel.sealed import open_to_file
from ipis.kernel.signature import PublicKey, verify
from ipis.tpf.models import Audit, Forsendelse, Job, Outbox, Part, SenderKey
from ipis.tpf.transitions import ParcelState


def receipts(machine, identifier):
    rows = machine.get(f"/api/v1/forsendelser/{identifier}/kvitteringer").json()
    return {row["kind"]: SignedReceipt(base64.b64decode(row["receipt"]), row["signature"].encode()) for row in rows}


def test_a_forsendelse_is_received_pseudonymised_erased_and_forwarded(testvik, work, season, room):
    """R1, R2 and R5 verify by the season pack and form a tree; nothing of the parcel is left on disk."""
    path = testvik.seal()
    place = testvik.log_in().upload(path)
    work()
    state = testvik.get(place).json()
    assert state["state"] == "done"
    found = receipts(testvik, state["forsendelse"])
    assert list(found) == ["R1", "R2", "R5"]
    keys = season.pack.signing_keys("tpf-receipt")
    said = {kind: signed.verify(keys, cast.TEST) for kind, signed in found.items()}
    check_tree(found.values())
    assert said["R1"].phase == "open"
    assert said["R1"].details == {"pin_generation": 1}
    assert said["R2"].details["class_national"] == 5
    assert said["R1"].at == cast.IN_WINDOW.replace(microsecond=0) or said["R1"].at > cast.IN_WINDOW
    assert not list(room.parcels.iterdir())
    assert not list(room.uploads.iterdir())


def test_each_receipt_carries_the_audit_head_of_its_moment(testvik, work):
    path = testvik.seal()
    testvik.log_in().upload(path)
    work()
    heads = {Kind(row.kind): row.signed.receipt.audit_head for row in Forsendelse.objects.get().receipts.all()}
    events = {row.event: row.hash for row in Audit.objects.all()}
    assert heads == {Kind.R1: events["receipt_r1"], Kind.R2: events["receipt_r2"], Kind.R5: events["receipt_r5"]}
    assert Audit.first_broken() is None


def test_the_sender_key_is_enrolled_by_the_first_send_and_told_by_mail(testvik, work):
    testvik.log_in().upload(testvik.seal())
    assert SenderKey.objects.count() == 0
    work()
    assert SenderKey.objects.get().public == testvik.key.public.openssh
    mail = Outbox.objects.get(purpose__startswith="sender-key")
    assert mail.recipient == "postmottak@k0403.kommune.test"
    assert testvik.key.public.fingerprint in mail.body
    testvik.upload(testvik.seal(sequence=2))
    work()
    assert SenderKey.objects.count() == 1
    assert Outbox.objects.count() == 1


def test_ssb_gets_everything_but_the_identities_and_can_open_the_mapping(testvik, work, season, ssb, tmp_path):
    """The forward note is signed, names every member that came, and the mapping opens with SSB's key alone."""
    numbers = [cast.number_born_in(1950, 1), cast.number_born_in(1951, 2), "", "12345"]
    path = testvik.seal(numbers=numbers)
    testvik.log_in().upload(path)
    work()
    raw, armored = base64.b64decode(ssb.notes[0]["forward"]), ssb.notes[0]["signature"].encode()
    verify(raw, armored, FORWARD, season.pack.signing_keys("tpf-forward"))
    forward = Forward.parse(raw)
    assert {m.name: (m.size, m.sha256) for m in forward.members} == {
        name: (len(content), sha256(content)) for name, content in ssb.members.items()
    }
    assert set(ssb.members) == {
        "manifest.json", "manifest.json.sig", "data-0001.age", "contact.age", "mapping-0001.age",
        "R1.json", "R1.json.sig", "R2.json", "R2.json.sig",
    }  # fmt: skip
    assert (forward.kommune, forward.phase, forward.pin_generation) == ("0403", "open", 1)
    assert PublicKey.parse(forward.sender) == testvik.key.public
    (tmp_path / "m.age").write_bytes(ssb.members["mapping-0001.age"])
    staged = open_to_file(tmp_path / "m.age", season.ssb, tmp_path / "m", part="mapping-0001.age")
    from ipis.kernel.manifest import Manifest

    facts = Manifest.parse(ssb.members["manifest.json"]).facts
    header, table = read_mapping_part(staged, (1, 1), facts, part="mapping-0001.age")
    mapping = join_mapping([(header, table)], header.commitment)
    assert sorted(mapping["id_reason"].to_pylist()) == ["form", "missing", "ok", "ok"]
    assert sorted(mapping["id_class"].to_pylist()) == ["national", "national", "unlinkable", "unlinkable"]


def test_every_member_is_brought_by_a_request_that_tpf_signed(testvik, work, season, ssb):
    """SSB can tell TPF from anyone else who reaches its address, before it has the hand-over."""
    testvik.log_in().upload(testvik.seal())
    work()
    keys = season.pack.signing_keys("tpf-forward")
    assert len(ssb.puts) == len(ssb.members) == 9
    for path, proof, content in ssb.puts:
        Put(path, sha256(content), len(content)).verify(*proof, keys)


@pytest.mark.parametrize(
    "silence",
    [
        httpx2.ConnectError("no"),
        httpx2.ReadTimeout("no"),
        httpx2.Response(503),
        httpx2.Response(401),
        httpx2.Response(200, json={}),
    ],
)
@pytest.mark.parametrize("requests_before", [0, 3, 9])
def test_a_silent_ssb_is_asked_again_until_it_answers(testvik, work, ssb, room, silence, requests_before):
    """Data parts stay until the 202; afterwards SSB has one note, and nothing is left here."""
    testvik.log_in().upload(testvik.seal())
    work("receive", "pseudonymise", "erase")
    ssb.script = [None] * requests_before + [silence]
    work()
    parcel = Forsendelse.objects.get()
    if parcel.state == ParcelState.ERASED:
        assert Job.objects.get(kind="forward").problem == "tpf.ssb_silent"
        assert list(room.parcels.rglob("data-*"))
    work()
    parcel.refresh_from_db()
    assert parcel.state == ParcelState.DONE
    assert len(ssb.notes) == 1
    assert not list(room.parcels.iterdir())


def test_a_refusal_by_ssb_ends_the_forsendelse_and_is_told_without_detail(testvik, work, ssb, room):
    testvik.log_in().upload(testvik.seal())
    ssb.script = [httpx2.Response(422, json={"code": "intake.hash", "found": "secret detail"})]
    work()
    parcel = Forsendelse.objects.get()
    assert parcel.state == ParcelState.CLOSED
    answer = testvik.get(f"/api/v1/forsendelser/{parcel.identifier}").json()
    assert answer["problem"]["code"] == "tpf.ssb_refused"
    assert "intake.hash" in answer["problem"]["found"]
    assert [row.kind for row in parcel.receipts.all()] == ["R1", "R2", "R5"]
    body = Outbox.objects.get(purpose__startswith="refused").body
    assert "intake" not in body
    assert not list(room.parcels.iterdir())
    testvik.upload(testvik.seal(sequence=1))
    work()
    assert Forsendelse.objects.latest("pk").state == ParcelState.DONE


@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"code": "x y<script>"}', b'{"code": 7}'])
def test_a_refusal_that_cannot_be_read_is_a_refusal_all_the_same(testvik, work, ssb, body):
    testvik.log_in().upload(testvik.seal())
    ssb.script = [httpx2.Response(409, content=body)]
    work()
    assert Forsendelse.objects.get().problem_params == {"reason": "?"}


def test_files_of_a_split_forsendelse_come_in_any_order(testvik, work, room):
    """No receipt before the last file is here; then one R1 for the whole."""
    files = testvik.seal_files(persons=6_000, limits=Limits(part=150_000, file=200_000))
    assert len(files) > 1
    testvik.log_in()
    places = [testvik.upload(path) for path in reversed(files[1:])]
    work()
    states = {testvik.get(place).json()["state"] for place in places}
    assert states == {"arriving"}
    identifier = testvik.get(places[0]).json()["forsendelse"]
    answer = testvik.get(f"/api/v1/forsendelser/{identifier}/kvitteringer")
    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (503, "tpf.no_receipt_yet", True)
    testvik.upload(files[0])
    work()
    assert testvik.get(places[0]).json()["state"] in ("done", "held")
    assert next(iter(receipts(testvik, identifier))) == "R1"


def test_a_file_of_a_split_forsendelse_sent_twice_counts_once(testvik, work):
    files = testvik.seal_files(persons=6_000, limits=Limits(part=150_000, file=200_000))
    testvik.log_in()
    for path in (files[0], files[0], *files[1:]):
        testvik.upload(path)
        work("receive")
    parcel = Forsendelse.objects.get()
    assert parcel.state == ParcelState.RECEIVED
    names = [part.name for part in Part.objects.filter(forsendelse=parcel)]
    assert len(names) == len(set(names))
