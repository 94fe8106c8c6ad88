"""The room as its operators meet it: settings that refuse, verbs, keys with roles, mails that wait for the relay."""

import json
import smtplib

import pytest
from pydantic import ValidationError
from tests.tpf import season as cast

from ipis.kernel.errors import Misuse, OurFault
from ipis.kernel.secret import Secret
from ipis.tpf import cli, enrolment
from ipis.tpf.bench import Bench, make_keys
from ipis.tpf.desk import Secrets, desk
from ipis.tpf.models import Audit, Enrolment, Outbox
from ipis.tpf.settings import TpfSettings
from ipis.tpf.worker import deliver_mail

ROOT = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ/5l+bSjZzGvZ5TqB1yR9mWqk0Q0Q0Q0Q0Q0Q0Q0Q0Q"


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"ssb_url": "http://ssb.example"}, "ssb_url"),
        ({"ssb_url": "ftp://127.0.0.1"}, "ssb_url"),
        ({"environment": "production", "ssb_url": "https://ssb.example"}, "trusted_root"),
        ({"environment": "production", "ssb_url": "http://127.0.0.1", "trusted_root": ROOT}, "ssb_url"),
        (
            {"environment": "production", "ssb_url": "https://x", "trusted_root": ROOT, "fault_point": "x"},
            "fault_point",
        ),
        ({"environment": "production", "ssb_url": "https://x", "trusted_root": ROOT, "clock": "c"}, "clock"),
        ({"ssb_url": "http://localhost.evil.example"}, "ssb_url"),
        ({"ssb_url": "http://127.0.0.1.evil.example"}, "ssb_url"),
        ({"ssb_url": "http://127.0.0.1@evil.example"}, "ssb_url"),
        (
            {"environment": "production", "ssb_url": "https://x", "trusted_root": ROOT, "public_url": "http://x"},
            "public_url",
        ),
        ({"trusted_proxies": ["proxy.example"]}, "trusted_proxies"),
        ({"unknown": 1}, "unknown"),
        ({"max_upload_bytes": 0}, "max_upload_bytes"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(values, key):
    base = {"environment": "demo", "data": "x", "public_url": "http://x", "ssb_url": "http://127.0.0.1:1"}
    with pytest.raises(ValidationError, match=key):
        TpfSettings.model_validate(base | values)


def test_keys_carry_their_role_and_stand_when_made_again(room):
    before = {path.name: path.read_bytes() for path in room.worker_keys.iterdir()}
    make_keys(room)
    Secrets.make(room.web_secrets)
    assert {path.name: path.read_bytes() for path in room.worker_keys.iterdir()} == before
    listed = json.loads((room.data / "public" / "keys.json").read_text())
    assert [(key["role"], key["kind"]) for key in listed] == [
        ("tpf", "age"), ("tpf-receipt", "ssh-ed25519"), ("tpf-forward", "ssh-ed25519"),
    ]  # fmt: skip


def test_a_worker_handed_a_key_of_another_role_refuses_to_start(room):
    receipt, forward = (room.worker_keys / name for name in ("tpf-receipt", "tpf-forward"))
    own = receipt.read_bytes()
    try:
        receipt.write_bytes(forward.read_bytes())
        with pytest.raises(Misuse) as error:
            Bench.open(room)
    finally:
        receipt.write_bytes(own)
    assert error.value.code == "signature.key_role"


def test_a_room_that_is_not_initialised_says_so(tmp_path, room):
    empty = room.model_copy(update={"data": tmp_path})
    for start in (lambda: Bench.open(empty), lambda: Secrets.load(empty.web_secrets)):
        with pytest.raises(Misuse) as error:
            start()
        assert error.value.code == "tpf.not_initialised"


def test_secrets_show_nothing(room):
    assert repr(Secrets.load(room.web_secrets)) == "<Secrets>"
    assert repr(Bench.open(room).receipts) == "<ReceiptSigner>"


LOGIN = enrolment.Login(cast.TESTVIK, "00", cast.YEAR)


@pytest.mark.parametrize(
    ("login", "orgnr", "pin", "address", "code"),
    [
        (enrolment.Login("403", "00", cast.YEAR), "970540008", "ABCD", "a@b.no", "tpf.enrol_form"),
        (enrolment.Login("0403", "0", cast.YEAR), "970540008", "ABCD", "a@b.no", "tpf.enrol_form"),
        (LOGIN, "97054000x", "ABCD", "a@b.no", "tpf.enrol_form"),
        (LOGIN, "970540008", "ABCD", "nobody", "tpf.enrol_form"),
        (LOGIN, "970540008", "ABC", "a@b.no", "tpf.pin_form"),
        (LOGIN, "970540008", "AB\nCD", "a@b.no", "tpf.pin_form"),
    ],
)
def test_an_enrolment_that_does_not_fit_is_refused(transactional_db, fast_pins, login, orgnr, pin, address, code):
    with pytest.raises(Misuse) as error:
        enrolment.enrol(login, orgnr, Secret(pin), address, desk().pins)
    assert error.value.code == code
    assert Enrolment.objects.count() == 0


@pytest.fixture
def settings_file(room, tmp_path, monkeypatch):
    """A settings file for the verbs, which are run in this process: Django is configured already."""
    monkeypatch.setattr(cli, "_configure", lambda _: room)
    return tmp_path / "tpf.toml"


def test_the_verbs_enrol_and_release(testvik, work, settings_file, tmp_path, capsys, monkeypatch):
    pin = tmp_path / "pin"
    pin.write_text("ABCDEFGH\r\n")
    words = {"settings": settings_file, "kommune": cast.TESTVIK, "bydel": "00", "year": cast.YEAR}
    cli.enrol(**words, orgnr="970540008", pin_file=pin, address="a@b.no")
    assert "PIN generation 2" in capsys.readouterr().out
    pin.write_text("ABCDEFGH")
    cli.enrol(**words, orgnr="970540008", pin_file=pin, address="a@b.no")
    assert "PIN generation 3" in capsys.readouterr().out
    cli.enrol(**words, orgnr="970540008", pin_file=pin, address="a@b.no", generation=7)
    assert "PIN generation 7" in capsys.readouterr().out
    testvik.log_in(orgnr="970540008", pin="ABCDEFGH").upload(testvik.seal(orgnr="970540008"))
    monkeypatch.setattr("ipis.tpf.quota.allowance", lambda *_: 1)
    work()
    cli.enrol(**words, release_key=True, release_held=True)
    told = capsys.readouterr().out
    assert testvik.key.public.fingerprint in told
    assert "released: " in told
    cli.audit(settings_file)
    assert "whole" in capsys.readouterr().out


def test_an_enrolment_needs_all_options_and_a_readable_pin(settings_file, tmp_path):
    words = {"settings": settings_file, "kommune": cast.TESTVIK, "bydel": "00", "year": cast.YEAR}
    with pytest.raises(Misuse) as error:
        cli.enrol(**words)
    assert error.value.code == "tpf.enrol_options"
    with pytest.raises(Misuse) as error:
        cli.enrol(**words, orgnr="970540008", pin_file=tmp_path / "none", address="a@b.no")
    assert error.value.code == "tpf.pin_file"


def test_a_broken_audit_chain_is_our_fault_and_named(testvik, settings_file):
    Audit.objects.filter(event="enrolled").update(details="{}")
    with pytest.raises(OurFault) as error:
        cli.audit(settings_file)
    assert error.value.code == "tpf.audit_broken"


def test_mails_leave_when_the_relay_answers(testvik, work, bench, monkeypatch):
    testvik.log_in().upload(testvik.seal())
    work()
    deliver_mail(bench)
    assert Outbox.objects.get().sent_at is None
    sent = []
    monkeypatch.setattr(smtplib, "SMTP", lambda *_, **__: _Relay(sent))
    Outbox.objects.update(next_try_at=None)
    deliver_mail(bench)
    deliver_mail(bench)
    assert [message["To"] for message in sent] == ["postmottak@k0403.kommune.test"]
    assert "avsendernøkkel" in sent[0]["Subject"]


class _Relay:
    def __init__(self, sent):
        self._sent = sent

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Close."""

    def send_message(self, message):
        self._sent.append(message)


def test_steps_that_were_done_already_do_nothing(testvik, work, bench):
    """Each step run again after its forsendelse has gone on finishes without another effect."""
    from ipis.tpf.models import Job, ReceiptRow

    testvik.log_in().upload(testvik.seal())
    work()
    for job in Job.objects.all():
        Job.again(job.kind, job.subject)
    work()
    assert ReceiptRow.objects.count() == 3
    assert set(Job.objects.values_list("state", flat=True)) == {"done"}


def test_a_fault_of_ours_is_tried_again_and_refuses_nobody(testvik, work, monkeypatch):
    from ipis.tpf import accept
    from ipis.tpf.models import Job

    def fault(*_, **__):
        raise OurFault("tpf.audit_broken", event=0)

    place = testvik.log_in().upload(testvik.seal())
    with monkeypatch.context() as patch:
        patch.setattr(accept, "read", fault)
        work()
    assert Job.objects.get().state == "queued"
    work()
    assert testvik.get(place).json()["state"] == "done"
