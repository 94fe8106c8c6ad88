"""The canary: known identifiers, PINs and marked health values go through a season; no party holds what it must not.

That the search can find is shown first: a leak of each kind, in each form, planted in each kind of file, must be found.
"""

import base64
import hashlib
import io
import re
import sqlite3
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import pyzipper
from tests.journey import canary
from tests.journey.conftest import ipis, running_season

from ipis.kernel.calendar import receipt_instant
from ipis.kernel.demo import demo_pin
from ipis.local.parties import time_at
from ipis.local.portal_visit import Visit, link_in

NUMBER, PIN, MARK = "01815012352", "PLANTEDPLANTED16", "ZQXJ7V"
WAIT = 120.0
HEALTH_CODE, HEALTH_ID = "ZQXJ7V", "MARKERT-TJENESTE-7Q9X"


def parquet_of(text):
    """Write a Parquet file, compressed and dictionary-encoded."""
    target = io.BytesIO()
    pq.write_table(pa.table({"a": [text, "other"]}), target, compression="zstd")
    return target.getvalue()


def locked_zip_of(text):
    """Write an AES zip that the PIN opens."""
    target = io.BytesIO()
    with pyzipper.AESZipFile(target, "w", compression=pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(PIN.encode())
        archive.writestr("a.csv", f"brukerNr;{text};" * 20)
    return target.getvalue()


def sqlite_of(text, path):
    """Write a database whose cell holds Parquet that holds the text."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (a BLOB)")
        database.execute("INSERT INTO t VALUES (?)", (parquet_of(text),))
    database.close()


PLANTED = {
    "raw": lambda v: v.encode(),
    "hex": lambda v: v.encode().hex().encode(),
    "utf-16": lambda v: v.encode("utf-16-le"),
    "base64": lambda v: base64.b64encode(v.encode()),
    "base64 after one byte": lambda v: base64.b64encode(b"x" + v.encode() + b"yz"),
    "base64 after two bytes": lambda v: base64.b64encode(b"xy" + v.encode() + b"z"),
    "sha256": lambda v: hashlib.sha256(v.encode()).hexdigest().encode(),
    "md5": lambda v: hashlib.md5(v.encode(), usedforsecurity=False).digest(),
    "parquet": parquet_of,
    "mail": lambda v: b"Subject: =?utf-8?q?a?=\nContent-Transfer-Encoding: base64\n\n" + base64.b64encode(v.encode()),
}


@pytest.mark.parametrize("value", [NUMBER, PIN, MARK])
@pytest.mark.parametrize("form", PLANTED)
def test_a_planted_leak_is_found_in_every_form(tmp_path, value, form):
    """A check that cannot fail shows nothing."""
    whole_file, written = form in {"parquet", "mail"}, PLANTED[form](value)
    name = "a.eml" if form == "mail" else "a.bin"
    (tmp_path / name).write_bytes(written if whole_file else b"before" + written + b"after")
    assert canary.search(tmp_path, {"it": value})
    assert not canary.search(tmp_path, {"other": "02816112345"})


@pytest.mark.parametrize(
    "planted",
    [f"{NUMBER[:6]} {NUMBER[6:]}".encode(), f"{NUMBER[:6]}-{NUMBER[6:]}".encode(), struct.pack("<q", int(NUMBER))],
)
def test_a_number_is_found_separated_and_as_an_integer(tmp_path, planted):
    """People write it in two groups; programs store it as a number."""
    (tmp_path / "a").write_bytes(planted)
    assert canary.search(tmp_path, {"it": NUMBER})


def test_a_leak_is_found_inside_databases_locked_zips_and_names(tmp_path):
    """Nested files are decoded; a file's name counts too."""
    sqlite_of(NUMBER, tmp_path / "a.sqlite3")
    (tmp_path / "b.zip").write_bytes(locked_zip_of(NUMBER))
    (tmp_path / f"c-{NUMBER}").write_bytes(b"")
    assert {s.path[0] for s in canary.search(tmp_path, {"it": NUMBER}, PIN)} == {"a", "b", "c"}
    assert {s.path[0] for s in canary.search(tmp_path, {"it": NUMBER})} == {"a", "c"}


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    """Carry a marked extract to opened feedback, with the temporary folder of every process inside what is searched."""
    folder = tmp_path_factory.mktemp("canary")
    spill = folder / "tmp"
    spill.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(spill))
        with running_season(folder / "up") as running:
            marked = carry(running)
            yield running, marked


def carry(season):
    """Do what a municipality does, once; gives the values that were marked."""
    one = season.municipalities[0]
    home, urls = one.folder, {room: party.url for room, party in season.parties.items()}
    pack, ring = home / "p.sesong", ["--keyring", home / "keyring"]
    year = season.collection.year
    does("kommune", "pack", "--url", urls["ssb"], "--collection", "iplos", "--year", year, "--out", pack)
    does("synth", "--collection", "iplos", "--year", year, "--kommune", one.kommune, "--out", home, "--persons", 150,
         "--faults", 0.2, "--seed", 4)  # fmt: skip
    extract = home / f"{one.kommune}00_iplos_uttrekk_{year}.xml"
    values = mark(extract)
    parcel = home / "a.forsendelse"
    does("kommune", "seal", extract, "--pack", pack, "--contact-email", f"iplos@{one.user.partition('@')[2]}",
         "--contact-phone", "90000000", "--pin-file", one.pin_file, "--out", parcel, *ring)  # fmt: skip
    does("kommune", "send", parcel, "--url", urls["tpf"], *one.login, *ring, "--receipt", home / "R1.json")
    box = season.mailbox
    box.wait_for("Ny fil for nedlasting", one.user, WAIT)
    season.turn_clocks(receipt_instant(time_at(season.parties["ssb"]), season.collection.receipt.hour))
    box.wait_for("", "iplos@", WAIT)
    with Visit() as visit:
        visit.fill_in(link_in(box.wait_for("Ny bruker", one.user, WAIT)), bruker=one.user)
        visit.fill_in(
            link_in(box.wait_for("Nytt passord", one.user, WAIT)), passord="Vinter7januar", igjen="Vinter7januar"
        )
    (home / "password").write_text("Vinter7januar\n", encoding="ascii")
    does("kommune", "fetch", "--url", urls["filsluse"], "--user", one.user, "--password-file", home / "password",
         "--pack", pack, "--out", home / "fetched", "--wait", int(WAIT))  # fmt: skip
    does("kommune", "open", next((home / "fetched").glob("*.zip")), "--pack", pack, "--pin-file", one.pin_file, *ring,
         "--extract", extract, "--out", home / "opened")  # fmt: skip
    return values


def does(*arguments):
    """Run a command that must succeed."""
    ran = ipis(*arguments)
    assert ran.code == 0, ran.err
    return ran


def mark(extract):
    """Mark a diagnosis and a service, and choose persons to look for."""
    text = extract.read_text(encoding="utf-8")
    text = re.sub(r'(<Diagnose [^>]*\bkode=")[^"]*', rf"\g<1>{HEALTH_CODE}", text, count=1)
    text = re.sub(r'(<Tjeneste [^>]*\btjenesteId=")[^"]*', rf"\g<1>{HEALTH_ID}", text, count=1)
    text = re.sub(r' sha256="[0-9a-f]{64}"', "", text)
    extract.write_text(text, encoding="utf-8")
    return re.findall(r'\bfid="(\d{11})"', text)[:12]


def others(folder):
    """List what is not the municipality's own."""
    return [path for path in folder.iterdir() if not path.name.startswith("kommune-")]


def test_no_identifier_reaches_anything_that_tpf_ssb_or_filsluse_wrote(season):
    """Nor the feedback zip opened with its PIN, nor mails, nor the folders for temporary files."""
    running, numbers = season
    assert len(numbers) == 12
    wanted = {f"person {place}": number for place, number in enumerate(numbers)}
    for folder in (*others(running.folder), running.folder.parent / "tmp"):
        if folder.is_dir():
            assert canary.search(folder, wanted, demo_pin("0403")) == [], folder.name


def test_no_pin_stands_in_clear_but_in_the_municipalitys_own_file(season):
    """SSB holds it sealed, TPF a keyed hash, the portal nothing; the municipality the one file it wrote itself."""
    running, _ = season
    pin = {"pin": demo_pin("0403")}
    for folder in (*others(running.folder), running.folder.parent / "tmp"):
        if folder.is_dir():
            assert canary.search(folder, pin) == [], folder.name
    assert {s.path for s in canary.search(running.municipalities[0].folder, pin)} == {"pin"}


def test_no_health_value_is_at_tpf_in_a_mail_or_at_the_portal(season):
    """But SSB has it, and so has the zip once the PIN has opened it: the marks did travel."""
    running, _ = season
    marks = {"diagnosis": HEALTH_CODE, "service": HEALTH_ID}
    for room in ("tpf", "filsluse", "mail"):
        assert canary.search(running.folder / room, marks) == [], room
    assert {s.label for s in canary.search(running.folder / "ssb", marks)} == {"diagnosis", "service"}
    opened = canary.search(running.folder / "filsluse", marks, demo_pin("0403"))
    assert any(sighting.label == "diagnosis" for sighting in opened)
