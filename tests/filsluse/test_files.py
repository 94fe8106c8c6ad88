"""Download, confirmation, deletion and expiry; the neighbour's files do not exist."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from tests.filsluse.conftest import NABO, TESTVIK_USER, api_login, body_of, mails, text_of
from tests.filsluse.season import YEAR, ZIP

from ipis.filsluse import files
from ipis.filsluse.models import Event, FilsluseAudit, FilsluseJob, Tilbakemelding
from ipis.filsluse.transitions import GONE, TRANSITIONS, VISIBLE, FileState, check_transition
from ipis.kernel.errors import OurFault


def kinds():
    return list(Event.objects.filter(kind__startswith="file_").values_list("kind", flat=True))


def seen(answer):
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", text_of(answer))


class TestAnotherMunicipality:
    """Every way to the neighbour's file ends in the answer that a file which never was would give."""

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("get", f"/filer/{{id}}/{ZIP}"),
            ("get", f"/filer/{{id}}/{ZIP}.kvittering"),
            ("head", f"/filer/{{id}}/{ZIP}"),
            ("post", "/filer/{id}/bekreft"),
            ("get", "/filer/{id}/slett"),
            ("post", "/filer/{id}/slett"),
        ],
    )
    def test_a_neighbours_file_is_404_on_every_page(self, ssb, testvik, in_nabo, method, path):
        note, _ = ssb.push()
        theirs = getattr(in_nabo, method)(path.format(id=note.id))
        nobodys = getattr(in_nabo, method)(path.format(id="0" * 32))
        assert theirs.status_code == nobodys.status_code == 404
        assert seen(theirs).replace(note.id, "0" * 32) == seen(nobodys)
        assert kinds() == ["file_listed"]

    def test_a_neighbours_file_is_404_for_programs(self, ssb, testvik, nabo):
        note, _ = ssb.push()
        program, token = api_login(nabo.username)
        assert program.get("/api/v1/filer", headers=token).json() == []
        assert program.get(f"/api/v1/filer/{note.id}/{ZIP}", headers=token).status_code == 404
        assert program.post(f"/api/v1/filer/{note.id}/bekreftelse", headers=token).status_code == 404

    def test_the_neighbour_sees_neither_list_nor_log_nor_mail(self, ssb, testvik, in_nabo):
        ssb.push()
        assert ZIP not in text_of(in_nabo.get("/filer")) + text_of(in_nabo.get("/logg"))
        assert {mail.recipient for mail in mails()} == {TESTVIK_USER}

    def test_a_push_to_the_successor_is_the_successors(self, ssb, testvik, in_nabo):
        """After a merger the zip keeps its old number and lies with who answers for it."""
        ssb.push(tenant=NABO)
        assert ZIP in text_of(in_nabo.get("/filer"))


class TestDownload:
    def test_the_browser_saves_it_and_never_shows_it(self, ssb, in_testvik):
        note, files_ = ssb.push()
        answer = in_testvik.get(f"/filer/{note.id}/{ZIP}")
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{ZIP}"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert int(answer.headers["Content-Length"]) == len(files_[ZIP]) == len(body_of(answer))

    def test_it_goes_on_where_it_stopped(self, ssb, in_testvik):
        note, files_ = ssb.push()
        answer = in_testvik.get(f"/filer/{note.id}/{ZIP}", headers={"Range": "bytes=5-"})
        assert answer.status_code == 206
        assert answer.headers["Content-Range"] == f"bytes 5-{len(files_[ZIP]) - 1}/{len(files_[ZIP])}"
        assert body_of(answer) == files_[ZIP][5:]

    def test_beyond_the_end_there_is_nothing(self, ssb, in_testvik):
        note, _ = ssb.push()
        assert in_testvik.get(f"/filer/{note.id}/{ZIP}", headers={"Range": "bytes=999-"}).status_code == 416

    def test_looking_at_the_head_is_no_download(self, ssb, in_testvik):
        note, _ = ssb.push()
        assert in_testvik.head(f"/filer/{note.id}/{ZIP}").status_code == 200
        assert kinds() == ["file_listed"]

    def test_every_download_is_on_record(self, ssb, in_testvik):
        note, _ = ssb.push()
        for name, headers in ((ZIP, {}), (ZIP, {"Range": "bytes=3-"}), (f"{ZIP}.kvittering", {}), (ZIP, {})):
            body_of(in_testvik.get(f"/filer/{note.id}/{name}", headers=headers))
        assert kinds() == ["file_listed", "file_downloaded", "file_downloaded"]
        assert FilsluseAudit.objects.filter(event="file_downloaded").count() == 4

    def test_a_file_erased_a_moment_ago_is_404(self, ssb, in_testvik, portal):
        note, _ = ssb.push()
        (portal.files / note.id / ZIP).unlink()
        assert in_testvik.get(f"/filer/{note.id}/{ZIP}").status_code == 404

    def test_without_a_login_there_is_the_login_page(self, ssb, testvik, browser):
        note, _ = ssb.push()
        assert browser.get(f"/filer/{note.id}/{ZIP}").headers["Location"] == "/logg-inn"


class TestPrograms:
    def test_they_list_download_and_confirm_as_people_do(self, ssb, testvik):
        note, files_ = ssb.push()
        program, token = api_login(testvik.username)
        (row,) = program.get("/api/v1/filer", headers=token).json()
        assert (row["id"], row["name"], row["size"], row["sha256"]) == (note.id, ZIP, note.zip.size, note.zip.sha256)
        assert row["confirmed_at"] is None
        for name, data in files_.items():
            assert body_of(program.get(f"/api/v1/filer/{note.id}/{name}", headers=token)) == data
        answer = program.post(f"/api/v1/filer/{note.id}/bekreftelse", headers=token)
        assert answer.json() == {"state": "confirmed"}
        assert program.get("/api/v1/filer", headers=token).json()[0]["confirmed_at"] is not None
        assert kinds() == ["file_listed", "file_downloaded", "file_confirmed"]

    def test_a_name_that_the_push_did_not_have_is_404(self, ssb, testvik):
        note, _ = ssb.push()
        program, token = api_login(testvik.username)
        other = ZIP.replace(".zip", "-2.zip")
        assert program.get(f"/api/v1/filer/{note.id}/{other}", headers=token).status_code == 404

    def test_a_problem_is_json_in_the_language_asked_for(self, browser):
        answer = browser.get("/api/v1/filer", headers={"Accept-Language": "en"})
        assert set(answer.json()) == {"code", "found", "expected", "do", "retry"}
        assert "log in" in answer.json()["do"]
        assert browser.get("/api/v1/finnes-ikke").json()["code"] == "web.not_found"


class TestConfirmation:
    def test_a_download_comes_before_it(self, ssb, in_testvik):
        note, _ = ssb.push()
        answer = in_testvik.post(f"/filer/{note.id}/bekreft")
        assert answer.status_code == 422
        assert "ikke lastet ned" in text_of(answer)

    def test_it_is_shown_and_told_once(self, ssb, in_testvik):
        note, _ = ssb.push()
        body_of(in_testvik.get(f"/filer/{note.id}/{ZIP}"))
        for _ in range(2):
            assert in_testvik.post(f"/filer/{note.id}/bekreft").headers["Location"] == "/filer?gjort=bekreftet"
        assert "Mottak bekreftet" in text_of(in_testvik.get("/filer?gjort=bekreftet"))
        assert kinds() == ["file_listed", "file_downloaded", "file_confirmed"]


class TestDeletion:
    def test_it_asks_first_and_says_when_nobody_has_downloaded(self, ssb, in_testvik):
        note, _ = ssb.push()
        page = text_of(in_testvik.get(f"/filer/{note.id}/slett"))
        assert "ikke lastet ned ennå" in page
        assert ZIP in text_of(in_testvik.get("/filer"))

    def test_it_is_gone_at_once_and_erased_by_the_worker(self, ssb, in_testvik, portal, work):
        note, _ = ssb.push()
        assert in_testvik.post(f"/filer/{note.id}/slett").headers["Location"] == "/filer?gjort=slettet"
        assert ZIP not in text_of(in_testvik.get("/filer"))
        assert in_testvik.get(f"/filer/{note.id}/{ZIP}").status_code == 404
        work()
        assert list(portal.files.iterdir()) == []
        assert kinds() == ["file_listed", "file_deleted"]
        assert ZIP in text_of(in_testvik.get("/logg"))

    def test_a_second_deletion_meets_nothing(self, ssb, in_testvik):
        note, _ = ssb.push()
        in_testvik.post(f"/filer/{note.id}/slett")
        assert in_testvik.post(f"/filer/{note.id}/slett").status_code == 404

    def test_two_windows_that_delete_at_once_are_one_deletion(self, ssb, testvik):
        note, _ = ssb.push()
        one, same = Tilbakemelding.objects.get(pk=note.id), Tilbakemelding.objects.get(pk=note.id)
        files.delete(one)
        files.delete(same)
        assert kinds() == ["file_listed", "file_deleted"]

    def test_a_deleted_feedback_cannot_be_pushed_back(self, ssb, in_testvik, work):
        note, files_ = ssb.push()
        in_testvik.post(f"/filer/{note.id}/slett")
        work()
        assert ssb.put(note.id, ZIP, files_[ZIP]).status_code == 200
        assert ssb.show(note).json()["state"] == "deleted"
        assert ZIP not in text_of(in_testvik.get("/filer"))


class TestExpiry:
    def test_it_leaves_the_list_at_its_hour_by_the_business_clock(self, ssb, in_testvik, at, portal, work):
        over = datetime(YEAR + 1, 4, 1, tzinfo=UTC)
        at(over - timedelta(days=60))
        note, _ = ssb.push(expires_at=over)
        assert files.expire_due() == 0
        at(over)
        assert ZIP not in text_of(in_testvik.get("/filer"))
        assert files.expire_due() == 1
        assert files.expire_due() == 0
        work()
        assert list(portal.files.iterdir()) == []
        assert Tilbakemelding.objects.get(pk=note.id).state == "expired"
        assert kinds() == ["file_listed", "file_expired"]

    def test_erasing_twice_after_a_crash_is_fine(self, ssb, testvik, work):
        note, _ = ssb.push()
        files.delete(Tilbakemelding.objects.get(pk=note.id))
        work()
        FilsluseJob.objects.update(state="queued")
        work()
        assert FilsluseJob.objects.get().state == "done"


class TestTransitions:
    def test_every_state_has_its_row_and_the_gone_have_none(self):
        assert set(TRANSITIONS) == set(FileState) == VISIBLE | GONE
        assert all(TRANSITIONS[state] == frozenset() for state in GONE)

    @pytest.mark.parametrize("before", FileState)
    @pytest.mark.parametrize("after", FileState)
    def test_the_table_is_kept(self, before, after):
        if after in TRANSITIONS[before]:
            check_transition(before, after)
        else:
            with pytest.raises(OurFault, match=r"filsluse\.transition"):
                check_transition(before, after)
