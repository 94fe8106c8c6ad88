"""Published vectors of forsendelse format 1: today's code makes the same bytes, and opens yesterday's parcel."""

import base64
import json
from pathlib import Path

import pytest
from tests.vectors import parcel_vectors as published

from ipis.kernel import opening, sealed
from ipis.kernel.container import Archive
from ipis.kernel.environment import Environment
from ipis.kernel.forsendelse import extract, read_container, verify
from ipis.kernel.receipt import SignedReceipt
from ipis.kernel.signature import PublicKey
from ipis.kernel.signature import verify as verify_signature

VECTORS = json.loads((Path(__file__).parent / "forsendelse.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_todays_code_makes_the_published_bytes(name):
    assert published.vectors()[name] == VECTORS[name]


def test_every_vector_is_published():
    assert set(published.vectors()) == set(VECTORS)


def test_the_published_container_reads_as_its_members():
    archive = Archive(base64.b64decode(VECTORS["container"]["base64"]), "vector")
    assert {name: archive.read(name, 100).decode() for name in archive.names} == VECTORS["container"]["members"]


def test_the_published_signatures_verify():
    sender = PublicKey.parse(VECTORS["sender"]["public"])
    assert sender.fingerprint == VECTORS["sender"]["fingerprint"]
    verify_signature(b"ipis", VECTORS["signature"].encode(), "ipis-manifest@v1", [sender])
    signed = SignedReceipt(VECTORS["receipt"].encode(), VECTORS["receipt_signature"].encode())
    assert signed.verify([published.RECEIPTS.public], Environment.TEST).kind == "R1"
    assert signed.short_code == VECTORS["receipt_short_code"]


def test_the_published_parcel_opens_with_the_published_keys(tmp_path):
    """Made once: whoever changes the format meets this test, and writes format 2."""
    parcel = read_container(published.SAMPLE)
    manifest = verify(parcel, sender=PublicKey.parse(VECTORS["sender"]["public"]), environment=Environment.TEST)
    assert manifest.facts == published.facts()
    assert {part.role: part.key_id for part in manifest.parts} == {
        "identity": VECTORS["key_ids"]["tpf"], "data": VECTORS["key_ids"]["ssb"], "contact": VECTORS["key_ids"]["feedback"],
    }  # fmt: skip
    identity, data, contact = manifest.parts
    opened = opening.open_identity(parcel.read_part(identity), identity, manifest.facts, published.identity("tpf"))
    records = opening.join_identities([opened])
    assert [records[at : at + 32].hex() for at in range(0, len(records), 32)] == VECTORS["identity_records"]
    extract(parcel, data.name, tmp_path / data.name)
    staged = sealed.open_to_file(tmp_path / data.name, published.identity("ssb"), tmp_path / "clear", part=data.name)
    layout = published.layout()
    whole = opening.join_data([opening.read_data_part(staged, data, manifest.facts, layout)], layout)
    assert (whole.commitment, whole.content_sha256) == (VECTORS["commitment"], VECTORS["content_sha256"])
    assert {str(row["local_key"]): row["value"] for row in whole.lokal.to_pylist()} == VECTORS["local_keys"]
    assert (
        whole.tables["tjeneste"].sort_by("timer").to_pylist()
        == published.rows().tables["tjeneste"].sort_by("timer").to_pylist()
    )
    assert (
        opening.open_contact(parcel.read_part(contact), contact, manifest.facts, published.identity("feedback"))
        == published.CONTACT
    )


def test_the_content_sum_is_what_the_specification_says():
    """Worked out by hand from docs/spec/forsendelse.md §7."""
    import hashlib

    person = sorted(["3:A-14:0403", "3:Å-2-"], key=str.encode)
    tjeneste = sorted(
        [
            "3:A-12:T110:2017-01-311:53:3.5",
            "3:Å-22:T210:31.02.20172:403:sju",
            "3:C-32:T310:2016-02-29-3:7.0",
        ],
        key=str.encode,
    )
    text = "".join(f"{line}\n" for line in ["person", *person, "tjeneste", *tjeneste])
    assert hashlib.sha256(text.encode()).hexdigest() == VECTORS["content_sha256"]


def test_a_new_sample_opens_like_the_published_one(tmp_path):
    published.make_sample(tmp_path / "new.forsendelse")
    assert (
        read_container(tmp_path / "new.forsendelse").manifest.facts == read_container(published.SAMPLE).manifest.facts
    )
