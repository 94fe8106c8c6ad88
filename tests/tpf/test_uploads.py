"""Uploads by tus: continued at exactly the next byte, acknowledged when on disk, found again when an answer was lost."""

import base64
import dataclasses
import datetime
import hashlib
import io

import pytest
import time_machine
from django.http import UnreadablePostError
from hypothesis import given
from hypothesis import strategies as st
from tests.tpf import season as cast
from tests.tpf.sender import TUS

from ipis.kernel.errors import TryLater
from ipis.tpf import receive
from ipis.tpf.desk import desk
from ipis.tpf.models import Audit, Session, Upload
from ipis.tpf.transitions import (
    PARCEL_TRANSITIONS,
    UPLOAD_TRANSITIONS,
    ForbiddenTransitionError,
    ParcelState,
    UploadState,
    check_parcel,
)


@pytest.fixture
def path(testvik):
    path = testvik.seal()
    testvik.log_in()
    return path


def begin(testvik, path):
    return testvik.begin(path).headers["Location"]


def test_the_protocol_is_told(testvik):
    answer = testvik.http.options("/api/v1/opplasting")
    assert (answer.status_code, answer.headers["Tus-Version"]) == (204, "1.0.0")
    assert answer.headers["Tus-Extension"] == "creation,checksum,expiration"
    assert answer.headers["Tus-Checksum-Algorithm"] == "sha256"


def test_an_upload_goes_on_where_it_stopped(testvik, path, work):
    content, place = path.read_bytes(), begin(testvik, path)
    for start in range(0, len(content), 50_000):
        assert int(testvik.head(place).headers["Upload-Offset"]) == start
        answer = testvik.patch(place, start, content[start : start + 50_000])
        assert answer.status_code == 204
    assert int(answer.headers["Upload-Offset"]) == len(content)
    work()
    assert testvik.get(place).json()["receipts"] == ["R1", "R2", "R5"]


def test_the_same_creation_again_gives_the_same_upload(testvik, path):
    first = testvik.begin(path)
    testvik.patch(first.headers["Location"], 0, path.read_bytes()[:10])
    again = testvik.begin(path)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Upload-Offset"] == "10"


@pytest.mark.parametrize(("offset", "size"), [(1, 5), (5, 5), (10**9, 5)])
def test_a_piece_at_another_byte_is_refused(testvik, path, offset, size):
    place = begin(testvik, path)
    answer = testvik.patch(place, offset, b"x" * size)
    assert (answer.status_code, answer.json()["code"]) == (409, "tpf.offset")
    assert testvik.head(place).headers["Upload-Offset"] == "0"


def test_more_than_was_announced_is_refused(testvik, path):
    answer = testvik.patch(begin(testvik, path), 0, path.read_bytes() + b"x")
    assert (answer.status_code, answer.json()["code"]) == (413, "tpf.upload_overrun")


def test_a_piece_changed_on_its_way_counts_nothing(testvik, path):
    place = begin(testvik, path)
    digest = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    answer = testvik.patch(place, 0, b"hello", **{"Upload-Checksum": f"sha256 {digest}"})
    assert (answer.status_code, answer.json()["code"]) == (460, "tpf.checksum")
    assert testvik.head(place).headers["Upload-Offset"] == "0"
    digest = base64.b64encode(hashlib.sha256(b"hello").digest()).decode()
    assert testvik.patch(place, 0, b"hello", **{"Upload-Checksum": f"sha256 {digest}"}).status_code == 204


@pytest.mark.parametrize("value", ["sha1 AAAA", "sha256", "sha256 !!", "sha256 AAAA"])
def test_a_checksum_that_is_none_is_refused(testvik, path, value):
    answer = testvik.patch(begin(testvik, path), 0, b"hello", **{"Upload-Checksum": value})
    assert (answer.status_code, answer.json()["code"]) == (400, "tpf.tus")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Upload-Length": ""}, "tpf.tus"),
        ({"Upload-Length": "-1"}, "tpf.tus"),
        ({"Upload-Length": "1e3"}, "tpf.tus"),
        ({"Upload-Length": "٣"}, "tpf.tus"),
        ({"Upload-Length": "0"}, "tpf.upload_large"),
        ({"Upload-Length": str(1 << 40)}, "tpf.upload_large"),
        ({"Upload-Metadata": "sha256 !!"}, "tpf.tus"),
        ({"Upload-Metadata": "sha256 " + base64.b64encode(b"../../etc").decode()}, "tpf.tus"),
        ({"Tus-Resumable": "0.2.2"}, "tpf.tus_version"),
    ],
)
def test_a_creation_that_does_not_fit_is_refused(testvik, path, headers, code):
    assert testvik.begin(path, **headers).json()["code"] == code
    assert Upload.objects.count() == 0


def test_a_file_may_be_created_without_its_hash(testvik, path):
    assert testvik.begin(path, **{"Upload-Metadata": ""}).status_code == 201
    assert testvik.begin(path, **{"Upload-Metadata": ""}).status_code == 201
    assert Upload.objects.count() == 2


def test_another_length_for_the_same_hash_is_another_upload(testvik, path):
    first, second = testvik.begin(path), testvik.begin(path, **{"Upload-Length": "77"})
    assert first.headers["Location"] != second.headers["Location"]


def test_only_bytes_of_the_right_kind_are_taken(testvik, path):
    place = begin(testvik, path)
    answer = testvik.http.generic(
        "PATCH", place, b"x", content_type="text/plain", headers=testvik.auth | TUS | {"Upload-Offset": "0"}
    )
    assert answer.json()["code"] == "tpf.tus"


def test_a_neighbour_sees_nothing_of_an_upload(testvik, nabo, path):
    place = begin(testvik, path)
    nabo.log_in()
    assert nabo.head(place).status_code == 404
    assert nabo.get(place).json()["code"] == "tpf.no_upload"
    assert nabo.patch(place, 0, b"x").status_code == 404


def test_so_many_unfinished_uploads_and_no_more(testvik, path, room, monkeypatch):
    narrow = dataclasses.replace(desk(), settings=room.model_copy(update={"max_open_uploads": 2}))
    monkeypatch.setattr("ipis.tpf.web.tus.desk", lambda: narrow)
    for length in ("10", "11"):
        assert testvik.begin(path, **{"Upload-Length": length, "Upload-Metadata": ""}).status_code == 201
    answer = testvik.begin(path, **{"Upload-Length": "12", "Upload-Metadata": ""})
    assert (answer.status_code, answer.json()["code"]) == (503, "tpf.upload_many")


def test_a_finished_upload_takes_no_more(testvik, path):
    place = testvik.upload(path)
    answer = testvik.patch(place, path.stat().st_size, b"x")
    assert (answer.status_code, answer.json()["code"]) == (410, "tpf.upload_closed")


def test_the_last_answer_lost_and_asked_again_tells_the_outcome(testvik, path, work):
    """HEAD says that all is here; GET says what became of it."""
    place = testvik.upload(path)
    work()
    assert int(testvik.head(place).headers["Upload-Offset"]) == path.stat().st_size
    assert testvik.get(place + "?wait=1").json()["state"] == "done"


def test_while_one_request_writes_another_is_told_to_wait(testvik, path, room):
    import fcntl

    place = begin(testvik, path)
    with (room.uploads / place.rpartition("/")[2]).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        answer = testvik.patch(place, 0, b"x")
    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (423, "tpf.upload_busy", True)


def test_a_staged_file_that_has_gone_closes_the_upload(testvik, path, room):
    place = begin(testvik, path)
    (room.uploads / place.rpartition("/")[2]).unlink()
    assert testvik.patch(place, 0, b"x").status_code == 410


class Cut:
    """A body whose connection breaks after some bytes."""

    def __init__(self, content, error=None):
        self._stream, self._error = io.BytesIO(content), error

    def read(self, size, /):
        piece = self._stream.read(size)
        if not piece and self._error is not None:
            raise self._error
        return piece


@pytest.fixture
def upload(testvik, path):
    begin(testvik, path)
    return Upload.objects.get()


@pytest.mark.parametrize("error", [None, UnreadablePostError("cut"), ConnectionResetError()])
@pytest.mark.parametrize("arrived", [0, 1, 999])
def test_what_came_before_a_cut_counts(upload, path, error, arrived):
    chunk = receive.Chunk(0, 1000, Cut(path.read_bytes()[:arrived], error))
    assert receive.append(upload, chunk, Session.objects.get(), desk()).offset == arrived
    assert (desk().settings.uploads / upload.public_id).read_bytes() == path.read_bytes()[:arrived]


def test_what_a_killed_process_left_beyond_the_acknowledged_byte_is_cut_away(upload, path, room):
    staged = room.uploads / upload.public_id
    receive.append(upload, receive.Chunk(0, 10, Cut(path.read_bytes()[:10])), Session.objects.get(), desk())
    with staged.open("ab") as file:
        file.write(b"garbage")
    receive.append(upload, receive.Chunk(10, 5, Cut(path.read_bytes()[10:15])), Session.objects.get(), desk())
    assert staged.read_bytes() == path.read_bytes()[:15]


def test_a_full_disk_is_told_and_counts_nothing(upload, monkeypatch):
    def full(*_):
        raise OSError(28, "no space")

    monkeypatch.setattr(receive.os, "write", full)
    with pytest.raises(TryLater) as error:
        receive.append(upload, receive.Chunk(0, 3, Cut(b"abc")), Session.objects.get(), desk())
    assert error.value.code == "tpf.no_room"
    assert (desk().settings.uploads / upload.public_id).stat().st_size == 0


def test_every_acknowledged_byte_has_been_flushed(upload, monkeypatch):
    """fsync stands between the last write and the row that says so."""
    order = []
    real_sync, real_save = receive.os.fsync, Upload.save
    monkeypatch.setattr(receive.os, "fsync", lambda fd: (order.append("fsync"), real_sync(fd)))
    monkeypatch.setattr(Upload, "save", lambda self, **kw: (order.append("row"), real_save(self, **kw)))
    receive.append(upload, receive.Chunk(0, 3, Cut(b"abc")), Session.objects.get(), desk())
    assert order == ["fsync", "row"]


@given(cuts=st.lists(st.integers(1, 60), max_size=12))
def test_any_cuts_give_the_same_file(cuts):
    """Whatever the pieces, what stands on disk is what was sent (property, on the writer itself)."""
    import os
    import tempfile

    content = bytes(range(256)) * 2
    with tempfile.TemporaryFile() as file:
        offset = 0
        for cut in [*cuts, len(content)]:
            piece = content[offset : offset + cut]
            offset += receive._write(file.fileno(), offset, receive.Chunk(offset, len(piece), Cut(piece)))
        assert os.pread(file.fileno(), 1000, 0) == content


def test_an_abandoned_upload_is_deleted_after_its_days(testvik, path, room):
    place = begin(testvik, path)
    receive.expire_abandoned(room)
    assert testvik.head(place).status_code == 200
    Upload.objects.update(expires_at=datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1))
    receive.expire_abandoned(room)
    assert not list(room.uploads.iterdir())
    assert testvik.get(place).json()["state"] == "expired"
    assert Audit.objects.filter(event="upload_expired").exists()
    assert testvik.begin(path).headers["Location"] != place


def test_a_stray_file_is_deleted_after_a_day(room, enrolled):
    stray = room.uploads / "stray"
    stray.write_bytes(b"x")
    receive.expire_abandoned(room)
    assert stray.exists()
    with time_machine.travel(datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)):
        receive.expire_abandoned(room)
    assert not stray.exists()


def test_before_the_window_nothing_is_uploaded(testvik, path, clock):
    clock(cast.BEFORE)
    answer = testvik.begin(path)
    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (503, "tpf.not_open", True)
    assert "2018-01-02 00:00" in answer.json()["expected"]


def test_no_state_changes_outside_the_table(upload):
    with pytest.raises(ForbiddenTransitionError):
        upload.go(UploadState.UNPACKED)
    with pytest.raises(ForbiddenTransitionError):
        check_parcel("received", ParcelState.DONE)


def test_every_state_of_the_tables_has_its_ways():
    assert set(UPLOAD_TRANSITIONS) == set(UploadState)
    assert set(PARCEL_TRANSITIONS) == set(ParcelState)


def test_a_municipality_stages_no_more_than_its_share(testvik, nabo, path, monkeypatch):
    """What is announced counts, since the room may be filled with it; another municipality is not touched."""
    size = path.stat().st_size
    narrow = desk().settings.model_copy(update={"max_staged_bytes": size + 10})
    monkeypatch.setattr("ipis.tpf.web.tus.desk", lambda: dataclasses.replace(desk(), settings=narrow))
    assert testvik.begin(path).status_code == 201
    other = {"Upload-Metadata": ""}
    answer = testvik.begin(path, **other, **{"Upload-Length": "11"})
    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (503, "tpf.upload_full", True)
    assert testvik.begin(path, **other, **{"Upload-Length": "10"}).status_code == 201
    assert testvik.begin(path).status_code == 201
    assert nabo.log_in().begin(path).status_code == 201


def test_the_form_pages_file_counts_too(testvik, path, monkeypatch):
    narrow = dataclasses.replace(desk(), settings=desk().settings.model_copy(update={"max_staged_bytes": 10}))
    with pytest.raises(TryLater) as error:
        receive.take_whole(Session.objects.get(), path, path.stat().st_size, narrow)
    assert error.value.code == "tpf.upload_full"
    assert Upload.objects.count() == 0
