"""Receipts as the municipality reads them, and SSB's R3 and R4 taken in."""

import base64

import pytest
from tests.tpf import season as cast

from ipis.kernel.environment import Environment
from ipis.kernel.forsendelse import Limits
from ipis.kernel.receipt import Kind
from ipis.kernel.signature import SigningKey
from ipis.tpf.models import Forsendelse, ReceiptRow


@pytest.fixture
def parcel(testvik, work):
    testvik.log_in().upload(testvik.seal())
    work()
    return Forsendelse.objects.get()


def own(parcel, kind):
    return parcel.receipts.get(kind=kind).signed


def bring(testvik, signed):
    body = {"receipt": base64.b64encode(signed.data).decode(), "signature": signed.signature.decode()}
    return testvik.post("/api/v1/kvitteringer", body)


def test_r3_and_r4_are_verified_and_stored_once(testvik, parcel, season):
    r3 = cast.ssb_receipt(season, own(parcel, "R2"), Kind.R3)
    assert bring(testvik, r3).status_code == 201
    assert bring(testvik, r3).status_code == 200
    first, second = (cast.ssb_receipt(season, r3, Kind.R4, details={"zip": n}) for n in (1, 2))
    assert [bring(testvik, each).status_code for each in (first, second, first)] == [201, 201, 200]
    told = testvik.get("/api/v1/kvitteringer").json()
    assert [row["kind"] for row in told] == ["R1", "R2", "R5", "R3", "R4", "R4"]
    assert base64.b64decode(told[3]["receipt"]) == r3.data


def test_all_receipts_can_be_asked_for_one_year(testvik, parcel):
    assert len(testvik.get(f"/api/v1/kvitteringer?year={cast.YEAR}").json()) == 3
    assert testvik.get(f"/api/v1/kvitteringer?year={cast.YEAR - 1}").json() == []
    assert testvik.get("/api/v1/kvitteringer?year=²017").json()["code"] == "tpf.body"


def test_a_neighbour_reads_none_of_them(testvik, nabo, parcel, work):
    nabo.log_in().upload(nabo.seal())
    work()
    assert {row["forsendelse"] for row in nabo.get("/api/v1/kvitteringer").json()}.isdisjoint({parcel.identifier})
    for path in ("", "/kvitteringer"):
        answer = nabo.get(f"/api/v1/forsendelser/{parcel.identifier}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "tpf.no_parcel")


UNFIT = {
    "a key that is not SSB's": lambda s, p: cast.ssb_receipt(
        s, own(p, "R2"), Kind.R3, SigningKey.generate("ssb-receipt", cast.TEST)
    ),
    "another environment": lambda s, p: cast.ssb_receipt(s, own(p, "R2"), Kind.R3, environment=Environment.DEMO),
    "another forsendelse": lambda s, p: cast.ssb_receipt(s, own(p, "R2"), Kind.R3, forsendelse="0" * 32),
    "another manifest": lambda s, p: cast.ssb_receipt(s, own(p, "R2"), Kind.R3, manifest_sha256="0" * 64),
    "a cause that is none": lambda s, p: cast.ssb_receipt(s, own(p, "R1"), Kind.R3, unfit=True),
    "R4 without R3": lambda s, p: cast.ssb_receipt(s, own(p, "R2"), Kind.R4, unfit=True),
    "our own R2": lambda _, p: own(p, "R2"),
    "R1 signed by SSB": lambda s, p: cast.ssb_receipt(s, own(p, "R1"), Kind.R1, unfit=True, causes=None, issuer="tpf"),
}


@pytest.mark.parametrize("make", UNFIT.values(), ids=UNFIT)
def test_a_receipt_that_does_not_hang_together_is_refused(testvik, parcel, season, make):
    answer = bring(testvik, make(season, parcel))
    assert answer.status_code == 422
    assert answer.json()["code"] in ("tpf.receipt_unfit", "signature.other_key", "parcel.environment")
    assert ReceiptRow.objects.count() == 3


def test_a_second_r3_is_refused(testvik, parcel, season):
    assert bring(testvik, cast.ssb_receipt(season, own(parcel, "R2"), Kind.R3)).status_code == 201
    other = cast.ssb_receipt(season, own(parcel, "R2"), Kind.R3, details={"n": 1})
    assert bring(testvik, other).json()["code"] == "tpf.receipt_unfit"


@pytest.mark.parametrize("receipt", ["", "!!", base64.b64encode(b"{}").decode(), base64.b64encode(b"\xff").decode()])
def test_a_receipt_that_cannot_be_read_is_refused(testvik, enrolled, receipt):
    answer = testvik.post("/api/v1/kvitteringer", {"receipt": receipt, "signature": "x"})
    assert answer.status_code in (400, 422)


def test_a_forsendelse_refused_whole_tells_why_it_has_no_receipts(testvik, work):
    files = testvik.seal_files(persons=6_000, limits=Limits(part=150_000, file=200_000))
    place = testvik.log_in().upload(files[0])
    work()
    testvik.upload(testvik.seal(sequence=1))
    work()
    identifier = testvik.get(place).json()["forsendelse"]
    answer = testvik.get(f"/api/v1/forsendelser/{identifier}/kvitteringer")
    assert (answer.status_code, answer.json()["code"]) == (422, "tpf.sequence")


def test_the_season_pack_is_mirrored_byte_for_byte(testvik, season):
    answer = testvik.http.get(f"/sesong/iplos-{cast.YEAR}.sesong")
    assert b"".join(answer.streaming_content) == season.path.read_bytes()
    answer.close()
    assert testvik.http.get("/sesong/iplos-1999.sesong").status_code == 404


def test_the_room_tells_that_it_answers(testvik):
    assert testvik.http.get("/healthz").json() == {"room": "tpf"}


def test_answers_are_kept_by_no_cache(testvik):
    assert testvik.http.get("/healthz").headers["Cache-Control"] == "no-store"
