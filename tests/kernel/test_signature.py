"""SSHSIG: what is signed verifies for that key, content and namespace, and for nothing else."""

import base64
import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipis.kernel import signature
from ipis.kernel.environment import Environment
from ipis.kernel.errors import IpisError
from ipis.kernel.signature import PublicKey, SigningKey, allowed_signers, signer_of, verify

NAMESPACE = "ipis-manifest@v1"


@pytest.fixture(scope="module")
def key():
    return SigningKey.from_seed(bytes(range(32)), "sender", Environment.DEMO)


def code_of(call, *args, **kwargs):
    with pytest.raises(IpisError) as caught:
        call(*args, **kwargs)
    assert caught.value.render("nb").expected != "a text for this code in the catalogue"
    return caught.value.code


@given(data=st.binary(max_size=2000))
def test_every_content_verifies_with_its_own_signature(data):
    key = SigningKey.from_seed(bytes(32), "sender", Environment.DEMO)
    armored = key.sign(data, NAMESPACE)
    assert verify(data, armored, NAMESPACE, [key.public]) == key.public == signer_of(armored)


def test_another_content_namespace_or_key_is_refused_each_with_its_own_code(key):
    armored = key.sign(b"content", NAMESPACE)
    other = SigningKey.generate("sender", Environment.DEMO)
    assert code_of(verify, b"Content", armored, NAMESPACE, [key.public]) == "signature.wrong"
    assert code_of(verify, b"content", armored, "ipis-login@v1", [key.public]) == "signature.namespace"
    assert code_of(verify, b"content", armored, NAMESPACE, [other.public]) == "signature.other_key"
    assert code_of(verify, b"content", armored, NAMESPACE, []) == "signature.other_key"


def test_every_flipped_bit_of_a_signature_is_refused(key):
    """No byte of the armored form is without meaning: each change breaks form, key, namespace or signature."""
    armored = key.sign(b"content", NAMESPACE)
    for at in range(len(armored) - 1):
        for bit in (1, 32):
            changed = bytearray(armored)
            changed[at] ^= bit
            if bytes(changed).rstrip(b"\n") == armored.rstrip(b"\n"):
                continue
            with pytest.raises(IpisError):
                verify(b"content", bytes(changed), NAMESPACE, [key.public])


@pytest.mark.parametrize(
    "armored",
    [
        b"",
        b"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
        b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n",
        b"-----BEGIN SSH SIGNATURE-----\n"
        + base64.b64encode(b"SSHSIG\0\0\0\2" + bytes(40))
        + b"\n-----END SSH SIGNATURE-----\n",
        b"-----BEGIN SSH SIGNATURE-----\n"
        + base64.b64encode(b"SSHSIG\0\0\0\1\xff\xff\xff\xff")
        + b"\n-----END SSH SIGNATURE-----\n",
        b"x" * 5000,
    ],
)
def test_what_is_no_signature_is_refused(armored, key):
    assert code_of(verify, b"", armored, NAMESPACE, [key.public]) == "signature.form"


def test_a_role_signs_only_in_its_own_namespaces():
    """The table of roles and namespaces is complete: each role signs in its own, and in no other."""
    every = {namespace for own in signature.NAMESPACES.values() for namespace in own}
    for role, own in signature.NAMESPACES.items():
        key = SigningKey.generate(role, Environment.TEST)
        for namespace in every:
            if namespace in own:
                verify(b"x", key.sign(b"x", namespace), namespace, [key.public])
            else:
                assert code_of(key.sign, b"x", namespace) == "signature.namespace_of_role"


def test_a_key_file_carries_its_role_and_environment(tmp_path):
    path = tmp_path / "receipt.key"
    key = SigningKey.generate("tpf-receipt", Environment.TEST)
    key.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(path, "tpf-receipt", Environment.TEST).public == key.public
    assert code_of(SigningKey.load, path, "ssb-receipt") == "signature.key_role"
    assert code_of(SigningKey.load, path, "tpf-receipt", Environment.PRODUCTION) == "signature.key_environment"
    with pytest.raises(FileExistsError):
        key.save(path)


def test_a_key_file_that_is_not_right_is_refused(tmp_path):
    path = tmp_path / "sender.key"
    assert code_of(SigningKey.load, path, "sender") == "signature.key_missing"
    SigningKey.generate("sender", Environment.DEMO).save(path)
    path.chmod(0o640)
    assert code_of(SigningKey.load, path, "sender") == "signature.key_readable"
    path.chmod(0o600)
    text = path.read_text()
    for broken in (
        "",
        text.replace("OPENSSH", "RSA"),
        text[: len(text) // 2],
        text.replace("b3Blbn", "AAAAAA"),
        text.replace("\n", "\n!", 2),
    ):
        path.write_text(broken)
        assert code_of(SigningKey.load, path, "sender") == "signature.key_form"


def test_a_key_of_somebody_elses_making_is_refused_by_its_comment(tmp_path):
    key = SigningKey.generate("sender", Environment.DEMO)
    key.role = "sender and more"
    key.save(tmp_path / "k")
    assert code_of(SigningKey.load, tmp_path / "k", "sender") == "signature.key_comment"


def test_a_signing_key_shows_and_carries_nothing(key):
    seed = key._private.private_bytes_raw()
    assert seed.hex() not in repr(key)
    assert repr(key) == "<SigningKey sender demo>"
    for carry in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            carry(key)


def test_test_seeds_and_unknown_roles_are_refused():
    assert code_of(SigningKey.from_seed, bytes(32), "sender", Environment.PRODUCTION) == "signature.seed_in_production"
    assert code_of(SigningKey.generate, "mayor", Environment.DEMO) == "signature.unknown_role"


@pytest.mark.parametrize(
    "text",
    ["", "ssh-rsa AAAA", "ssh-ed25519 !!", "ssh-ed25519 AAAA", "ssh-ed25519 " + base64.b64encode(bytes(60)).decode()],
)
def test_what_is_no_public_key_is_refused(text):
    assert code_of(PublicKey.parse, text) == "signature.public_key"


def test_a_public_key_reads_back_with_or_without_comment(key):
    assert PublicKey.parse(key.public.openssh) == key.public
    assert PublicKey.parse(key.public.openssh + " somebody") == key.public
    assert key.public.fingerprint.startswith("SHA256:")
    assert (
        allowed_signers([("tpf", "tpf-receipt", key.public)])
        == f'tpf namespaces="ipis-receipt@v1" {key.public.openssh}\n'
    )
