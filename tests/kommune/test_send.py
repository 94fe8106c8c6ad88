"""`send`, `receipts` and `pack` against a real TPF on loopback."""

import base64
import json
import shutil
from dataclasses import replace

import httpx2
import pytest
from tests.kommune.bad_line import BadLine
from tests.kommune.tpf_room import Room, SsbDouble, send_words
from tests.tpf import season as cast

from ipis.__main__ import run
from ipis.kernel import receipt
from ipis.kernel.environment import Environment
from ipis.kernel.errors import Refused
from ipis.kernel.forsendelse import Limits
from ipis.kernel.receipt import Kind, SignedReceipt
from ipis.kernel.signature import SigningKey
from ipis.kommune import receiver, send
from ipis.kommune.keyring import Keyring, Sealed

STRANGE = "9999"


@pytest.fixture(scope="module")
def ssb():
    double = SsbDouble()
    yield double
    double.close()


@pytest.fixture(scope="module")
def room(ssb, tmp_path_factory):
    room = Room(tmp_path_factory.mktemp("tpf"), ssb)
    for kommune in (cast.TESTVIK, cast.NABO, STRANGE):
        room.enrol(kommune)
    room.start("serve").start("work")
    yield room
    room.close()


@pytest.fixture
def live(room, monkeypatch):
    """The room in its window; small pieces, so that a small file takes several."""
    room.turn(cast.IN_WINDOW)
    monkeypatch.setattr(receiver, "CHUNK", 50_000)
    return room


@pytest.fixture(scope="module")
def testvik(room, tmp_path_factory):
    return Sender(room, tmp_path_factory.mktemp("testvik"), cast.TESTVIK)


class Sender:
    """One municipality with its keyring; each forsendelse gets the next sequence."""

    def __init__(self, room, folder, kommune):
        self.room, self.folder, self.kommune, self.sequence = room, folder, kommune, 0
        self.keyring = folder / "keyring"
        self.ring = Keyring(self.keyring)
        self.key = self.ring.sender_key(Environment.TEST)

    def seal(self, name="", **facts):
        self.sequence += 1
        out = self.folder / f"{name or self.sequence}.forsendelse"
        files = cast.seal(
            self.room.season,
            out,
            facts.pop("key", self.key),
            kommune=self.kommune,
            **({"sequence": self.sequence} | facts),
        )
        said = send.group(files)[0].first
        plain = {
            name: getattr(said.manifest.facts, name)
            for name in Sealed.__dataclass_fields__
            if hasattr(said.manifest.facts, name)
        }
        self.ring.add(Sealed(**plain, manifest_sha256=said.manifest_sha256, sealed_at=cast.IN_WINDOW))
        return files

    def words(self, files, **more):
        pin = more.pop("pin_file", self.room.folder / f"pin-{self.kommune}")
        url = more.pop("url", self.room.url)
        words = send_words(self.room, files, more.pop("keyring", self.keyring), pin, self.kommune, **more)
        return [url if word == self.room.url else word for word in words]

    def send(self, files, *flags, **more):
        return run(["kommune", "send", *self.words(files, **more), *flags])

    def receipts(self, out, **more):
        return run(["kommune", "receipts", *self.words([], out=out, **more)])


def refusal(capsys):
    return json.loads(capsys.readouterr().err.strip().splitlines()[-1])


def test_send_waits_for_r1_and_proves_it(live, testvik, tmp_path, capsys):
    receipt = tmp_path / "R1.json"
    assert testvik.send(testvik.seal(), receipt=receipt) == 0, capsys.readouterr().err
    assert json.loads(receipt.read_bytes())["kind"] == "R1"
    assert (tmp_path / "R1.json.sig").read_bytes().startswith(b"-----BEGIN SSH SIGNATURE")
    told = capsys.readouterr().out
    assert SignedReceipt(receipt.read_bytes(), b"").short_code in told
    assert "publiseringen i mars" in told


def test_without_a_wish_the_receipt_lies_beside_the_file(live, testvik, capsys):
    files = testvik.seal()
    assert testvik.send(files, "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["receipt"] == f"{files[0]}.R1.json"
    assert told["phase"] == "open"


def test_the_same_file_again_gives_the_same_receipt(live, testvik, tmp_path):
    files = testvik.seal()
    for name in ("first", "again"):
        assert testvik.send(files, receipt=tmp_path / name) == 0
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()


@pytest.mark.parametrize("cut_after", [1, 700, 1500, 3000, 60_000, 123_456, 199_999])
def test_an_upload_cut_at_any_byte_goes_on(live, testvik, cut_after):
    """The line breaks after so many bytes of requests, wherever that is; the same run ends with R1."""
    files = testvik.seal()
    line = BadLine(live.port, cut_after=cut_after)
    assert testvik.send(files, url=line.url) == 0
    assert line.cuts == 1
    line.close()


def test_a_run_that_gives_up_is_continued_by_the_next(live, testvik, monkeypatch, capsys):
    """Exit 3; what had arrived is not sent again."""
    monkeypatch.setattr(receiver, "_TRIES", 2)
    files = testvik.seal()
    line = BadLine(live.port, cut_after=120_000, then_dead=True)
    code = testvik.send(files, "--json", url=line.url)
    assert (code, refusal(capsys)["code"]) == (3, "send.silent")
    second = BadLine(live.port)
    assert testvik.send(files, url=second.url) == 0
    assert second.passed < files[0].stat().st_size
    second.close()


LOST = {
    "the creation": b"POST /api/v1/opplasting",
    "a piece": b"PATCH",
    "where the file is": b"HEAD",
    "the announcement": b"POST /api/v1/forsendelser",
    "the receipts": b"/kvitteringer",
}


@pytest.mark.parametrize("what", LOST.values(), ids=LOST)
def test_an_answer_that_is_lost_is_asked_for_again(live, testvik, what):
    """Whichever answer does not come back: one forsendelse, one R1."""
    files = testvik.seal()
    line = BadLine(live.port, lose_answer=what)
    assert testvik.send(files, url=line.url) == 0
    assert line.cuts == 1
    line.close()


def test_files_of_a_split_forsendelse_go_together_or_apart(live, testvik, capsys):
    files = testvik.seal(persons=6_000, limits=Limits(part=150_000, file=200_000))
    assert len(files) > 1
    assert testvik.send(files[:1], "--json") == 3
    assert refusal(capsys)["code"] == "send.files_missing"
    assert testvik.send(list(reversed(files))) == 0


def test_several_forsendelser_get_a_receipt_each(live, testvik, tmp_path):
    files = [*testvik.seal(), *testvik.seal()]
    assert testvik.send(files, receipt=tmp_path / "R1.json") == 0
    assert len(list(tmp_path.glob("*.R1.json"))) == 2


def test_before_the_window_send_names_the_opening_instant(live, testvik, capsys):
    files = testvik.seal()
    live.turn(cast.BEFORE)
    assert testvik.send(files, "--json") == 3
    told = refusal(capsys)
    assert (told["code"], told["retry"]) == ("tpf.not_open", True)
    assert "2018-01-02 00:00" in told["expected"]
    live.turn(cast.IN_WINDOW)
    assert testvik.send(files) == 0


@pytest.mark.parametrize(
    ("at", "phase", "words"), [(cast.LATE, "late", "juni"), (cast.CLOSED, "closed", "ikke for noen")]
)
def test_after_the_window_it_is_taken_and_marked(live, testvik, tmp_path, capsys, at, phase, words):
    live.turn(at)
    receipt = tmp_path / "R1.json"
    assert testvik.send(testvik.seal(), receipt=receipt) == 0
    assert json.loads(receipt.read_bytes())["phase"] == phase
    assert words in capsys.readouterr().out


def test_a_wrong_pin_is_refused_in_the_language_asked_for(live, testvik, tmp_path, capsys, monkeypatch):
    (tmp_path / "pin").write_text("WRONG123")
    monkeypatch.setenv("IPIS_LANGUAGE", "en")
    assert testvik.send(testvik.seal(), "--json", pin_file=tmp_path / "pin") == 2
    told = refusal(capsys)
    assert (told["code"], told["retry"]) == ("tpf.login", False)
    assert told["found"] == "the login does not fit"
    testvik.sequence -= 1


def test_another_keyring_is_refused(live, testvik, tmp_path, capsys):
    assert testvik.send(testvik.seal(), keyring=tmp_path / "other") == 2
    told = capsys.readouterr().err
    assert "tpf.other_key" in told
    assert testvik.key.public.fingerprint in told
    testvik.sequence -= 1


def test_strangers_are_locked_out_and_the_municipality_is_not(live, testvik, tmp_path, capsys):
    (tmp_path / "pin").write_text("WRONG123")
    files = testvik.seal()
    codes = [testvik.send(files, keyring=tmp_path / "other", pin_file=tmp_path / "pin") for _ in range(6)]
    assert sorted(codes) == codes
    assert set(codes) == {2, 3}
    assert "tpf.locked" in capsys.readouterr().err
    assert testvik.send(files) == 0


def test_a_parcel_of_another_municipality_is_refused_with_k009(live, testvik, tmp_path_factory, capsys):
    nabo = Sender(live, tmp_path_factory.mktemp("nabo"), cast.NABO)
    files = nabo.seal(key=testvik.key)
    assert testvik.send(files, "--json") == 2
    assert refusal(capsys)["code"] == "tpf.other_municipality"


def test_more_persons_than_allowed_are_held_and_exit_three_says_so(live, tmp_path_factory, capsys, monkeypatch):
    """R1 is written all the same: what is held is durable."""
    monkeypatch.setattr(send, "_JUDGEMENT_SECONDS", 120)
    strange = Sender(live, tmp_path_factory.mktemp("strange"), STRANGE)
    files = strange.seal(persons=51)
    assert strange.send(files, "--json") == 3
    assert refusal(capsys)["code"] == "send.held"
    assert files[0].with_name(f"{files[0].name}.R1.json").exists()
    assert strange.send(files, "--json") == 3
    words = ("--kommune", STRANGE, "--bydel", "00", "--year", str(cast.YEAR), "--release-held")
    assert "released" in live.run("enrol", *words).stdout
    live.wait_for(lambda: strange.send(files) == 0)


def test_while_the_worker_is_away_send_says_where_the_receipt_will_be(live, testvik, monkeypatch, capsys, tmp_path):
    files = testvik.seal()
    live.stop("work")
    monkeypatch.setattr(send, "_R1_SECONDS", 0.5)
    try:
        assert testvik.send(files, "--json") == 3
        assert refusal(capsys)["code"] == "send.no_receipt_yet"
    finally:
        live.start("work")
    monkeypatch.setattr(send, "_R1_SECONDS", 120)
    assert testvik.send(files, receipt=tmp_path / "R1.json") == 0


def test_receipts_are_proved_and_written_each_with_its_signature(live, tmp_path, tmp_path_factory, capsys, ssb):
    """One forsendelse: plain names; R3 and R4 come when SSB has brought them."""
    nabo = Sender(live, tmp_path_factory.mktemp("nabo"), cast.NABO)
    assert nabo.receipts(tmp_path / "none") == 3
    assert "send.nothing_sealed" in capsys.readouterr().err
    assert nabo.send(nabo.seal()) == 0
    out = tmp_path / "receipts"
    live.wait_for(lambda: nabo.receipts(out) == 0 and (out / "R5.json").exists())
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"R{n}.json{end}" for n in (1, 2, 5) for end in ("", ".sig")
    )
    r2 = SignedReceipt((out / "R2.json").read_bytes(), (out / "R2.json.sig").read_bytes())
    r3 = cast.ssb_receipt(live.season, r2, Kind.R3)
    fourth = [cast.ssb_receipt(live.season, r3, Kind.R4, details={"n": n}) for n in (1, 2)]
    for signed in (r3, *fourth):
        body = {"receipt": base64.b64encode(signed.data).decode(), "signature": signed.signature.decode()}
        assert httpx2.post(f"{live.url}/api/v1/kvitteringer", json=body, trust_env=False).status_code == 201
    capsys.readouterr()
    assert nabo.receipts(out, wait=10) == 0
    assert (out / "R4-2.json").read_bytes() == fourth[1].data
    assert "lastet hos SSB" in capsys.readouterr().out


def test_receipts_of_several_forsendelser_carry_their_ids(live, testvik, tmp_path):
    assert testvik.receipts(tmp_path / "r") == 0
    names = [path.name for path in (tmp_path / "r").glob("*.R1.json")]
    assert len(names) > 2
    assert all(len(name.split(".")[0]) == 32 for name in names)


@pytest.mark.parametrize("code", ["tpf.no_such_pack", "send.no_pack"])
def test_a_year_without_its_pack_is_skipped_and_named(live, testvik, tmp_path, monkeypatch, capsys, code):
    """From the second season on the mirror has the current pack only; receipts of this season come all the same."""
    real = receiver.Receiver.receipts
    signed = SigningKey.generate("tpf-receipt", Environment.TEST)

    def with_last_years(self, *words, **more):
        found = real(self, *words, **more)
        return [receipt.sign(replace(found[0].receipt, year=cast.YEAR - 1), signed), *found]

    fetch = receiver.Receiver.season_pack

    def current_only(self, register, year):
        if year == cast.YEAR:
            return fetch(self, register, year)
        raise Refused(code, name=f"{register}-{year}.sesong")

    assert testvik.send(testvik.seal()) == 0
    capsys.readouterr()
    monkeypatch.setattr(receiver.Receiver, "receipts", with_last_years)
    monkeypatch.setattr(receiver.Receiver, "season_pack", current_only)
    assert testvik.receipts(tmp_path / "r") == 0
    assert str(cast.YEAR - 1) in capsys.readouterr().err
    years = {json.loads(path.read_bytes())["year"] for path in (tmp_path / "r").glob("*R?.json")}
    assert years == {cast.YEAR}
    monkeypatch.setattr(receiver.Receiver, "receipts", lambda *words, **more: with_last_years(*words, **more)[:1])
    assert testvik.receipts(tmp_path / "none") == 2
    assert not (tmp_path / "none").exists()


def test_a_receipt_signed_by_nobody_known_is_refused(live, testvik, monkeypatch, capsys):
    """A receiver that is not TPF gains nothing: the season pack says whose signature counts."""
    files = testvik.seal()
    assert testvik.send(files) == 0
    other = cast.SigningKey.generate("tpf-receipt", cast.TEST)
    real = receiver.Receiver.receipts

    def forged(self, *words, **more):
        return [
            SignedReceipt(each.data, other.sign(each.data, "ipis-receipt@v1")) for each in real(self, *words, **more)
        ]

    monkeypatch.setattr(receiver.Receiver, "receipts", forged)
    assert testvik.send(files, "--json") == 2
    assert refusal(capsys)["code"] == "signature.other_key"


def test_a_receipt_of_something_else_is_refused(live, testvik, monkeypatch, capsys):
    files, others = testvik.seal(), testvik.seal()
    assert testvik.send([*files, *others]) == 0
    real = receiver.Receiver.receipts
    other = send.group(others)[0].id
    monkeypatch.setattr(receiver.Receiver, "receipts", lambda self, _id: real(self, other))
    assert testvik.send(files, "--json") == 2
    assert refusal(capsys)["code"] == "send.receipt_differs"


def test_the_season_pack_is_fetched_from_its_mirror_and_verified(live, tmp_path, capsys):
    words = ["--url", live.url, "--collection", "iplos", "--keyring", str(tmp_path / "k")]
    out = tmp_path / "new" / "iplos.sesong"
    assert run(["kommune", "pack", *words, "--year", str(cast.YEAR), "--out", str(out)]) == 0
    assert out.read_bytes() == live.season.path.read_bytes()
    assert run(["kommune", "pack", *words, "--year", "1999", "--out", str(tmp_path / "x")]) == 2
    assert not (tmp_path / "x").exists()
    assert "send.no_pack" in capsys.readouterr().err


def test_a_pack_of_another_root_is_never_written(live, tmp_path, capsys):
    words = ["--url", live.url, "--collection", "iplos", "--year", str(cast.YEAR), "--keyring", str(tmp_path / "k")]
    assert run(["kommune", "pack", *words, "--out", str(tmp_path / "a")]) == 0
    kept = live.season.path.read_bytes()
    stranger = cast.Season(tmp_path, cast.read_keys(live.data))
    try:
        shutil.copy(stranger.path, live.season.path)
        assert run(["kommune", "pack", *words, "--out", str(tmp_path / "b")]) == 2
    finally:
        live.season.path.write_bytes(kept)
    assert not (tmp_path / "b").exists()
    assert "seasonpack.root_changed" in capsys.readouterr().err


def test_files_that_cannot_be_sent_are_refused_before_any_login(live, testvik, tmp_path, capsys):
    assert testvik.send([tmp_path / "none"]) == 64
    (tmp_path / "junk").write_bytes(b"junk" * 100)
    assert testvik.send([tmp_path / "junk"]) == 2
    assert testvik.send([], "--json") == 64
    demo = cast.Season(tmp_path, live.season.tpf_keys, Environment.DEMO)
    (other,) = cast.seal(demo, tmp_path / "demo.forsendelse", cast.sender_key(Environment.DEMO))
    assert testvik.send([*testvik.seal(), other]) == 64
    assert "send.environments" in capsys.readouterr().err
    testvik.sequence -= 1


@pytest.mark.parametrize("url", ["http://example.org", "ftp://127.0.0.1", "x"])
def test_nothing_is_sent_in_the_clear_over_a_network(testvik, url, capsys):
    assert testvik.send(testvik.seal(), url=url) == 64
    testvik.sequence -= 1
    assert "send.url" in capsys.readouterr().err
