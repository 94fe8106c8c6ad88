"""What may come in: judged before the upload, and again by the worker when all bytes are here."""

import base64
import dataclasses

import pytest
from tests.tpf import season as cast

from ipis.kernel.canonical import dumps
from ipis.kernel.container import Archive, Source, write
from ipis.kernel.environment import Environment
from ipis.kernel.errors import TryLater
from ipis.kernel.forsendelse import Limits, read_container
from ipis.kernel.manifest import MANIFEST, NAMESPACE, SIGNATURE, Manifest
from ipis.tpf import enrolment
from ipis.tpf.models import Audit, Forsendelse, Outbox, SeenPack, SenderKey, Upload
from ipis.tpf.transitions import ParcelState


def outcome(testvik, work, path):
    """Send a file and give the code it is refused with, if any."""
    place = testvik.upload(path)
    work()
    problem = testvik.get(place).json()["problem"]
    return problem and problem["code"]


def rewritten(path, to, **changes):
    """Write the container with some members changed (None: left out)."""
    archive = Archive(path, path.name)
    members = {name: archive.read(name, 1 << 30) for name in archive.names} | changes
    write(to, [Source.of_bytes(name, content) for name, content in members.items() if content is not None])
    return to


def signed_again(path, to, key, change):
    """Change the manifest and sign it again: what somebody with the sender key could send."""
    manifest = change(read_container(path).manifest).to_bytes()
    return rewritten(path, to, **{MANIFEST: manifest, SIGNATURE: key.sign(manifest, NAMESPACE)})


@pytest.fixture
def sent(testvik, work):
    """Testvik has sent once."""
    path = testvik.seal()
    testvik.log_in().upload(path)
    work()
    return path


def test_a_manifest_may_be_announced_before_its_bytes(testvik):
    path = testvik.seal()
    answer = testvik.log_in().announce(path).json()
    assert answer["state"] == "wanted"
    assert answer["receipts"] == []
    assert Forsendelse.objects.count() == 0


FACTS = {
    "another municipality": ({"kommune": cast.NABO}, "tpf.other_municipality", "K009"),
    "another district": ({"bydel": "01"}, "tpf.other_municipality", "K009"),
    "another organisation": ({"orgnr": "999999999"}, "tpf.other_municipality", "K009"),
    "another environment": ({"environment": Environment.DEMO}, "parcel.environment", None),
    "another year": ({"year": cast.YEAR - 1}, "tpf.other_year", "K005"),
}


@pytest.mark.parametrize(("facts", "code", "rule"), FACTS.values(), ids=FACTS)
def test_a_parcel_of_something_else_is_refused_before_and_after_the_upload(testvik, work, tmp_path, facts, code, rule):
    sealed = testvik.seal()
    path = signed_again(
        sealed,
        tmp_path / "x",
        testvik.key,
        lambda m: dataclasses.replace(m, facts=dataclasses.replace(m.facts, **facts)),
    )
    answer = testvik.log_in().announce(path)
    assert (answer.status_code, answer.json()["code"], answer.json().get("rule")) == (422, code, rule)
    assert outcome(testvik, work, path) == code
    assert Forsendelse.objects.count() == 0
    assert outcome(testvik, work, sealed) is None


def test_last_years_key_is_refused_in_the_words_of_k002(testvik, work, tmp_path):
    def other_key(manifest):
        parts = (dataclasses.replace(manifest.parts[0], key_id="0" * 16), *manifest.parts[1:])
        return dataclasses.replace(manifest, parts=parts)

    path = signed_again(testvik.seal(), tmp_path / "x", testvik.key, other_key)
    problem = testvik.log_in().announce(path).json()
    assert (problem["code"], problem["rule"]) == ("tpf.other_recipient", "K002")
    assert "0000000000000000" in problem["found"]
    assert outcome(testvik, work, path) == "tpf.other_recipient"


def test_the_same_parcel_twice_gives_the_stored_receipts_again(testvik, work, sent):
    answer = testvik.announce(sent).json()
    assert (answer["state"], answer["receipts"]) == ("done", ["R1", "R2", "R5"])
    place = testvik.upload(sent)
    work()
    again = testvik.get(place).json()
    assert (again["state"], again["receipts"]) == ("done", ["R1", "R2", "R5"])
    assert Forsendelse.objects.count() == 1


def test_the_same_id_with_other_bytes_is_refused(testvik, work, sent):
    facts = read_container(sent).manifest.facts
    other = testvik.seal(forsendelse=facts.forsendelse, sequence=2)
    assert testvik.announce(other).json()["code"] == "tpf.id_taken"
    assert outcome(testvik, work, other) == "tpf.id_taken"
    assert Forsendelse.objects.get().state == ParcelState.DONE


@pytest.mark.parametrize("sequence", [1, 2])
def test_a_sequence_that_is_not_newer_is_refused(testvik, work, sequence):
    testvik.log_in().upload(testvik.seal(sequence=2))
    work()
    assert outcome(testvik, work, testvik.seal(sequence=sequence)) == "tpf.sequence"
    assert outcome(testvik, work, testvik.seal(sequence=3)) is None


def test_another_sender_key_is_refused_though_the_login_was_right(testvik, work, sent):
    other = cast.sender_key()
    path = testvik.seal(key=other, sequence=2)
    answer = testvik.announce(path)
    assert (answer.status_code, answer.json()["code"]) == (403, "tpf.other_key")
    assert outcome(testvik, work, path) == "tpf.other_key"
    assert SenderKey.objects.count() == 1


def test_the_first_send_needs_the_key_at_the_login_too(testvik, work):
    """A manifest alone enrols nobody: the key must also have signed the nonce of the login."""
    path = testvik.seal()
    testvik.log_in(proof=False)
    assert testvik.announce(path).json()["code"] == "tpf.first_send"
    assert outcome(testvik, work, path) == "tpf.first_send"
    testvik.log_in(key=cast.sender_key())
    assert outcome(testvik, work, path) == "tpf.first_send"
    assert SenderKey.objects.count() == 0


def test_a_key_released_between_upload_and_judgement_enrols_by_the_logins_proof(testvik, work, sent):
    place = testvik.upload(testvik.seal(sequence=2))
    enrolment.release_key(enrolment.Login(cast.TESTVIK, "00", cast.YEAR))
    work()
    assert testvik.log_in().get(place).json()["state"] == "done"
    assert SenderKey.living(cast.TESTVIK, "00").public == testvik.key.public.openssh


PHASES = {"open": cast.IN_WINDOW, "late": cast.LATE, "closed": cast.CLOSED}


@pytest.mark.parametrize(("phase", "at"), PHASES.items(), ids=PHASES)
def test_the_phase_is_that_of_the_last_byte(testvik, work, clock, phase, at):
    clock(at)
    testvik.log_in().upload(testvik.seal())
    clock(cast.CLOSED)
    work()
    parcel = Forsendelse.objects.get()
    assert parcel.phase == parcel.receipts.get(kind="R1").signed.receipt.phase == phase


def test_before_the_window_the_announcement_names_the_opening_instant(testvik, clock):
    path = testvik.seal()
    clock(cast.BEFORE)
    answer = testvik.log_in().announce(path)
    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (503, "tpf.not_open", True)
    assert "2018-01-02 00:00" in answer.json()["expected"]


def test_a_file_that_was_stored_before_the_window_is_refused_without_a_mail(testvik, work, clock):
    """The worker judges by the instant of the last byte; the same file passes once the window is open."""
    path = testvik.seal()
    place = testvik.log_in().upload(path)
    Upload.objects.update(stored_at=cast.BEFORE)
    work()
    assert testvik.get(place).json()["problem"]["code"] == "tpf.not_open"
    assert Outbox.objects.count() == 0
    assert outcome(testvik, work, path) is None


def test_a_refusal_is_told_to_the_registered_address_without_detail(testvik, work, sent):
    outcome(testvik, work, testvik.seal(sequence=1))
    mail = Outbox.objects.get(purpose__startswith="refused")
    assert mail.recipient == "postmottak@k0403.kommune.test"
    assert "sequence" not in mail.body
    assert Audit.objects.filter(event="upload_refused").exists()


def _flip(content, at):
    changed = bytearray(content)
    changed[at] ^= 1
    return bytes(changed)


DAMAGE = {
    "no zip": lambda raw: b"hello" * 100,
    "cut": lambda raw: raw[:-100],
    "first byte": lambda raw: _flip(raw, 0),
    "in a part": lambda raw: _flip(raw, 5000),
    "middle": lambda raw: _flip(raw, len(raw) // 2),
    "directory": lambda raw: _flip(raw, len(raw) - 120),
    "last byte": lambda raw: _flip(raw, len(raw) - 1),
    "comment": lambda raw: raw + b"x",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_refused_and_the_right_one_passes_after_it(testvik, work, room, tmp_path, damage):
    path = testvik.seal()
    (tmp_path / "damaged").write_bytes(damage(path.read_bytes()))
    code = outcome(testvik.log_in(), work, tmp_path / "damaged")
    assert code.startswith(("parcel.", "signature."))
    assert not list(room.uploads.iterdir())
    assert outcome(testvik, work, path) is None
    assert Forsendelse.objects.get(state=ParcelState.DONE)


def test_parts_that_are_missing_mixed_or_sealed_to_two_are_refused(testvik, work, tmp_path):
    path, other = testvik.seal(), testvik.seal()
    foreign = Archive(other, "other").read("identity-0001.age", 1 << 30)
    testvik.log_in()
    missing = rewritten(path, tmp_path / "missing", **{"identity-0001.age": None})
    mixed = rewritten(path, tmp_path / "mixed", **{"identity-0001.age": foreign})
    unsigned = rewritten(path, tmp_path / "unsigned", **{SIGNATURE: None})
    unread = rewritten(path, tmp_path / "doubled", **{MANIFEST: b'{"a":1,"a":2}'})
    codes = [outcome(testvik, work, each) for each in (missing, mixed, unsigned, unread)]
    assert codes == ["parcel.member_missing", "parcel.part_size", "parcel.member_missing", "parcel.json_doubled_key"]


def test_a_part_with_a_second_recipient_never_gets_its_r1(testvik, work, season, tmp_path, room):
    import pyrage

    path = testvik.seal()
    parts = {
        "identity-0001.age": pyrage.encrypt(b"x" * 100, [season.pack.recipients.tpf.key, season.ssb.recipient.key])
    }

    def fit(manifest):
        from ipis.kernel.canonical import sha256

        listed = tuple(
            dataclasses.replace(p, size=len(parts[p.name]), sha256=sha256(parts[p.name])) if p.name in parts else p
            for p in manifest.parts
        )
        return dataclasses.replace(manifest, parts=listed)

    manifest = fit(read_container(path).manifest).to_bytes()
    members = parts | {MANIFEST: manifest, SIGNATURE: testvik.key.sign(manifest, NAMESPACE)}
    assert outcome(testvik.log_in(), work, rewritten(path, tmp_path / "x", **members)) == "parcel.age_recipients"
    assert not list(room.parcels.iterdir())


def test_identities_that_cannot_be_opened_are_rejected_with_r5(testvik, work, season, room, tmp_path):
    """R1 stands; the sealed identities are deleted all the same, R5 hangs on R1, and the next attempt passes."""
    from ipis.kernel.canonical import sha256
    from ipis.kernel.sealed import seal_bytes

    path, junk = testvik.seal(), seal_bytes(b"not a container", season.pack.recipients.tpf)

    def fit(manifest):
        first = dataclasses.replace(manifest.parts[0], size=len(junk), sha256=sha256(junk))
        return dataclasses.replace(manifest, parts=(first, *manifest.parts[1:]))

    manifest = fit(read_container(path).manifest).to_bytes()
    signature = testvik.key.sign(manifest, NAMESPACE)
    bad = rewritten(path, tmp_path / "x", **{"identity-0001.age": junk, MANIFEST: manifest, SIGNATURE: signature})
    assert outcome(testvik.log_in(), work, bad).startswith("parcel.")
    parcel = Forsendelse.objects.get()
    assert parcel.state == ParcelState.CLOSED
    r1, r5 = (parcel.receipts.get(kind=kind).signed for kind in ("R1", "R5"))
    assert r5.receipt.causes == r1.sha256
    assert r5.receipt.details["refused"] == parcel.problem_code
    assert not list(room.parcels.iterdir())
    assert Outbox.objects.filter(purpose=f"refused-parcel-{parcel.pk}").exists()
    assert outcome(testvik, work, testvik.seal(sequence=1)) is None


def test_a_split_forsendelse_overtaken_before_its_last_file_is_refused_whole(testvik, work, room):
    files = testvik.seal_files(persons=6_000, limits=Limits(part=150_000, file=200_000))
    testvik.log_in()
    for path in files[:-1]:
        testvik.upload(path)
    work()
    assert outcome(testvik, work, testvik.seal(sequence=1)) is None
    assert outcome(testvik, work, files[-1]) == "tpf.sequence"
    assert Forsendelse.objects.get(state=ParcelState.REFUSED).problem_code == "tpf.sequence"
    assert not list(room.parcels.iterdir())


def test_without_a_season_pack_nothing_is_refused_and_all_waits(testvik, work, season, room):
    path = testvik.seal()
    place = testvik.log_in().upload(path)
    hidden = season.path.with_suffix(".away")
    season.path.rename(hidden)
    try:
        work()
        answer = testvik.get(place).json()
        assert answer["state"] == "stored"
        assert testvik.try_login().json()["code"] == "tpf.no_season"
    finally:
        hidden.rename(season.path)
    work()
    assert testvik.get(place).json()["state"] == "done"


def test_an_older_season_pack_is_never_taken_back(testvik, season, room):
    """Its keys may have been revoked since: the last good one stays in force, and a restart does not forget it."""
    from ipis.tpf.season import Season

    own = Season(room)
    season.publish(version=3)
    assert own.current().version == 3
    assert own.current() is own.current()
    season.publish(version=2)
    assert own.current().version == 3
    with pytest.raises(TryLater) as error:
        Season(room).current()
    assert error.value.code == "tpf.no_season"
    season.publish(version=4)
    assert own.current().version == Season(room).current().version == 4
    assert SeenPack.objects.get().version == 4


def test_a_pack_that_is_being_copied_stops_nobody(testvik, season, room):
    """Half a pack is refused and the last good one stays in force; the half is never mirrored."""
    whole = season.path.read_bytes()
    testvik.log_in()
    season.path.write_bytes(whole[: len(whole) // 2])
    try:
        assert testvik.try_login().status_code == 200
        assert testvik.http.get(f"/sesong/{season.path.name}").status_code == 503
    finally:
        season.path.write_bytes(whole)
    assert b"".join(testvik.http.get(f"/sesong/{season.path.name}").streaming_content) == whole


@pytest.mark.parametrize(
    "manifest", ["!!", base64.b64encode(b"{}").decode(), base64.b64encode(dumps({"a": 1})).decode()]
)
def test_an_announcement_that_is_no_manifest_is_refused(testvik, manifest):
    answer = testvik.log_in().post("/api/v1/forsendelser", {"manifest": manifest, "signature": "x"})
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] in ("tpf.body", "parcel.field")


def test_a_manifest_of_a_stranger_is_refused(testvik):
    path = testvik.seal()
    container = read_container(path)
    changed = Manifest.parse(container.manifest_bytes)
    changed = dataclasses.replace(changed, facts=dataclasses.replace(changed.facts, sequence=9)).to_bytes()
    body = {"manifest": base64.b64encode(changed).decode(), "signature": container.signature.decode()}
    assert testvik.log_in().post("/api/v1/forsendelser", body).json()["code"] == "signature.wrong"
