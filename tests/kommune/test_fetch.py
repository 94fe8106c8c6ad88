"""`ipis kommune fetch`: what comes home is whole and proved to be SSB's, or nothing comes home."""

import json
from pathlib import Path

import pytest
from tests.filsluse.season import ZIP, Season
from tests.kommune.portal_double import DEVICE, PASSWORD, USER, Double

from ipis.__main__ import run
from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.environment import Environment
from ipis.kernel.push import names_of
from ipis.kernel.seasonpack import SeasonPack

CONTENT = b"PK" + bytes(range(256)) * 3000
SECOND = ZIP.replace(".zip", "-2.zip")
LITE = Path(__file__).resolve().parents[1] / "definitions" / "lite" / "2017"


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    return Season.make(tmp_path_factory.mktemp("season"))


@pytest.fixture
def portal():
    with Double() as double:
        yield double


@pytest.fixture
def out(tmp_path):
    return tmp_path / "hjem"


@pytest.fixture
def fetch(portal, season, out, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")

    def go(*more, pack=None, url=None, user=USER, password_file=password):
        words = ["kommune", "fetch", "--url", url or portal.url, "--user", user, "--pack", str(pack or season.pack)]
        words += ["--out", str(out)]
        words += ["--password-file", str(password_file)] if password_file else []
        return run([*words, *more])

    return go


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_zip_receipt_and_signature_come_home_and_the_portal_is_told(fetch, portal, season, out, capsys):
    files = season.feedback(CONTENT)
    portal.show(files)
    assert fetch() == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == files
    assert portal.confirmed == {"0" * 32}
    assert capsys.readouterr().out.strip() == str(out / ZIP)
    assert (out / ZIP).stat().st_mode & 0o777 == 0o600


def test_a_second_run_fetches_nothing_again(fetch, portal, season, out, capsys):
    portal.show(season.feedback(CONTENT))
    assert fetch() == 0
    asked = len(portal.log)
    assert fetch() == 0
    assert [line for line in portal.log[asked:] if ".zip" in line] == []
    assert "1 already there" in capsys.readouterr().err


def test_nothing_there_is_try_again_later(fetch, capsys):
    assert fetch() == 3
    assert "ingen ny fil" in capsys.readouterr().err


@pytest.fixture
def home_visits(tmp_path):
    """The season of another register, as nothing but its pack says."""
    folder = tmp_path / "besoek"
    folder.mkdir()
    return Season.make(folder, definitions=DefinitionFolder.from_path(LITE))


def test_another_registers_mail_is_called_by_its_subject(fetch, home_visits, capsys):
    """Subjects are in bokmål whatever the reader's language."""
    assert fetch(pack=home_visits.pack) == 3
    said = capsys.readouterr().err
    assert "«Hjemmebesøk-tilbakemelding: Ny fil for nedlasting»" in said
    assert "IPLOS" not in said


def test_whoever_meets_what_is_not_signed_is_told_to_ask_at_the_registers_own_address(
    fetch, portal, season, home_visits, capsys
):
    portal.show(season.feedback(CONTENT))
    assert fetch(pack=home_visits.pack) == 2
    said = capsys.readouterr().err
    assert "besoek@ssb.test" in said
    assert "iplos@" not in said


def test_waiting_ends_when_a_file_comes(fetch, portal, season, out):
    def come(double):
        if double.log.count("GET /api/v1/filer") == 2:
            double.show(season.feedback(CONTENT))

    portal.on_list = come
    assert fetch("--wait", "20") == 0
    assert ZIP in names(out)


def test_waiting_is_for_a_file_that_nobody_has_confirmed(fetch, portal, season, out):
    """A second feedback is waited for in a new folder, where the first is fetched too."""
    portal.show(season.feedback(CONTENT))
    portal.confirmed.add("0" * 32)

    def come(double):
        if double.log.count("GET /api/v1/filer") == 2:
            double.show(season.feedback(CONTENT + b"2", SECOND), "1" * 32)

    portal.on_list = come
    assert fetch("--wait", "20") == 0
    assert names(out) == sorted([*names_of(ZIP), *names_of(SECOND)])


def test_waiting_in_vain_gives_what_there_was_or_says_so(fetch, portal, season):
    assert fetch("--wait", "0.2") == 3
    portal.show(season.feedback(CONTENT))
    portal.confirmed.add("0" * 32)
    assert fetch("--wait", "0.2") == 0


@pytest.mark.parametrize("cut", [1, 1000, len(CONTENT) - 1])
def test_a_cut_line_goes_on_where_it_stopped(fetch, portal, season, out, cut):
    portal.show(season.feedback(CONTENT))
    portal.cut_at = [cut]
    assert fetch() == 3
    assert ZIP not in names(out)
    assert fetch() == 0
    assert (out / ZIP).read_bytes() == CONTENT
    assert f"bytes={cut}-" in portal.log[-2]


def test_a_portal_that_cannot_go_on_starts_again(fetch, portal, season, out):
    portal.show(season.feedback(CONTENT))
    portal.cut_at, portal.ranges = [1000], False
    assert fetch() == 3
    assert fetch() == 0
    assert (out / ZIP).read_bytes() == CONTENT


def test_waiting_carries_on_over_a_cut_line(fetch, portal, season, out):
    portal.show(season.feedback(CONTENT))
    portal.cut_at = [1000, 2000]
    assert fetch("--wait", "20") == 0
    assert (out / ZIP).read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"another beginning", CONTENT[:-1] + b"?", CONTENT + b"more"])
def test_what_another_attempt_left_is_thrown_away_when_it_does_not_fit(fetch, portal, season, out, left):
    portal.show(season.feedback(CONTENT))
    out.mkdir()
    (out / f".{ZIP}.part").write_bytes(left)
    assert fetch() == 0
    assert (out / ZIP).read_bytes() == CONTENT
    assert names(out) == sorted(names_of(ZIP))


class TestRefusal:
    """Feedback without a valid R4: exit 2, its own code, and nothing is left."""

    def refused(self, fetch, out, capsys, code, *more):
        assert fetch("--json", *more) == 2 if "--json" in more else fetch(*more) == 2
        assert code in capsys.readouterr().err
        assert not out.exists() or names(out) == []

    def test_a_receipt_by_another_key(self, fetch, portal, out, capsys, tmp_path):
        portal.show(Season.make(tmp_path).feedback(CONTENT))
        self.refused(fetch, out, capsys, "fetch.not_signed")

    def test_a_receipt_with_a_flipped_bit(self, fetch, portal, season, out, capsys):
        files = season.feedback(CONTENT)
        files[f"{ZIP}.kvittering"] = files[f"{ZIP}.kvittering"].replace(b'"sequence":1', b'"sequence":2')
        portal.show(files)
        self.refused(fetch, out, capsys, "fetch.not_signed")

    def test_an_empty_receipt(self, fetch, portal, season, out, capsys):
        portal.show(season.feedback(CONTENT) | {f"{ZIP}.kvittering": b"", f"{ZIP}.kvittering.sig": b""})
        self.refused(fetch, out, capsys, "fetch.not_signed")

    def test_the_receipt_of_another_zip(self, fetch, portal, season, out, capsys):
        other = season.feedback(b"PK other")
        portal.show(season.feedback(CONTENT) | {name: other[name] for name in names_of(ZIP)[1:]})
        self.refused(fetch, out, capsys, "fetch.other_zip")

    def test_a_receipt_that_names_no_zip(self, fetch, portal, season, out, capsys):
        portal.show(season.feedback(CONTENT, zip_sha256=None))
        self.refused(fetch, out, capsys, "fetch.other_zip")

    @pytest.mark.parametrize("details", [{"zip": SECOND}, {"zip": None}, {"zip_size": 1}, {"zip_size": None}])
    def test_a_receipt_of_the_zip_under_another_name_or_size(self, fetch, portal, season, out, capsys, details):
        """A taken portal cannot show last week's feedback under today's name."""
        portal.show(season.feedback(CONTENT, **details))
        self.refused(fetch, out, capsys, "fetch.other_zip")

    def test_a_zip_swapped_after_it_was_listed(self, fetch, portal, season, out, capsys):
        files = season.feedback(CONTENT)
        portal.show(files)
        portal.changed = {"sha256": portal.listing()[0]["sha256"]}
        files[ZIP] = CONTENT[:-1] + b"?"
        self.refused(fetch, out, capsys, "fetch.differs")

    def test_more_bytes_than_were_listed(self, fetch, portal, season, out, capsys):
        portal.show(season.feedback(CONTENT, zip_size=10))
        portal.changed = {"size": 10}
        self.refused(fetch, out, capsys, "fetch.too_much")

    @pytest.mark.parametrize(
        "row",
        [
            {"name": "../../etc/passwd.zip"},
            {"name": "a.exe"},
            {"id": "../x"},
            {"size": 0},
            {"size": 5 << 30},
            {"size": "10"},
            {"sha256": "x"},
        ],
    )
    def test_a_list_that_is_none_of_ssbs(self, fetch, portal, season, out, capsys, row):
        portal.show(season.feedback(CONTENT))
        portal.changed = row
        self.refused(fetch, out, capsys, "fetch.answer")

    @pytest.mark.parametrize("body", [b"<html>", b"{}", b"[1]", b"[" * 90_000, b"[" + b"0," * 600_000 + b"0]"])
    def test_an_answer_that_is_no_list(self, fetch, portal, out, capsys, body):
        portal.answers = {"/api/v1/filer": [(200, body)]}
        self.refused(fetch, out, capsys, "fetch.answer")

    def test_a_login_answer_without_a_token(self, fetch, portal, out, capsys):
        portal.answers = {"/api/v1/innlogging": [(200, b'{"token": "a b"}')]}
        self.refused(fetch, out, capsys, "fetch.answer")

    def test_one_bad_feedback_does_not_keep_the_good_one_away(self, fetch, portal, season, out, capsys, tmp_path):
        portal.show(Season.make(tmp_path).feedback(CONTENT), "1" * 32)
        portal.show(season.feedback(CONTENT, SECOND))
        assert fetch() == 2
        assert names(out) == sorted(names_of(SECOND))

    def test_a_pack_of_another_environment(self, fetch, portal, season, out, capsys, tmp_path):
        portal.show(season.feedback(CONTENT))
        assert fetch(pack=Season.make(tmp_path, Environment.TEST).pack) == 2
        assert names(out) == []

    def test_a_receipt_of_another_environment(self, season, tmp_path):
        """The same keys in another environment's pack are of no use."""
        pack = SeasonPack.load(season.pack)
        assert pack.environment is Environment.DEMO


def test_a_different_file_of_the_same_name_is_never_overwritten(fetch, portal, season, out, capsys):
    portal.show(season.feedback(CONTENT))
    out.mkdir()
    (out / ZIP).write_bytes(b"something of my own")
    assert fetch() == 2
    assert "fetch.stands" in capsys.readouterr().err
    assert (out / ZIP).read_bytes() == b"something of my own"
    (out / ZIP).unlink()
    (out / f"{ZIP}.kvittering").write_bytes(b"another receipt")
    assert fetch() == 2
    assert names(out) == [f"{ZIP}.kvittering"]


def test_a_wrong_password_is_refused_once_and_not_tried_again(fetch, portal, capsys, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("galt")
    assert fetch("--wait", "5", password_file=wrong) == 2
    assert len(portal.log) == 1
    assert "fetch.login" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["http://[::1", "https://filslusa:port", "filslusa", "http://"])
def test_an_address_that_is_none_is_refused(fetch, capsys, url):
    assert fetch(url=url) == 64
    assert "[fetch.url]" in capsys.readouterr().err


def kept(tmp_path):
    return [path for path in (tmp_path / "data").rglob("*") if path.is_file()]


def test_the_device_of_the_first_login_is_kept_private_and_said_at_the_next(fetch, portal, season, tmp_path):
    """Strangers who guess then lock out strangers only."""
    portal.show(season.feedback(CONTENT))
    assert fetch() == fetch() == 0
    assert portal.devices == [None, DEVICE]
    (path,) = kept(tmp_path)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert USER not in path.name
    assert path.read_text() == DEVICE


def test_another_portal_or_user_never_hears_of_the_device(fetch, portal, season, tmp_path):
    portal.show(season.feedback(CONTENT))
    assert fetch() == 0
    assert fetch(user="annen@testvik.kommune.test") == 2
    with Double() as other:
        other.show(season.feedback(CONTENT))
        fetch(url=other.url)
    assert portal.devices + other.devices == [None, None, None]


def test_a_device_file_of_something_else_is_left_aside(fetch, portal, season, tmp_path):
    portal.show(season.feedback(CONTENT))
    assert fetch() == 0
    (path,) = kept(tmp_path)
    path.write_bytes(b"\xff\n two words")
    assert fetch() == 0
    assert portal.devices == [None, None]
    assert path.read_text() == DEVICE


@pytest.mark.parametrize("device", [b"7", b'"a b"', b'"' + b"x" * 300 + b'"'])
def test_a_device_that_is_none_is_refused(fetch, portal, capsys, device, tmp_path):
    portal.answers = {"/api/v1/innlogging": [(200, b'{"token": "t", "device": ' + device + b"}")]}
    assert fetch() == 2
    assert "fetch.answer" in capsys.readouterr().err
    assert kept(tmp_path) == []


def test_a_home_that_cannot_be_written_does_not_stop_the_fetching(fetch, portal, season, tmp_path, capsys):
    (tmp_path / "data").write_text("no folder")
    portal.show(season.feedback(CONTENT))
    assert fetch() == 0
    assert "fetch.device" in capsys.readouterr().err


def test_without_a_password_file_the_program_asks(fetch, portal, season, monkeypatch):
    portal.show(season.feedback(CONTENT))
    monkeypatch.setattr("typer.prompt", lambda *_a, **_k: PASSWORD)
    assert fetch(password_file=None) == 0


def test_a_password_file_that_is_not_there_is_misuse(fetch, tmp_path, capsys):
    assert fetch(password_file=tmp_path / "nowhere") == 64
    assert "fetch.password_file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url", ["http://filsluse.ssb.no", "ftp://x", "filsluse.ssb.no", "", "https://", "http://127.0.0.1.evil.test"]
)
def test_the_password_travels_over_https_only(fetch, url, capsys):
    assert fetch(url=url or "x") == 64
    assert "fetch.url" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "code", "exit_code"),
    [
        ((503, b'{"code": "filsluse.locked"}'), "fetch.locked", 3),
        ((500, b"{}"), "fetch.portal_down", 3),
        ((502, b"<html>"), "fetch.answer", 2),
        ((0, b""), "fetch.portal_down", 3),
        ((404, b"{}"), "fetch.portal_refuses", 2),
        ((302, b"{}"), "fetch.portal_refuses", 2),
    ],
)
def test_what_the_portal_may_answer_instead(fetch, portal, capsys, answer, code, exit_code):
    portal.answers = {"/api/v1/innlogging": [answer] * 3}
    assert fetch() == exit_code
    assert code in capsys.readouterr().err


def test_a_portal_that_is_down_is_waited_for(fetch, portal, season):
    portal.show(season.feedback(CONTENT))
    portal.answers = {"/api/v1/innlogging": [(0, b""), (503, b'{"code": "filsluse.locked"}')]}
    assert fetch("--wait", "20") == 0


def test_a_session_that_ended_is_opened_again(fetch, portal, season):
    portal.show(season.feedback(CONTENT))
    portal.answers = {"/api/v1/filer": [(401, b'{"code": "filsluse.session"}')]}
    assert fetch("--wait", "20") == 0
    assert sum("innlogging" in line for line in portal.log) == 2


def test_a_confirmation_that_was_lost_is_sent_by_the_next_run(fetch, portal, season, out):
    portal.show(season.feedback(CONTENT))
    portal.answers = {f"/api/v1/filer/{'0' * 32}/bekreftelse": [(500, b"{}")]}
    assert fetch() == 3
    assert ZIP in names(out)
    assert fetch() == 0
    assert portal.confirmed == {"0" * 32}


def test_a_refusal_is_one_json_object_for_programs(season, portal, tmp_path, monkeypatch, capsys):
    from ipis.__main__ import tell
    from ipis.kernel.errors import TryLater

    assert tell(TryLater("fetch.nothing"), as_json=True) == 3
    assert json.loads(capsys.readouterr().err)["retry"] is True
