"""`ipis kommune open`: nothing opens that is not proved to answer one's own forsendelse, and nothing is half written."""

import csv
import io
import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import openpyxl
import pytest
import pyzipper
from tests.kommune.testvik import KOMMUNE, NUMBERS, YEAR, body, extract, season_pack

from ipis.__main__ import run
from ipis.kernel.canonical import sha256
from ipis.kernel.demo import demo_pin
from ipis.kernel.environment import Environment
from ipis.kernel.push import names_of
from ipis.kernel.receipt import Kind, Receipt, sign
from ipis.kernel.seasonpack import Key
from ipis.kernel.secret import Secret
from ipis.kernel.signature import SigningKey
from ipis.kommune.keyring import Keyring, Sealed

ZIP = "040300_iplos_tilbakemelding_20180103.zip"
PIN = demo_pin(KOMMUNE)
CODE = "ABCDEFGHJKMN"
DEMO = Environment.DEMO
OWN, MANIFEST = "ab" * 16, "c" * 64
COLUMNS = "status;level;problem;rule;record;brukerNr;id;field;value;found;expected;do;effect;first_seen;answer"
ROWS = (
    "new;feil;1;K063;tjeneste;B2;T1;sluttDato;'=1+1;Slutt før start. Rett den.;ventet;gjør;behold;1;",
    "open;advarsel;2;K048;diagnose;B1;D0;kode;A01;To ganger.;ventet;gjør;behold;1;",
    "open;info;3;K031;person;B1;;bostedKommuneNr;;Annen kommune.;ventet;gjør;behold;1;",
    "new;advarsel;4;K014;uttrekk;;;;1;Samme innhold.;ventet;gjør;behold;2;",
    "fixed;feil;5;K075;tjeneste;B1;T0;orgNr;;Mangler.;ventet;gjør;behold;1;",
)


def feilliste(*rows, columns=COLUMNS):
    return b"\xef\xbb\xbf" + "".join(f"{line}\r\n" for line in (columns, *rows)).encode()


def package(rows=ROWS, language="nb", **more):
    files = {"tilbakemelding.html": b"<!doctype html>", "feilliste.csv": feilliste(*rows), "feilliste.xlsx": b"PK"}
    return {**files, "kontrolltabeller.csv": b"a;b\r\n", "om.json": json.dumps({"language": language}).encode(), **more}


def closed(files, password=PIN):
    target = io.BytesIO()
    with pyzipper.AESZipFile(target, "w", compression=pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(password.encode())
        for name, content in files if isinstance(files, list) else files.items():
            archive.writestr(name, content)
    return target.getvalue()


class Home:
    """Testvik's secure zone: pack, keyring with one forsendelse, and a folder that gets what was carried in."""

    def __init__(self, folder, monkeypatch, environment=DEMO):
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.delenv("IPIS_KOMMUNE_SETTINGS", raising=False)
        self.folder, self.inn, self.out, self.environment = folder, folder / "inn", folder / "ut", environment
        self.inn.mkdir()
        self.root, self.ssb = (SigningKey.generate(role, environment) for role in ("root", "ssb-receipt"))
        public = self.ssb.public
        keys = (Key("ssb-receipt", "ssh-ed25519", public.openssh, public.fingerprint),)
        self.pack = season_pack(folder / "iplos.sesong", self.root, body(keys, environment))
        self.keyring = folder / "keyring"
        self.pin = folder / "pin"
        self.pin.write_text(PIN + "\n")
        self.sealed()

    def sealed(self, **changes):
        values = {
            "forsendelse": OWN, "environment": self.environment, "register": "iplos", "year": YEAR, "kommune": KOMMUNE, "bydel": "00",
            "sequence": 1, "manifest_sha256": MANIFEST, "sealed_at": datetime(2018, 1, 2, tzinfo=UTC),
        }  # fmt: skip
        Keyring(self.keyring).add(Sealed(**(values | changes)))

    def receipt(self, data, **changes):
        details = {"zip": ZIP, "zip_sha256": sha256(data), "zip_size": len(data), "revision": 1}
        plain = Receipt(
            kind=Kind.R4, forsendelse=OWN, register="iplos", year=YEAR, kommune=KOMMUNE, bydel="00", sequence=1,
            environment=self.environment, manifest_sha256=MANIFEST, issuer="ssb", at=datetime(2018, 1, 3, tzinfo=UTC), phase="open",
            audit_head="0" * 64, causes="b" * 64, details=details,
        )  # fmt: skip
        return replace(plain, **changes)

    def carry_in(self, data=None, key=None, **changes):
        """Lay the three files down; gives the zip."""
        data = closed(package()) if data is None else data
        signed = sign(self.receipt(data, **changes), key or self.ssb)
        for name, content in zip(names_of(ZIP), (data, signed.data, signed.signature), strict=True):
            (self.inn / name).write_bytes(content)
        return self.inn / ZIP

    def open(self, *more, pin=None):
        words = ["kommune", "open", self.inn / ZIP, "--pack", self.pack, "--keyring", self.keyring, "--out", self.out]
        return run([str(word) for word in (*words, "--pin-file", pin or self.pin, *more)])

    def refused(self, capsys, code, *more, pin=None):
        """It is refused with its code and exit 2, and nothing is written."""
        assert self.open(*more, pin=pin) == 2
        said = capsys.readouterr().err
        assert f"[{code}]" in " ".join(said.split())
        assert "{" not in said
        assert not self.out.exists()

    def worklist(self):
        text = (self.out / "worklist.csv").read_text(encoding="utf-8-sig")
        return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";"))


@pytest.fixture
def home(tmp_path, monkeypatch):
    return Home(tmp_path, monkeypatch)


def test_everything_comes_out_readable_by_this_user_alone(home):
    """Folder 0700, files 0600: they name persons."""
    home.carry_in()
    assert home.open() == 0
    assert {path.name for path in home.out.iterdir()} == {*package(), "worklist.csv", "worklist.xlsx"}
    assert home.out.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in home.out.iterdir()} == {0o600}
    assert (home.out / "feilliste.csv").read_bytes() == feilliste(*ROWS)


def test_the_worklist_names_the_municipalitys_own_persons(home):
    """Joined with the extract by brukerNr; what is fixed is not work; whoever has an error comes before a warning."""
    home.carry_in()
    assert home.open("--extract", extract(home.folder)) == 0
    work = home.worklist()
    assert [(row["brukerNr"], row["fid"], row["rule"]) for row in work] == [
        ("B2", NUMBERS[1], "K063"), ("", "", "K014"), ("B1", NUMBERS[0], "K048"), ("B1", NUMBERS[0], "K031"),
    ]  # fmt: skip
    assert list(work[0])[:3] == ["brukerNr", "fid", "level"]
    assert list(work[0])[-2:] == ["svar", "begrunnelse"]
    assert {row["svar"] + row["begrunnelse"] for row in work} == {""}


def test_what_is_answered_is_not_asked_again(home, capsys):
    """It stands in the feilliste, with the answer; the worklist is what is left to do."""
    answered = ROWS[1].replace("open;", "answered;", 1) + "Stemmer"
    home.carry_in(closed(package((ROWS[0], answered))))
    assert home.open() == 0
    assert [row["rule"] for row in home.worklist()] == ["K063"]
    assert "Besvart: 1." in capsys.readouterr().out


def test_the_workbook_is_the_worklist_with_every_digit_and_nothing_to_run(home):
    """A spreadsheet that reads the CSV drops leading zeros; here numbers are text, and columns have the same names."""
    row = ROWS[0].replace(";B2;T1;", ";'=B2;007;")
    home.carry_in(closed(package((row,))))
    assert home.open("--extract", extract(home.folder, bruker=("=B2", "B9"))) == 0
    sheet = openpyxl.load_workbook(home.out / "worklist.xlsx").active
    heading, cells = list(sheet.iter_rows())
    assert [cell.value for cell in heading] == list(home.worklist()[0])
    assert [cell.value for cell in cells[:2]] == ["=B2", NUMBERS[0]]
    assert cells[5].value == "007"
    assert {cell.data_type for cell in cells if cell.value is not None} == {"s"}


def test_without_an_extract_the_worklist_has_no_numbers_and_says_why(home, capsys):
    """brukerNr is enough to find the person in the record system."""
    home.carry_in()
    assert home.open() == 0
    assert {row["fid"] for row in home.worklist()} == {""}
    assert "Fødselsnummer mangler i arbeidslista" in capsys.readouterr().out


def test_two_persons_with_one_number_are_both_named(home):
    """K019 is about just that: the first of them alone would be half the work."""
    home.carry_in()
    assert home.open("--extract", extract(home.folder, bruker=("B2", "B2"))) == 0
    assert home.worklist()[0]["fid"] == " / ".join(NUMBERS)


def test_marks_against_spreadsheets_are_taken_off_and_put_on_again(home):
    """What the record system holds is joined on; what a spreadsheet would run is shown."""
    rows = (
        "new;feil;1;K063;tjeneste;'=B1;T1;f;'''x;f;v;g;behold;1;",
        "new;feil;1;K063;tjeneste;'B9;T1;f;'-5;f;v;g;behold;1;",
    )
    home.carry_in(closed(package(rows)))
    assert home.open("--extract", extract(home.folder, bruker=("=B1", "'B9"))) == 0
    found = {row["brukerNr"]: (row["fid"], row["value"]) for row in home.worklist()}
    assert found == {"'=B1": (NUMBERS[0], "'''x"), "''B9": (NUMBERS[1], "'-5")}


@pytest.mark.parametrize(
    ("header", "changed"), [("kommuneNr", {"kommune": "0412"}), ("bydel", {"bydel": "01"}), ("aargang", {"year": 2016})]
)
def test_another_ones_extract_is_refused(home, capsys, header, changed):
    """Its numbers would name the wrong persons."""
    home.carry_in(**changed)
    home.refused(capsys, "open.other_extract", "--extract", extract(home.folder))


@pytest.mark.parametrize(
    ("rows", "language", "words"),
    [
        (
            ROWS,
            "nb",
            [
                "Problemer som må rettes: 1. Som bør ses gjennom: 3. Funn i alt: 4.",
                "Neste: gå gjennom",
                "Er noe riktig",
            ],
        ),
        (
            ROWS[1:4],
            "nn",
            [
                "Problem som må rettast: 0. Som bør sjåast gjennom: 3.",
                "Neste: sjå gjennom worklist.csv.",
                "Er noko rett",
            ],
        ),
        (ROWS[4:], "en", ["Fixed since last time: 1.", "Done: Statistics Norway found nothing to correct."]),
        ((), "nb", ["Ferdig: SSB fant ingenting å rette."]),
    ],
)
def test_it_ends_with_what_to_do_next(home, capsys, rows, language, words):
    """In the language of the feedback; the last line is the next step, and every file is explained."""
    home.carry_in(closed(package(rows, language)))
    assert home.open() == 0
    said = capsys.readouterr().out
    assert words[-1] in said.splitlines()[-1]
    assert all(word in said for word in words)
    listed = [line.split()[0] for line in said.splitlines() if line.startswith("  ")]
    assert listed == [
        "worklist.csv", "worklist.xlsx", "tilbakemelding.html", "feilliste.xlsx", "feilliste.csv",
        "kontrolltabeller.csv", "om.json",
    ]  # fmt: skip


@pytest.mark.parametrize("about", [b"{", b"[]", b'{"language": "xx"}', b"[" * 9000])
def test_an_unknown_language_is_bokmaal(home, capsys, about):
    """The words are the program's own; nothing in the zip is needed for them."""
    home.carry_in(closed(package(**{"om.json": about})))
    assert home.open() == 0
    assert "Neste: gå gjennom" in capsys.readouterr().out


@pytest.mark.parametrize("gone", names_of(ZIP))
def test_each_of_the_three_files_must_be_there(home, capsys, gone):
    """A zip without its receipt is nobody's word."""
    home.carry_in()
    (home.inn / gone).unlink()
    home.refused(capsys, "open.missing")


def test_another_signer_is_refused(home, capsys):
    """Somebody else's key of the right role proves nothing."""
    home.carry_in(key=SigningKey.generate("ssb-receipt", DEMO))
    home.refused(capsys, "open.not_signed")


def test_a_receipt_of_another_environment_is_refused(home, capsys):
    """A test receipt is none in the demo."""
    home.carry_in(environment=Environment.TEST)
    home.refused(capsys, "open.not_signed")


@pytest.mark.parametrize("content", [b"", b"{}", b"{" * 70_000, b"\xff\xfe"])
def test_a_receipt_that_is_none_is_refused(home, capsys, content):
    """Broken, empty or far too long."""
    home.carry_in()
    (home.inn / names_of(ZIP)[1]).write_bytes(content)
    home.refused(capsys, "open.not_signed")


def test_another_zip_beside_the_receipt_is_refused(home, capsys):
    """R4 holds the SHA-256 of exactly one file."""
    home.carry_in()
    (home.inn / ZIP).write_bytes(closed(package(ROWS[1:])))
    home.refused(capsys, "open.other_zip")


def test_another_kind_of_receipt_is_refused(home, capsys):
    """R3 is signed by SSB too."""
    home.carry_in(kind=Kind.R3)
    home.refused(capsys, "open.other_zip")


@pytest.mark.parametrize("changed", [{"forsendelse": "f" * 32}, {"manifest_sha256": "d" * 64}])
def test_feedback_on_what_was_not_sealed_here_is_refused(home, capsys, changed):
    """Another municipality's, or one's own id over another content."""
    home.carry_in(**changed)
    home.refused(capsys, "open.not_ours")


def test_a_pack_of_another_root_is_refused(tmp_path, monkeypatch, capsys):
    """Who can forge the pack can forge the receipt: the root seen first holds, the demo's aside (architecture §2.3)."""
    home = Home(tmp_path, monkeypatch, Environment.TEST)
    home.carry_in()
    assert home.open() == 0
    stranger, forged = (SigningKey.generate(role, Environment.TEST) for role in ("root", "ssb-receipt"))
    key = Key("ssb-receipt", "ssh-ed25519", forged.public.openssh, forged.public.fingerprint)
    season_pack(home.pack, stranger, body((key,), Environment.TEST, version=2))
    home.carry_in(key=forged)
    assert home.open() == 2
    assert "[seasonpack.root_changed]" in " ".join(capsys.readouterr().err.split())


def test_a_wrong_pin_opens_nothing(home, capsys):
    """Its own code, exit 2, and the PIN is not repeated."""
    wrong = home.folder / "wrong"
    wrong.write_text("WRONGPIN23456789\n")
    home.carry_in()
    home.refused(capsys, "open.wrong_pin", pin=wrong)


def test_a_wrong_pin_that_passes_the_two_check_bytes_is_still_a_wrong_pin(home, capsys, monkeypatch):
    """One in 65,536 does; then the content does not inflate, or its seal does not fit."""
    wrong = home.folder / "wrong"
    wrong.write_text("WRONGPIN23456789\n")
    monkeypatch.setattr("pyzipper.zipfile_aes.AESZipDecrypter.__init__", _lenient())
    home.carry_in()
    home.refused(capsys, "open.wrong_pin", pin=wrong)


def _lenient():
    """The check of the two bytes left out, as chance would have it."""
    from pyzipper import zipfile_aes

    real = zipfile_aes.AESZipDecrypter.__init__

    def lenient(self, zinfo, pwd, encryption_header):
        from Cryptodome.Protocol.KDF import PBKDF2

        length = zinfo.wz_aes_strength and {1: 8, 2: 12, 3: 16}[zinfo.wz_aes_strength]
        key = 2 * length
        check = PBKDF2(pwd, encryption_header[:length], 2 * key + 2, 1000)[2 * key :]
        real(self, zinfo, pwd, encryption_header[:length] + check)

    return lenient


def test_the_pin_is_asked_for_when_no_file_is_given(home, monkeypatch):
    """Not shown while it is typed."""
    home.carry_in()
    monkeypatch.setattr("typer.prompt", lambda text, **how: PIN if text == "PIN" and how["hide_input"] else "")
    words = ["kommune", "open", home.inn / ZIP, "--pack", home.pack, "--keyring", home.keyring, "--out", home.out]
    assert run([str(word) for word in words]) == 0


@pytest.mark.parametrize("password", [PIN + CODE, PIN])
def test_the_feedback_code_comes_from_the_keyring(home, password):
    """PIN and code; the PIN alone where SSB could not open the contact that held the code."""
    home.sealed(forsendelse="e" * 32, sequence=2, feedback_code=Secret(CODE))
    home.carry_in(closed(package(), password), forsendelse="e" * 32, sequence=2)
    assert home.open() == 0


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all", closed(package())[:400]])
def test_a_damaged_zip_is_refused(home, capsys, data):
    """Even where the receipt is of the damaged file."""
    home.carry_in(data)
    home.refused(capsys, "open.damaged")


ZEROES = bytes(1 << 20)


@pytest.mark.parametrize(
    "files",
    [
        package(**{"../ute.csv": b""}),
        package(**{"/etc/ute.csv": b""}),
        package(**{"mappe/ute.csv": b""}),
        package(**{"C:\\ute.csv": b""}),
        package(**{".skjult": b""}),
        package(**{"worklist.csv": b""}),
        package(**{"FEILLISTE.csv": b""}),
        package(**{f"{n}.csv": b"" for n in range(101)}),
        {"om.json": b"{}"},
        {},
    ],
)
def test_members_that_do_not_belong_are_refused(home, capsys, files):
    """No path, no hidden file, no second name for the same file, and not without the feilliste."""
    home.carry_in(closed(files))
    home.refused(capsys, "open.unexpected")


def test_doubled_members_are_refused(home, capsys):
    """Which of the two would count?"""
    with pytest.warns(UserWarning, match="Duplicate"):
        data = closed([*package().items(), ("feilliste.csv", feilliste())])
    home.carry_in(data)
    home.refused(capsys, "open.unexpected")


def test_a_zip_bomb_is_refused(home, capsys, monkeypatch):
    """By what it says of itself, before a byte is inflated."""
    monkeypatch.setattr("ipis.kommune.feedback._MOST_BYTES", 3 << 20)
    home.carry_in(closed(package(**{"T99.csv": ZEROES * 4})))
    home.refused(capsys, "open.unexpected")


def test_a_bomb_that_lies_about_its_size_inflates_no_further_than_it_says(home):
    """The sizes in the directory are the limit, whatever the stream holds."""
    data = closed(package(**{"T99.csv": ZEROES * 4}))
    home.carry_in(data.replace((4 << 20).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    assert home.open() == 0
    assert (home.out / "T99.csv").stat().st_size == 10


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe;", feilliste("new;feil"), feilliste(ROWS[0] + ";mer"), feilliste('new;"feil'),
        feilliste(columns="status;level;rule"),
    ],
)  # fmt: skip
def test_a_feilliste_that_is_none_is_refused(home, capsys, content):
    """Cut, of other columns or of another encoding: said in words, not by a crash."""
    home.carry_in(closed(package(**{"feilliste.csv": content})))
    home.refused(capsys, "open.damaged")


def test_opening_again_replaces_what_lies_there(home):
    """The newest word holds, and nothing of the old stays in a file of the same name."""
    home.carry_in()
    assert home.open() == 0
    home.carry_in(closed(package(ROWS[:1])))
    assert home.open() == 0
    assert len(home.worklist()) == 1


def test_seven_zip_opens_what_open_opens(home):
    """A municipality without our program can do it by hand (L17 §4.6)."""
    path = home.carry_in()
    done = subprocess.run(["7z", "t", f"-p{PIN}", str(path)], capture_output=True, check=False)
    assert done.returncode == 0
