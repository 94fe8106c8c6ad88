"""The note that shows pushed files, and requests that only SSB can make."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from ipis.kernel import canonical
from ipis.kernel.environment import Environment
from ipis.kernel.errors import IpisError, ParcelRefused
from ipis.kernel.push import PushedFile, PushNote, names_of, sign_request, verify_request
from ipis.kernel.signature import SigningKey

ZIP = "040300_iplos_tilbakemelding_20180103.zip"
KEY = SigningKey.generate("ssb-push", Environment.DEMO)
NOTE = PushNote(
    id="0" * 32,
    environment=Environment.DEMO,
    tenant="0403",
    expires_at=datetime(2018, 4, 1, tzinfo=UTC),
    members=tuple(PushedFile(name, n + 1, f"{n:064x}") for n, name in enumerate(names_of(ZIP))),
)


def changed(**values):
    return canonical.dumps(canonical.loads(NOTE.to_bytes(), what="note") | values)


def member(name=ZIP, size=1, sha256="0" * 64, **more):
    return {"name": name, "size": size, "sha256": sha256} | more


def test_a_note_comes_back_as_it_was():
    assert PushNote.parse(NOTE.to_bytes()) == NOTE
    assert NOTE.zip.name == ZIP


@pytest.mark.parametrize(
    "values",
    [
        {"id": "x"},
        {"tenant": "403"},
        {"environment": "prod"},
        {"expires_at": "2018-04-01"},
        {"more": 1},
        {"members": []},
        {"members": [member()]},
        {"members": [member(n) for n in reversed(names_of(ZIP))]},
        {"members": [member(n) for n in names_of("../" + ZIP)]},
        {"members": [member(n) for n in names_of("040300_iplos_tilbakemelding_20180103-0.zip")]},
        {"members": [member(n, size=0) for n in names_of(ZIP)]},
        {"members": [member(n, sha256="A" * 64) for n in names_of(ZIP)]},
        {"members": [member(n, more=1) for n in names_of(ZIP)]},
        {"members": [*[member(n) for n in names_of(ZIP)], member("a")]},
    ],
)
def test_a_note_that_says_anything_else_is_refused(values):
    with pytest.raises(ParcelRefused):
        PushNote.parse(changed(**values))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_note_are_refused(data):
    with pytest.raises(IpisError):
        PushNote.parse(data)


def headers_of(signed):
    return signed["Authorization"], signed["Ipis-Time"]


class TestRequests:
    TARGET = "/api/v1/hendelser?after=0"

    def test_ssbs_request_is_taken(self):
        signed = headers_of(sign_request(KEY, "GET", self.TARGET))
        assert verify_request(signed, "GET", self.TARGET, [KEY.public]).startswith(b"-----BEGIN SSH SIGNATURE-----")

    @pytest.mark.parametrize(
        ("method", "target", "body"),
        [("PUT", TARGET, ""), ("GET", "/api/v1/hendelser?after=1", ""), ("GET", TARGET, "0" * 64)],
    )
    def test_a_signature_is_of_one_request(self, method, target, body):
        signed = headers_of(sign_request(KEY, "GET", self.TARGET))
        with pytest.raises(ParcelRefused):
            verify_request(signed, method, target, [KEY.public], body_sha256=body)

    @pytest.mark.parametrize("minutes", [-6, 6])
    def test_a_signature_lives_five_minutes_either_way(self, minutes):
        signed = headers_of(sign_request(KEY, "GET", self.TARGET))
        with (
            time_machine.travel(datetime.now(UTC) + timedelta(minutes=minutes), tick=False),
            pytest.raises(ParcelRefused, match=r"push\.request"),
        ):
            verify_request(signed, "GET", self.TARGET, [KEY.public])

    @pytest.mark.parametrize(
        ("authorization", "at"),
        [
            ("", ""),
            ("Ipis", "x"),
            ("Bearer x", "2018-01-01T00:00:00+00:00"),
            ("Ipis *", datetime.now(UTC).isoformat()),
            ("Ipis eA==", "2018-01-01T00:00:00"),
        ],
        # Ids of our own: one that holds the time differs between the processes that share the tests.
        ids=["nothing", "no signature", "another scheme", "no base64", "no zone"],
    )
    def test_headers_that_prove_nothing_are_refused(self, authorization, at):
        with pytest.raises(ParcelRefused):
            verify_request((authorization, at), "GET", self.TARGET, [KEY.public])

    def test_another_key_is_refused(self):
        stranger = SigningKey.generate("ssb-push", Environment.DEMO)
        with pytest.raises(ParcelRefused):
            verify_request(headers_of(sign_request(stranger, "GET", self.TARGET)), "GET", self.TARGET, [KEY.public])

    def test_a_note_is_no_request_and_a_request_no_note(self):
        """Both are signed in one namespace: neither may pass for the other."""
        assert NOTE.to_bytes().startswith(b"{")
        with pytest.raises(IpisError):
            PushNote.parse(b"GET /api/v1/hendelser?after=0 2018-01-01T00:00:00+00:00")
