"""Another collection without touching code: a register of home visits goes the whole way, from extract to opened feedback."""

import csv
import io
import re
import shutil
from pathlib import Path

import pytest
from tests.journey.conftest import DEFINITIONS, as_json, ipis, running_season

from ipis.local.portal_visit import Visit, link_in

LITE = Path(__file__).resolve().parents[1] / "definitions" / "lite" / "2017"
PASSWORD = "Vinterpassord7januar"
WAIT = 120.0
# Synthetic (month + 80): a visit of the next year, one of the year, and too many visits.
PERSONS = """
100 17883130286 1 2018-01-01 3   1
101 17883130367 1 2017-05-05 12  2
102 17883130448 1 2017-06-06 500 1
"""
EXPECTED = [("B001", "100", "besoekDato"), ("B002", "102", "antall")]


@pytest.fixture
def definitions(tmp_path):
    """Put the frame's words, which all registers share, beside the register's own; its plots are of IPLOS's tables."""
    folder = tmp_path / "besoek" / "2017"
    shutil.copytree(LITE, folder)
    for words in (DEFINITIONS / "2017" / "letters").glob("*/tilbakemelding.toml"):
        text = re.split(r"(?m)^\[plot_", words.read_text(encoding="utf-8"))[0]
        (folder / "letters" / words.parent.name / words.name).write_text(text, encoding="utf-8")
    return folder


def extract(path, orgnr):
    """Write the extract of three persons."""
    names = ("brukerNr", "fid", "typeID", "besoekDato", "antall", "maate")
    persons = [dict(zip(names, line.split(), strict=True)) for line in PERSONS.strip().split("\n")]
    header = {
        "formatVersjon": "1.0", "aargang": "2017", "fraDato": "2017-01-01", "tilDato": "2017-12-31",
        "uttakTid": "2018-01-02T09:00:00+01:00", "kommuneNr": "0403", "bydel": "00", "orgNr": orgnr, "innsending": "1",
    }  # fmt: skip
    lines = [f"<Uttrekk {attributes(header)}>", *(f"<Person {attributes(person)}/>" for person in persons)]
    path.write_text("\n".join([*lines, '<Slutt antallPerson="3"/>', "</Uttrekk>"]) + "\n", encoding="utf-8")


def attributes(values):
    return " ".join(f'{name}="{value}"' for name, value in values.items())


def done(*arguments, accept=(0,)):
    ran = ipis(*arguments)
    assert ran.code in accept, ran.err
    return ran.out


def rows(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), delimiter=";"))


def choose_password(season, folder):
    """Take the account into use, as the mails say; gives the file with the password."""
    user, box = season.municipalities[0].user, season.mailbox
    with Visit() as visit:
        visit.fill_in(link_in(box.wait_for("Ny bruker for Hjemmebesøk", user, WAIT)), bruker=user)
        visit.fill_in(
            link_in(box.wait_for("Hjemmebesøk-tilbakemelding: Nytt passord", user, WAIT)),
            passord=PASSWORD,
            igjen=PASSWORD,
        )
    path = folder / "portal.password"
    path.touch(mode=0o600)
    path.write_text(PASSWORD + "\n", encoding="ascii")
    return path


def test_a_second_register_goes_the_whole_way(tmp_path, definitions):
    """Three fields, two rules: extract, check, seal, TPF, SSB, feedback, open."""
    with running_season(tmp_path / "season", definitions=definitions) as season:
        (hamar,), own = season.municipalities, tmp_path
        pack, report, parcel, opened = (
            own / "besoek.sesong",
            own / "check.html",
            own / "040300.forsendelse",
            own / "opened",
        )
        urls = {room: party.url for room, party in season.parties.items()}
        ring = ("--keyring", own / "keyring")
        done("kommune", "pack", "--url", urls["ssb"], "--collection", "besoek", "--year", 2017, "--out", pack)
        assert pack.read_bytes() == season.pack.read_bytes()

        extract(own / "uttrekk.xml", hamar.orgnr)
        told = done(
            "kommune", "check", own / "uttrekk.xml", "--pack", pack, "--report", report, "--json", *ring, accept=(0, 1)
        )  # fmt: skip
        found = [(f["rule"], f["key"]["brukerNr"], f["fields"][0]) for f in as_json(told)["findings"]]
        assert sorted(found) == EXPECTED

        pin = ("--pin-file", hamar.pin_file)
        done(
            "kommune", "seal", own / "uttrekk.xml", "--pack", pack, "--contact-email", "besoek@k0403.kommune.test",
            *pin, "--out", parcel, *ring,
        )  # fmt: skip
        done("kommune", "send", parcel, "--url", urls["tpf"], *hamar.login, *ring, "--receipt", own / "R1.json")
        password = choose_password(season, own)
        season.mailbox.wait_for("Hjemmebesøk-tilbakemelding: Ny fil", hamar.user, WAIT)
        done(
            "kommune", "fetch", "--url", urls["filsluse"], "--user", hamar.user, "--password-file", password,
            "--pack", pack, "--out", own / "fetched", "--wait", int(WAIT),
        )  # fmt: skip
        (zipped,) = (own / "fetched").glob("*.zip")
        assert re.fullmatch(r"040300_besoek_tilbakemelding_\d{8}\.zip", zipped.name)
        done("kommune", "open", zipped, "--pack", pack, *pin, *ring, "--extract", own / "uttrekk.xml", "--out", opened)

    listed = [(row["rule"], row["brukerNr"], row["field"]) for row in rows(opened / "feilliste.csv")]
    assert sorted(listed) == EXPECTED
    assert {row["fid"] for row in rows(opened / "worklist.csv")} == {"17883130286", "17883130448"}
    assert {next(iter(row.values())) for row in rows(opened / "kontrolltabeller.csv")} >= {"B01"}
