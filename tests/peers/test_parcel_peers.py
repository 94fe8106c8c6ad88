"""The municipality's and the auditor's own tools open and verify what we make: unzip, age and ssh-keygen. None may be missing."""

import subprocess
import zipfile
from pathlib import Path

import pytest
from tests.vectors import parcel_vectors as published

from ipis.kernel import sealed
from ipis.kernel.environment import Environment
from ipis.kernel.errors import IpisError
from ipis.kernel.receipt import SignedReceipt
from ipis.kernel.signature import NAMESPACES, SigningKey, verify


def run(*command, data=b"", ok=True):
    """Run a peer; a missing one fails the test."""
    done = subprocess.run([str(each) for each in command], input=data, capture_output=True, check=False)
    assert (done.returncode == 0) is ok, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.fixture
def unpacked(tmp_path):
    """The sample as unzip gives it."""
    run("unzip", "-q", published.SAMPLE, "-d", tmp_path / "parcel")
    return tmp_path / "parcel"


@pytest.fixture
def signers(tmp_path):
    path = tmp_path / "allowed_signers"
    path.write_text(published.vectors()["allowed_signers"])
    return path


def key_file(folder: Path, role: str) -> Path:
    path = folder / f"{role}.key"
    published.identity(role).save(path)
    return path


def ssh_verify(signers, principal, namespace, signature, data, *, ok=True):
    return run(
        "ssh-keygen", "-Y", "verify", "-f", signers, "-I", principal, "-n", namespace, "-s", signature, data=data, ok=ok
    )


def test_unzip_lists_tests_and_extracts_the_container(unpacked):
    names = ["identity-0001.age", "data-0001.age", "contact.age", "manifest.json", "manifest.json.sig"]
    assert run("unzip", "-Z1", published.SAMPLE).decode().split() == names
    assert b"No errors detected" in run("unzip", "-t", published.SAMPLE)
    assert sorted(path.name for path in unpacked.iterdir()) == sorted(names)
    assert b"Everything is Ok" in run("7z", "t", published.SAMPLE)


def test_age_opens_each_part_with_its_key_and_no_other(unpacked, tmp_path):
    for part, role in (("identity-0001.age", "tpf"), ("data-0001.age", "ssb"), ("contact.age", "feedback")):
        run("age", "-d", "-i", key_file(tmp_path, role), "-o", tmp_path / f"{role}.zip", unpacked / part)
        with zipfile.ZipFile(tmp_path / f"{role}.zip") as clear:
            assert clear.namelist()[0] == "header.json"
            assert clear.namelist()[-1] == "padding"
            assert clear.testzip() is None
    run("age", "-d", "-i", tmp_path / "tpf.key", "-o", tmp_path / "x", unpacked / "data-0001.age", ok=False)


def test_what_age_has_sealed_we_open(tmp_path):
    key = published.identity("ssb")
    for size in (0, 200_000):
        whole = run("age", "-r", key.recipient.text, data=bytes(size))
        assert sealed.open_bytes(whole, key, part="p") == bytes(size)


def test_what_age_has_sealed_to_two_or_armored_we_refuse():
    first, second = published.identity("ssb").recipient.text, published.identity("tpf").recipient.text
    for whole in (run("age", "-r", first, "-r", second, data=b"x"), run("age", "-a", "-r", first, data=b"x")):
        with pytest.raises(IpisError):
            sealed.open_bytes(whole, published.identity("ssb"), part="p")


def test_ssh_keygen_accepts_the_manifest_and_refuses_another_namespace_sender_or_content(unpacked, signers):
    data, signature = (unpacked / "manifest.json").read_bytes(), unpacked / "manifest.json.sig"
    ssh_verify(signers, "kommune-0403-00", "ipis-manifest@v1", signature, data)
    ssh_verify(signers, "kommune-0403-00", "ipis-receipt@v1", signature, data, ok=False)
    ssh_verify(signers, "kommune-0403-00", "ipis-login@v1", signature, data, ok=False)
    ssh_verify(signers, "tpf", "ipis-manifest@v1", signature, data, ok=False)
    ssh_verify(signers, "kommune-0403-00", "ipis-manifest@v1", signature, data + b" ", ok=False)


def test_ssh_keygen_accepts_a_receipt_and_refuses_another_namespace(signers, tmp_path):
    vectors = published.vectors()
    signed = SignedReceipt(vectors["receipt"].encode(), vectors["receipt_signature"].encode())
    signature = tmp_path / "R1.json.sig"
    signature.write_bytes(signed.signature)
    ssh_verify(signers, "tpf", "ipis-receipt@v1", signature, signed.data)
    ssh_verify(signers, "tpf", "ipis-manifest@v1", signature, signed.data, ok=False)
    ssh_verify(signers, "kommune-0403-00", "ipis-receipt@v1", signature, signed.data, ok=False)


@pytest.mark.parametrize("role", sorted(NAMESPACES))
def test_ssh_keygen_reads_our_key_files_and_we_verify_its_signatures(tmp_path, role):
    """The offline root may sign a season pack with ssh-keygen alone."""
    key = SigningKey.generate(role, Environment.TEST)
    key.save(tmp_path / "key")
    (tmp_path / "data").write_bytes(b"content")
    assert key.public.fingerprint.encode() in run("ssh-keygen", "-l", "-f", tmp_path / "key")
    assert run("ssh-keygen", "-y", "-f", tmp_path / "key").decode().startswith(key.public.openssh)
    namespace = NAMESPACES[role][0]
    run("ssh-keygen", "-Y", "sign", "-f", tmp_path / "key", "-n", namespace, tmp_path / "data")
    armored = (tmp_path / "data.sig").read_bytes()
    assert verify(b"content", armored, namespace, [key.public]) == key.public
    assert armored == key.sign(b"content", namespace)


def test_a_key_that_ssh_keygen_made_is_loaded_when_its_comment_tells_the_role(tmp_path):
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ipis role=root environment=test", "-f", tmp_path / "root")
    key = SigningKey.load(tmp_path / "root", "root", Environment.TEST)
    assert (tmp_path / "root.pub").read_text().startswith(key.public.openssh)
    run(
        "ssh-keygen",
        "-q",
        "-t",
        "ed25519",
        "-N",
        "hemmelig",
        "-C",
        "ipis role=root environment=test",
        "-f",
        tmp_path / "locked",
    )
    with pytest.raises(IpisError) as caught:
        SigningKey.load(tmp_path / "locked", "root")
    assert caught.value.code == "signature.key_form"


def test_the_sealed_sample_is_not_larger_than_age_makes_it(unpacked, tmp_path):
    """Same chunks, same tags: our sealing adds nothing of its own but grease in the header."""
    run("age", "-d", "-i", key_file(tmp_path, "ssb"), "-o", tmp_path / "clear", unpacked / "data-0001.age")
    theirs = run("age", "-r", published.identity("ssb").recipient.text, tmp_path / "clear")
    assert abs((unpacked / "data-0001.age").stat().st_size - len(theirs)) < 600
