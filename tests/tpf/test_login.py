"""The four-field login: one answer and the same work for any wrong field; strangers lock out strangers only."""

import pytest
import time_machine
from tests.tpf import season as cast

from ipis.kernel.demo import demo_orgnr, demo_pin
from ipis.kernel.errors import Misuse
from ipis.kernel.secret import Secret
from ipis.tpf import enrolment
from ipis.tpf.desk import desk
from ipis.tpf.models import Audit, LoginCount, SenderKey, Session, SpentNonce
from ipis.tpf.pin import PinHasher


@pytest.fixture
def comparisons(monkeypatch):
    """Count the comparisons of PINs, the costly part of a login."""
    done, real = [], PinHasher.fits

    def fits(self, kept, pin):
        done.append(kept is not None)
        return real(self, kept, pin)

    monkeypatch.setattr(PinHasher, "fits", fits)
    return done


WRONG = {
    "unknown municipality": {"kommune": "9999"},
    "not a municipality": {"kommune": "04030000"},
    "bydel": {"bydel": "01"},
    "orgnr": {"orgnr": "999999999"},
    "another's orgnr": {"orgnr": demo_orgnr(cast.NABO)},
    "pin": {"pin": "wrong"},
    "another's pin": {"pin": demo_pin(cast.NABO)},
    "empty pin": {"pin": ""},
    "letters that ASCII has not": {"pin": "æøå", "orgnr": "ÆØÅ"},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_any_wrong_field_gets_the_same_answer_for_the_same_work(testvik, comparisons, wrong):
    answer = testvik.try_login(**wrong)
    assert (answer.status_code, answer.json()["code"]) == (401, "tpf.login")
    assert answer.content == testvik.try_login(pin="wrong too").content
    assert len(comparisons) == 2


def test_the_right_fields_open_a_session_that_ends(testvik):
    testvik.log_in()
    assert Session.objects.get().token_hash != testvik.token
    assert testvik.get("/api/v1/forsendelser/" + "0" * 32).status_code == 404
    Session.objects.update(expires_at=cast.BEFORE)
    answer = testvik.get("/api/v1/forsendelser/" + "0" * 32)
    assert (answer.status_code, answer.json()["code"]) == (401, "tpf.session")


@pytest.mark.parametrize("token", ["", "Bearer", "Basic abc", "Bearer x"])
def test_without_a_session_nothing_is_told(testvik, token):
    answer = testvik.http.get("/api/v1/kvitteringer", headers={"Authorization": token})
    assert answer.json()["code"] == "tpf.session"


def test_a_pin_alone_shows_no_receipts(testvik, work):
    """The PIN never suffices: without the enrolled key a session reads nothing of what was sent."""
    testvik.log_in().upload(testvik.seal())
    work()
    assert len(testvik.get("/api/v1/kvitteringer").json()) == 3
    testvik.log_in(proof=False)
    answer = testvik.get("/api/v1/kvitteringer")
    assert (answer.status_code, answer.json()["code"]) == (403, "tpf.needs_key")


def test_another_sender_key_is_refused_until_staff_release_the_first(testvik, work):
    testvik.log_in().upload(testvik.seal())
    work()
    other = cast.sender_key()
    answer = testvik.try_login(key=other)
    assert (answer.status_code, answer.json()["code"]) == (403, "tpf.other_key")
    assert testvik.key.public.fingerprint in answer.json()["expected"]
    assert Audit.objects.filter(event="sender_key_refused").exists()
    released = enrolment.release_key(enrolment.Login(cast.TESTVIK, "00", cast.YEAR))
    assert released == testvik.key.public.fingerprint
    testvik.log_in(key=other).upload(testvik.seal(key=other, sequence=2))
    work()
    assert SenderKey.living(cast.TESTVIK, "00").fingerprint == other.public.fingerprint
    assert testvik.try_login().json()["code"] == "tpf.other_key"


def test_a_wrong_pin_hides_whether_the_key_is_the_enrolled_one(testvik, work):
    testvik.log_in().upload(testvik.seal())
    work()
    assert testvik.try_login(key=cast.sender_key(), pin="wrong").json()["code"] == "tpf.login"


def test_a_nonce_lets_in_once(testvik):
    nonce = testvik.post("/api/v1/innlogging/utfordring", {}).json()["nonce"]
    assert testvik.try_login(nonce=nonce).status_code == 200
    assert testvik.try_login(nonce=nonce).json()["code"] == "tpf.login"
    assert SpentNonce.objects.count() == 1


@pytest.mark.parametrize("nonce", ["x", "æ", "", "AAAA", "A" * 100])
def test_a_nonce_that_is_not_ours_proves_nothing(testvik, nonce):
    assert desk().nonce_expiry(nonce) is None


def test_an_old_nonce_proves_nothing(testvik):
    with time_machine.travel(0, tick=False):
        nonce = desk().new_nonce()
    assert desk().nonce_expiry(nonce) is None


@pytest.mark.parametrize("changes", [{"signature": "x"}, {"sender_key": "ssh-rsa AAAA"}, {"sender_key": "x"}])
def test_a_proof_that_fails_is_a_wrong_field(testvik, changes):
    nonce = desk().new_nonce()
    body = testvik.fields | {"sender_key": testvik.key.public.openssh, "nonce": nonce, "signature": "x"} | changes
    assert testvik.post("/api/v1/innlogging", body).json()["code"] == "tpf.login"


def test_strangers_are_locked_out_before_the_costly_comparison(testvik, comparisons):
    attempts = desk().settings.stranger_attempts
    for _ in range(attempts):
        assert testvik.try_login(proof=False, pin="wrong").status_code == 401
    answer = testvik.try_login(proof=False)
    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (429, "tpf.locked", True)
    assert int(answer.headers["Retry-After"]) == 15 * 60
    assert len(comparisons) == attempts


def test_an_unknown_municipality_is_locked_out_just_the_same(testvik):
    codes = [testvik.try_login(proof=False, kommune="9999").json()["code"] for _ in range(6)]
    assert codes == ["tpf.login"] * 5 + ["tpf.locked"]


def test_strangers_lock_out_strangers_only(testvik, nabo, work):
    """A known device is counted by itself: somebody else's wrong PINs never keep it out, nor the neighbour."""
    testvik.log_in().upload(testvik.seal())
    work()
    for _ in range(6):
        testvik.try_login(proof=False, pin="wrong")
        testvik.try_login(key=cast.sender_key(), pin="wrong")
    assert testvik.try_login(proof=False).json()["code"] == "tpf.locked"
    assert testvik.try_login().status_code == 200
    assert nabo.try_login().status_code == 200


def test_a_known_device_is_locked_out_by_its_own_failures(testvik, work):
    testvik.log_in().upload(testvik.seal())
    work()
    for _ in range(desk().settings.device_attempts):
        assert testvik.try_login(pin="wrong").json()["code"] == "tpf.login"
    assert testvik.try_login().json()["code"] == "tpf.locked"


def test_one_network_address_is_counted_over_all_municipalities(testvik):
    codes = {testvik.try_login(proof=False, kommune=f"{n:04}").json()["code"] for n in range(1000, 1060)}
    assert codes == {"tpf.login"}
    assert testvik.try_login(proof=False, kommune="8888").json()["code"] == "tpf.locked"


def test_a_lockout_ends_by_real_time_and_not_by_the_business_clock(testvik, clock):
    import datetime

    for _ in range(6):
        testvik.try_login(proof=False, pin="wrong")
    clock(cast.LATE)
    assert testvik.try_login(proof=False).json()["code"] == "tpf.locked"
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=16)
    with time_machine.travel(later):
        assert testvik.try_login(proof=False).status_code == 200


def test_a_right_login_clears_the_count(testvik):
    for _ in range(4):
        testvik.try_login(proof=False, pin="wrong")
    testvik.log_in(proof=False)
    for _ in range(4):
        assert testvik.try_login(proof=False, pin="wrong").json()["code"] == "tpf.login"


def test_what_is_counted_names_nobody(testvik):
    """A scope is a keyed hash: neither the municipality nor the network address can be read from the table."""
    testvik.try_login(proof=False, kommune="9999")
    scopes = set(LoginCount.objects.values_list("scope", flat=True))
    assert scopes == {desk().scope("stranger", "9999", "00"), desk().scope("address", "127.0.0.1")}
    assert all(len(scope) == 64 for scope in scopes)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"kommune": 403}', b'{"kommune": "0403"}', b"[" * 8_000, b'{"x": 1}', b"\xff"],
)
def test_a_body_that_does_not_fit_is_refused_without_repeating_it(testvik, body):
    answer = testvik.http.post("/api/v1/innlogging", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "tpf.body")


def test_methods_that_are_not_offered_are_refused(testvik):
    answer = testvik.http.get("/api/v1/innlogging")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_the_answer_speaks_the_language_asked_for(testvik):
    def told(language):
        return testvik.http.post(
            "/api/v1/innlogging", b"", content_type="application/json", headers={"Accept-Language": language}
        ).json()["found"]

    assert told("nb") != told("en")


def test_every_enrolment_counts_a_generation_whether_the_pin_is_new_or_not(testvik):
    """SSB counts the same way, and cannot compare PINs with TPF."""
    login = enrolment.Login(cast.TESTVIK, "00", cast.YEAR)
    facts = (demo_orgnr(cast.TESTVIK),)
    again = enrolment.enrol(login, *facts, Secret(demo_pin(cast.TESTVIK)), "a@b.no", desk().pins)
    renewed = enrolment.enrol(login, *facts, Secret("NEWPIN1234"), "a@b.no", desk().pins)
    assert (again, renewed) == (2, 3)
    assert testvik.try_login().json()["code"] == "tpf.login"
    assert testvik.try_login(pin="NEWPIN1234").status_code == 200


@pytest.mark.parametrize("generation", [1, 4])
def test_a_generation_that_is_not_above_the_newest_is_refused(testvik, generation):
    login = enrolment.Login(cast.TESTVIK, "00", cast.YEAR)
    words = (login, demo_orgnr(cast.TESTVIK), Secret("NEWPIN1234"), "a@b.no", desk().pins)
    assert enrolment.enrol(*words, generation=4) == 4
    with pytest.raises(Misuse) as error:
        enrolment.enrol(*words, generation=generation)
    assert (error.value.code, error.value.params["newest"]) == ("tpf.generation", 4)


def test_the_generation_of_the_pin_that_logged_in_stands_in_r1(testvik, work):
    from ipis.tpf.models import Forsendelse

    login = enrolment.Login(cast.TESTVIK, "00", cast.YEAR)
    enrolment.enrol(login, demo_orgnr(cast.TESTVIK), Secret("NEWPIN1234"), "a@b.no", desk().pins)
    testvik.log_in(pin="NEWPIN1234").upload(testvik.seal())
    work("receive")
    r1 = Forsendelse.objects.get().receipts.get(kind="R1").signed.receipt
    assert r1.details["pin_generation"] == 2


def test_pins_are_kept_as_argon2id_over_a_peppered_value():
    """Another pepper, another answer: a stolen database cannot be searched without the pepper's file."""
    pin = Secret("ABCDEFGH23456789")
    kept = PinHasher(b"p" * 32).hash(pin)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert PinHasher(b"p" * 32).fits(kept, pin)
    assert not PinHasher(b"q" * 32).fits(kept, pin)
    assert not PinHasher(b"p" * 32).fits("not a hash", pin)
    assert "PIN" not in repr(PinHasher(b"p" * 32)).upper().replace("PINHASHER", "")


def _request(peer, forwarded=None):
    from django.test import RequestFactory

    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return RequestFactory(REMOTE_ADDR=peer).post("/", headers=headers)


@pytest.mark.parametrize(
    ("environment", "proxies", "peer", "forwarded", "counted"),
    [
        ("production", "10.0.0.5", "10.0.0.5", "192.0.2.1, 198.51.100.7", "198.51.100.7"),
        ("production", "10.0.0.0/24, ::1", "::1", " 198.51.100.7 ", "198.51.100.7"),
        ("production", "10.0.0.5", "::ffff:10.0.0.5", "::ffff:198.51.100.7", "198.51.100.7"),
        ("production", "10.0.0.5", "10.0.0.5", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("production", "10.0.0.5", "10.0.0.5", "198.51.100.7, unknown", ""),
        ("production", "10.0.0.5", "10.0.0.5", None, ""),
        ("production", "10.0.0.5", "203.0.113.9", "198.51.100.7", "203.0.113.9"),
        ("production", "10.0.0.5", "127.0.0.1", "198.51.100.7", ""),
        ("production", "", "203.0.113.9", "198.51.100.7", ""),
        ("test", "", "203.0.113.9", "198.51.100.7", "203.0.113.9"),
        ("test", "", "127.0.0.1", "198.51.100.7", "127.0.0.1"),
        ("test", "", "", None, ""),
    ],
)
def test_the_address_that_counts_is_told_by_a_trusted_proxy_or_is_the_peers(
    room, environment, proxies, peer, forwarded, counted
):
    """Behind a TLS server all share its address; only what a named proxy says of the last hop is believed."""
    from ipis.kernel.environment import Environment
    from ipis.tpf.settings import TpfSettings
    from ipis.tpf.web.edge import client_address

    read = TpfSettings.model_validate(room.model_dump() | {"trusted_proxies": proxies})
    settings = read.model_copy(update={"environment": Environment(environment)})
    assert client_address(_request(peer, forwarded), settings) == counted


@pytest.fixture
def no_address(monkeypatch):
    """Have nothing to tell strangers' addresses by."""
    for place in ("api", "pages"):
        monkeypatch.setattr(f"ipis.tpf.web.{place}.client_address", lambda *_: "")


def test_without_an_address_municipalities_are_still_counted_one_by_one(testvik, no_address):
    codes = {testvik.try_login(proof=False, kommune=f"{n:04}").json()["code"] for n in range(1000, 1062)}
    assert codes == {"tpf.login"}
    for _ in range(5):
        testvik.try_login(proof=False, pin="wrong")
    assert testvik.try_login(proof=False).json()["code"] == "tpf.locked"


def test_right_logins_from_one_address_never_lock_it(testvik):
    """All municipalities behind one address may come on the same day; wrong attempts still count to the limit."""
    for n in range(1000, 1059):
        testvik.try_login(proof=False, kommune=f"{n:04}")
    assert [testvik.try_login(proof=False).status_code for _ in range(3)] == [200] * 3
    assert testvik.try_login(proof=False, kommune="1060").json()["code"] == "tpf.login"
    assert testvik.try_login(proof=False, kommune="8888").json()["code"] == "tpf.locked"


def test_a_locked_address_leaves_no_rows(testvik):
    for n in range(1000, 1060):
        testvik.try_login(proof=False, kommune=f"{n:04}")
    before = LoginCount.objects.count()
    assert testvik.try_login(proof=False, kommune="8888").json()["code"] == "tpf.locked"
    assert LoginCount.objects.count() == before


def _renew(pin):
    login = enrolment.Login(cast.TESTVIK, "00", cast.YEAR)
    return enrolment.enrol(login, demo_orgnr(cast.TESTVIK), Secret(pin), "a@b.no", desk().pins)


def test_a_new_enrolment_ends_the_sessions_of_the_old_pin(testvik, nabo):
    testvik.log_in()
    nabo.log_in()
    _renew("NEWPIN1234")
    answer = testvik.get("/api/v1/forsendelser/" + "0" * 32)
    assert (answer.status_code, answer.json()["code"]) == (401, "tpf.session")
    assert nabo.get("/api/v1/forsendelser/" + "0" * 32).status_code == 404


def test_releasing_a_key_ends_the_sessions_it_opened(testvik, nabo, work):
    testvik.log_in().upload(testvik.seal())
    work()
    nabo.log_in()
    enrolment.release_key(enrolment.Login(cast.TESTVIK, "00", cast.YEAR))
    assert testvik.get("/api/v1/kvitteringer").json()["code"] == "tpf.session"
    assert nabo.get("/api/v1/forsendelser/" + "0" * 32).status_code == 404


@pytest.mark.parametrize("announced_again", [True, False])
def test_a_resumed_upload_carries_the_generation_of_the_login_that_resumed_it(testvik, work, announced_again):
    """SSB closes the feedback with the PIN that R1 names: the one that was shown at this submission."""
    from ipis.tpf.models import Forsendelse

    path = testvik.seal()
    content = path.read_bytes()
    place = testvik.log_in().begin(path).headers["Location"]
    testvik.patch(place, 0, content[:1000])
    _renew("NEWPIN1234")
    testvik.log_in(pin="NEWPIN1234")
    if announced_again:
        assert testvik.begin(path).headers["Location"] == place
    assert testvik.patch(place, 1000, content[1000:]).status_code == 204
    work("receive")
    assert Forsendelse.objects.get().receipts.get(kind="R1").signed.receipt.details["pin_generation"] == 2


def _warnings():
    from ipis.tpf.models import Outbox

    return Outbox.objects.filter(purpose__startswith="foreign-key-")


def test_a_right_pin_with_a_foreign_key_is_told_to_the_registered_address_once_a_day(testvik, work, clock):
    """It is the sign of a stolen PIN; a wrong PIN tells nothing, so strangers cannot send mails through us."""
    import datetime

    testvik.log_in().upload(testvik.seal())
    work()
    other, third = cast.sender_key(), cast.sender_key()
    testvik.try_login(key=other, pin="wrong")
    assert not _warnings().exists()
    for key in (other, other, third):
        assert testvik.try_login(key=key).json()["code"] == "tpf.other_key"
    assert _warnings().count() == 2
    mail = _warnings().first()
    assert mail.recipient == "postmottak@k0403.kommune.test"
    assert other.public.fingerprint in mail.body
    assert testvik.key.public.fingerprint not in mail.body
    assert demo_pin(cast.TESTVIK) not in mail.body
    LoginCount.objects.all().delete()
    clock(cast.IN_WINDOW + datetime.timedelta(days=1))
    testvik.try_login(key=other)
    assert _warnings().count() == 3


def test_a_foreign_signature_behind_a_pin_without_key_is_told_too(testvik, work):
    testvik.log_in().upload(testvik.seal())
    work()
    other = cast.sender_key()
    testvik.log_in(proof=False)
    for sequence in (2, 3):
        answer = testvik.announce(testvik.seal(key=other, sequence=sequence))
        assert (answer.status_code, answer.json()["code"]) == (403, "tpf.other_key")
    assert _warnings().count() == 1
    assert Audit.objects.filter(event="sender_key_refused").count() == 2


@pytest.mark.parametrize("place", ["/api/v1/innlogging", "/", "/logg-ut"])
def test_nobody_has_a_long_body_read_before_a_login(testvik, place, monkeypatch):
    """Neither kept in memory nor staged on disk: the length alone is looked at."""
    from django.core.handlers.wsgi import WSGIRequest

    def read(*_):
        raise AssertionError("the body was read")

    monkeypatch.setattr(WSGIRequest, "read", read)
    monkeypatch.setattr(WSGIRequest, "_load_post_and_files", read)
    kind = "application/json" if "api" in place else "multipart/form-data; boundary=x"
    answer = testvik.http.generic("POST", place, b"x" * 9000, content_type=kind)
    assert (answer.status_code, b"tpf.body_large" in answer.content) == (413, True)


def test_ssbs_receipts_are_read_to_their_own_bound(testvik):
    answer = testvik.http.post("/api/v1/kvitteringer", b"x" * (300 << 10), content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (413, "tpf.body_large")
