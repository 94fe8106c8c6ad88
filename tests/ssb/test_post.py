"""SSB's receipts reach TPF, in the order of their tree, however often TPF is away."""

from __future__ import annotations

import base64
import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ipis.kernel.receipt import Kind
from ipis.lib.jobs import JobState, Worker
from ipis.ssb.intake.post import Poster
from ipis.ssb.keys import intake_keys
from ipis.ssb.register import kvittering
from ipis.ssb.register.kvittering import POST
from ipis.ssb.register.models import AuditEvent, Job, Kvittering


class FakeTpf:
    """TPF's address for later receipts: answers what it is told to and keeps what came."""

    def __init__(self):
        self.status, self.taken = 200, []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fake.taken.append((self.path, base64.b64decode(body["receipt"]), body["signature"]))
                self.send_response(fake.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def kinds(self):
        return [json.loads(receipt)["kind"] for _, receipt, _ in self.taken]

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def fake():
    fake = FakeTpf()
    yield fake
    fake.close()


@pytest.fixture
def post(room, fake):
    def run(url=None):
        settings = room.model_copy(update={"tpf_url": fake.url if url is None else url})
        Job.objects.filter(kind=POST).update(next_try_at=None)
        Worker(jobs=Job, steps={POST: Poster(settings).post}).run(once=True)

    return run


def test_r3_is_posted_byte_for_byte(load, post, fake):
    load()
    post()
    row = Kvittering.objects.get(kind="R3")
    assert fake.taken == [("/api/v1/kvitteringer", bytes(row.body), bytes(row.signature).decode())]
    assert row.posted_at is not None
    assert Job.objects.get(kind=POST).state == JobState.DONE


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_tpf_in_trouble_is_asked_again(load, post, fake, status):
    load()
    fake.status = status
    post()
    assert Job.objects.get(kind=POST).problem == "ssb.tpf_away"
    fake.status = 201
    post()
    assert Kvittering.objects.get(kind="R3").posted_at is not None


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:1"])
def test_tpf_away_is_asked_again(load, post, fake, url):
    load()
    post(url)
    assert Job.objects.get(kind=POST).state == JobState.QUEUED
    post()
    assert fake.kinds() == ["R3"]


def test_receipt_that_tpf_refuses_for_a_while_gets_there(load, post, fake):
    """TPF may have an older season pack, which does not know our new key yet."""
    load()
    fake.status = 422
    post()
    post()
    job = Job.objects.get(kind=POST)
    assert (job.state, job.problem) == (JobState.QUEUED, "ssb.receipt_not_taken")
    assert AuditEvent.objects.filter(event="kvittering.refused").count() == 1
    fake.status = 201
    post()
    assert Kvittering.objects.get(kind="R3").posted_at is not None


def test_receipt_that_tpf_refuses_for_a_day_waits_for_staff(load, post, fake, monkeypatch):
    """It shows on the staff page, and is not sent for ever."""
    load()
    fake.status = 422
    post()
    monkeypatch.setattr("ipis.ssb.intake.post._REFUSED_FOR", timedelta(0))
    post()
    post()
    job = Job.objects.get(kind=POST)
    assert (job.state, job.problem) == (JobState.FAILED, "ssb.receipt_not_taken")
    assert len(fake.taken) == 2
    assert AuditEvent.objects.filter(event="kvittering.not-taken").exists()


def test_receipt_posted_before_a_crash_is_not_posted_again(load, post, fake):
    """The row knows; a job that comes again only ends."""
    load()
    post()
    Job.again(POST, Kvittering.objects.get(kind="R3").sha256)
    post()
    assert len(fake.taken) == 1


def test_r4_waits_for_its_r3(load, post, fake, room):
    """TPF takes no receipt before the one that caused it."""
    row, _ = load()
    fake.status = 503
    post()
    at = datetime(2018, 1, 4, tzinfo=UTC)
    r4 = kvittering.issue(Kind.R4, row.delivery, key=intake_keys(room).receipt, at=at, details={})
    Job.objects.filter(kind=POST).exclude(subject=r4.sha256).update(state=JobState.RUNNING)
    fake.status, before = 200, len(fake.taken)
    post()
    assert len(fake.taken) == before
    assert Job.objects.get(subject=r4.sha256).problem == "ssb.cause_unposted"
    Job.objects.filter(kind=POST).update(state=JobState.QUEUED)
    post()
    post()
    assert fake.kinds()[before:] == ["R3", "R4"]
