"""SSB pushes; what is pushed becomes visible whole, once, and to one municipality."""

import json
from datetime import timedelta

import pytest
import time_machine
from tests.filsluse.conftest import TESTVIK_USER, body_of, mails, text_of
from tests.filsluse.season import ZIP, Season

from ipis.filsluse import push
from ipis.filsluse.models import Event, FilsluseAudit, Member, Tilbakemelding
from ipis.filsluse.tokens import real_now
from ipis.kernel.environment import Environment
from ipis.kernel.push import names_of, sign_request
from ipis.kernel.signature import SigningKey


def test_a_pushed_feedback_is_listed_and_downloads_byte_for_byte(ssb, in_testvik):
    note, files = ssb.push()
    assert ZIP in text_of(in_testvik.get("/filer"))
    for name, data in files.items():
        assert body_of(in_testvik.get(f"/filer/{note.id}/{name}")) == data


def test_nothing_is_visible_before_the_note(ssb, season, in_testvik):
    files = season.feedback()
    note = season.note(files)
    for name, data in files.items():
        assert ssb.put(note.id, name, data).status_code == 200
    assert ZIP not in text_of(in_testvik.get("/filer"))
    assert in_testvik.get(f"/filer/{note.id}/{ZIP}").status_code == 404
    assert mails() == []


def test_the_new_file_mail_is_queued_with_the_push(ssb, testvik):
    ssb.push()
    (mail,) = mails()
    assert (mail.recipient, mail.subject) == (TESTVIK_USER, "IPLOS-tilbakemelding: Ny fil for nedlasting")


def test_a_push_that_fails_half_way_leaves_no_row_and_no_mail(ssb, season, testvik, monkeypatch):
    """Rows, mail, event and audit are one transaction."""
    files = season.feedback()
    note = season.note(files)
    for name, data in files.items():
        ssb.put(note.id, name, data)

    def fail(_one):
        raise OSError("disk full")

    monkeypatch.setattr(push.notify, "tell_new_file", fail)
    assert ssb.show(note).status_code == 500
    assert not Tilbakemelding.objects.exists()
    assert not Member.objects.exists()
    assert not Event.objects.filter(kind="file_listed").exists()
    monkeypatch.undo()
    assert ssb.show(note).status_code == 200


def test_the_same_push_again_changes_nothing(ssb, testvik):
    note, files = ssb.push()
    for name, data in files.items():
        assert ssb.put(note.id, name, data).status_code == 200
    assert ssb.show(note).status_code == 200
    assert Tilbakemelding.objects.count() == 1
    assert len(mails()) == 1
    assert Event.objects.filter(kind="file_listed").count() == 1


def test_the_same_id_with_other_content_is_refused(ssb, season, testvik):
    note, _ = ssb.push()
    other = season.feedback(b"PK another zip")
    assert code(ssb.put(note.id, ZIP, other[ZIP])) == "filsluse.other_content"
    assert code(ssb.show(season.note(other, push_id=note.id))) == "filsluse.other_content"
    assert code(ssb.put(note.id, ZIP.replace("03.zip", "04.zip"), b"x")) == "filsluse.other_content"


def test_a_cut_file_is_sent_again_before_the_note(ssb, season, testvik):
    files = season.feedback()
    note = season.note(files)
    assert code(ssb.put(note.id, ZIP, files[ZIP][:-1], announce=note.zip.sha256)) == "filsluse.differs"
    assert code(ssb.show(note)) == "filsluse.differs"
    for name, data in files.items():
        assert ssb.put(note.id, name, data).status_code == 200
    assert ssb.show(note).status_code == 200


def test_a_file_changed_after_it_was_put_is_refused(ssb, season, portal, testvik):
    files = season.feedback()
    note = season.note(files)
    for name, data in files.items():
        ssb.put(note.id, name, data)
    (portal.files / note.id / ZIP).write_bytes(b"PK swapped on disk..")
    assert code(ssb.show(note)) == "filsluse.differs"


@pytest.mark.parametrize("headers", [{"Ipis-SHA256": "zz"}, {"Ipis-SHA256": ""}])
def test_a_file_without_its_hash_is_refused(ssb, headers):
    assert code(ssb.put("0" * 32, ZIP, b"x", headers=headers)) == "filsluse.announce"


def test_a_file_above_the_limit_is_refused_before_it_is_read(ssb, portal, monkeypatch):
    monkeypatch.setattr(push, "room_settings", lambda: portal.model_copy(update={"largest_file": 3}))
    assert code(ssb.put("0" * 32, ZIP, b"four")) == "filsluse.too_large"
    assert not (portal.files / ("0" * 32)).exists()


@pytest.mark.parametrize(
    "name", ["x.zip", "040300_iplos_tilbakemelding_20180103.zip.exe", "..%2F..%2Fsettings.toml", ".zip"]
)
def test_other_names_are_no_addresses(ssb, name):
    assert ssb.put("0" * 32, name, b"x").status_code == 404


def test_a_stranger_cannot_store_a_byte(ssb, portal, season):
    stranger = SigningKey.generate("ssb-push", Environment.DEMO)
    assert ssb.put("0" * 32, ZIP, b"x", key=stranger).status_code == 422
    assert ssb.http.put(f"/api/v1/push/{'0' * 32}/{ZIP}", b"x", headers={"Ipis-SHA256": "0" * 64}).status_code == 422
    assert list(portal.files.iterdir()) == []


def test_a_note_signed_by_another_key_is_refused(ssb, season, tmp_path, testvik):
    files = season.feedback()
    note = season.note(files)
    for name, data in files.items():
        ssb.put(note.id, name, data)
    assert code(ssb.show(note, signature=Season.make(tmp_path).sign(note))) == "signature.other_key"
    assert not Tilbakemelding.objects.exists()


def test_a_note_of_another_environment_or_address_is_refused(ssb, season, testvik):
    files = season.feedback()
    test = season.note(files, environment=Environment.TEST)
    assert code(ssb.show(test)) == "filsluse.other_push"
    assert code(ssb.show(season.note(files), push_id="f" * 32)) == "filsluse.other_push"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"push": 1, "signature": ""}', b'{"push": "*", "signature": ""}', b"[" * 70_000, b"\xff"],
)
def test_a_body_that_is_no_note_is_misuse(ssb, body):
    answer = ssb.http.post(f"/api/v1/push/{'0' * 32}", body, content_type="application/json")
    assert (answer.status_code, code(answer)) == (400, "filsluse.body")


def test_a_push_for_a_municipality_without_account_waits_for_it(ssb):
    ssb.push(tenant="1601")
    assert mails() == []


def test_staged_files_without_a_note_are_erased_after_a_week(ssb, season, portal, testvik):
    shown, _ = ssb.push()
    lost = season.note(season.feedback())
    ssb.put(lost.id, ZIP, b"never shown")
    assert push.sweep_staging() == 0
    with time_machine.travel(real_now() + timedelta(days=8), tick=False):
        assert push.sweep_staging() == 1
    assert [folder.name for folder in portal.files.iterdir()] == [shown.id]


class TestEvents:
    def test_ssb_reads_what_happened_to_files_and_nothing_else(self, ssb, in_testvik):
        note, _ = ssb.push()
        body_of(in_testvik.get(f"/filer/{note.id}/{ZIP}"))
        in_testvik.post(f"/filer/{note.id}/bekreft")
        events = ssb.events().json()
        assert [event["kind"] for event in events] == ["file_listed", "file_downloaded", "file_confirmed"]
        assert {event["push"] for event in events} == {note.id}
        assert [e["kind"] for e in ssb.events(after=events[0]["number"]).json()] == [
            "file_downloaded",
            "file_confirmed",
        ]

    def test_a_stranger_reads_nothing(self, ssb):
        assert ssb.http.get("/api/v1/hendelser?after=0").status_code == 422
        assert ssb.events(headers={"Authorization": "Ipis !", "Ipis-Time": "x"}).status_code == 422

    def test_a_signed_request_is_answered_once(self, ssb):
        headers = sign_request(ssb.season.push, "GET", "/api/v1/hendelser?after=0")
        assert ssb.events(headers=headers).status_code == 200
        assert code(ssb.events(headers=headers)) == "filsluse.replayed"

    def test_a_signature_of_another_request_or_hour_is_refused(self, ssb):
        other = sign_request(ssb.season.push, "GET", "/api/v1/hendelser?after=7")
        assert ssb.events(headers=other).status_code == 422
        now = sign_request(ssb.season.push, "GET", "/api/v1/hendelser?after=0")
        with time_machine.travel(real_now() + timedelta(minutes=6), tick=False):
            assert code(ssb.events(headers=now)) == "push.request"

    def test_used_signatures_are_forgotten_when_they_are_too_old_to_be_taken(self, ssb):
        ssb.events()
        with time_machine.travel(real_now() + timedelta(hours=1), tick=False):
            push.forget_signatures()
        assert not push.UsedSignature.objects.exists()

    def test_a_number_that_is_none_is_misuse(self, ssb):
        assert code(ssb.events(after="x")) == "filsluse.after"


def test_the_audit_chain_holds_and_names_file_and_hash(ssb, in_testvik):
    note, files = ssb.push()
    body_of(in_testvik.get(f"/filer/{note.id}/{ZIP}"))
    assert FilsluseAudit.first_broken() is None
    listed = FilsluseAudit.objects.get(event="file_listed")
    assert (listed.subject, json.loads(listed.details)["sha256"]) == (note.id, note.zip.sha256)
    assert FilsluseAudit.objects.filter(event="file_downloaded").count() == 1
    assert names_of(ZIP) == list(files)


def code(answer):
    return answer.json()["code"]
