"""age: strict headers, role-bound keys, nothing left of what did not verify, flat memory."""

import io
import os
import pickle
import resource

import pyrage
import pytest

from ipis.kernel import sealed
from ipis.kernel.environment import Environment
from ipis.kernel.errors import IpisError, ParcelRefused
from ipis.kernel.sealed import (
    Identity,
    Recipient,
    check_header,
    load_identity,
    open_bytes,
    open_to_file,
    seal_bytes,
    seal_stream,
)

MIB = 1 << 20


@pytest.fixture(scope="module")
def identity():
    return Identity.generate("ssb", Environment.DEMO)


def code_of(call, *args, **kwargs):
    with pytest.raises(IpisError) as caught:
        call(*args, **kwargs)
    assert caught.value.render("nn").expected != "a text for this code in the catalogue"
    return caught.value.code


def open_file(tmp_path, content, identity):
    path = tmp_path / "part.age"
    path.write_bytes(content)
    staged = tmp_path / "clear"
    try:
        return open_to_file(path, identity, staged, part="data-0001.age").read_bytes()
    finally:
        staged.unlink(missing_ok=True)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 3 * MIB])
def test_what_is_sealed_opens_again_in_memory_and_to_a_file(tmp_path, identity, size):
    content = os.urandom(size)
    writer = io.BytesIO()
    seal_stream(io.BytesIO(content), writer, identity.recipient)
    for whole in (writer.getvalue(), seal_bytes(content, identity.recipient)):
        assert check_header(whole[:1024]) < 1024
        assert open_bytes(whole, identity, part="p") == content
        assert open_file(tmp_path, whole, identity) == content


def places(whole):
    """A byte in the header, first, middle and last chunk and the trailer (the last chunk's tag)."""
    header = check_header(whole[:1024])
    return {
        "header": header - 10,
        "nonce": header + 3,
        "first": header + 20,
        "middle": len(whole) // 2,
        "last": len(whole) - 20,
        "trailer": len(whole) - 1,
    }


@pytest.mark.parametrize("place", ["header", "nonce", "first", "middle", "last", "trailer"])
def test_a_flipped_bit_is_refused_and_leaves_no_file(tmp_path, identity, place):
    whole = bytearray(seal_bytes(os.urandom(300_000), identity.recipient))
    whole[places(bytes(whole))[place]] ^= 1
    assert code_of(open_bytes, bytes(whole), identity, part="p") in {"parcel.sealed_damaged", "parcel.age_header"}
    assert code_of(open_file, tmp_path, bytes(whole), identity) in {"parcel.sealed_damaged", "parcel.age_header"}
    assert [path.name for path in tmp_path.iterdir()] == ["part.age"]


def test_a_part_cut_at_a_chunk_border_is_refused(tmp_path, identity):
    """The last chunk is marked as last: without it the cut would be seen by nobody."""
    whole = seal_bytes(os.urandom(300_000), identity.recipient)
    start = check_header(whole[:1024]) + 16
    for chunks in (0, 1, 2, 4):
        cut = whole[: start + chunks * (65_536 + 16)]
        assert code_of(open_bytes, cut, identity, part="p") == "parcel.sealed_damaged"
        assert code_of(open_file, tmp_path, cut, identity) == "parcel.sealed_damaged"
    assert code_of(open_bytes, whole + b"x", identity, part="p") == "parcel.sealed_damaged"


def test_a_part_for_another_key_says_so(tmp_path, identity):
    other = Identity.generate("ssb", Environment.DEMO)
    with pytest.raises(ParcelRefused) as caught:
        open_bytes(seal_bytes(b"x", other.recipient), identity, part="data-0001.age")
    assert (caught.value.code, caught.value.rule) == ("parcel.sealed_for_another", "K001")


def test_a_second_recipient_is_refused_before_the_parser_sees_it(identity):
    other = Identity.generate("ssb", Environment.DEMO)
    whole = bytes(pyrage.encrypt(b"x", [identity.recipient.key, other.recipient.key]))
    assert code_of(open_bytes, whole, identity, part="p") == "parcel.age_recipients"


def test_a_part_for_a_passphrase_is_refused(identity):
    assert (
        code_of(open_bytes, bytes(pyrage.passphrase.encrypt(b"x", "hemmelig")), identity, part="p")
        == "parcel.age_recipients"
    )


@pytest.mark.parametrize(
    "stanza", [b"-> X25519 aaaa\nAAAA\n", b"-> x-grease a\nAAAA\n", b"-> b a\n" + b"A" * 64 + b"\n\n"]
)
def test_ten_thousand_stanzas_are_refused_at_once(identity, stanza):
    whole = b"age-encryption.org/v1\n" + stanza * 10_000 + b"--- " + b"A" * 43 + b"\n"
    assert code_of(open_bytes, whole, identity, part="p") == "parcel.age_header"


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"age-encryption.org/v2\n-> X25519 a\nAAAA\n--- " + b"A" * 43 + b"\n",
        b"age-encryption.org/v1\n--- " + b"A" * 42 + b"\n",
        b"age-encryption.org/v1\n-> X25519 a\n!!!!\n--- " + b"A" * 43 + b"\n",
        b"-----BEGIN AGE ENCRYPTED FILE-----\n",
    ],
)
def test_what_is_no_header_is_refused(header):
    assert code_of(check_header, header) == "parcel.age_header"


@pytest.mark.parametrize(
    "stanzas",
    [
        b"",
        b"-> a-grease x\n\n",
        b"-> X25519 a\nAAAA\n-> a-grease\n\n-> b-grease\n\n",
        b"-> X25519 a\nAAAA\n-> scrypt a\n\n",
    ],
)
def test_a_header_that_is_not_one_recipient_and_at_most_one_grease_is_refused(stanzas):
    assert (
        code_of(check_header, b"age-encryption.org/v1\n" + stanzas + b"--- " + b"A" * 43 + b"\n")
        == "parcel.age_recipients"
    )


def test_a_key_file_is_an_age_identity_with_its_role(tmp_path):
    identity = Identity.generate("tpf", Environment.TEST)
    path = tmp_path / "tpf.key"
    identity.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_identity(path, "tpf", Environment.TEST).key_id == identity.key_id
    assert code_of(load_identity, path, "ssb", Environment.TEST) == "parcel.key_role"
    assert code_of(load_identity, path, "tpf", Environment.DEMO) == "parcel.key_environment"
    path.chmod(0o644)
    assert code_of(load_identity, path, "tpf", Environment.TEST) == "parcel.key_readable"
    path.chmod(0o600)
    text = path.read_text()
    for broken in (text.replace("# ipis role: tpf\n", ""), text + text, text[:-4] + "QQQ\n"):
        path.write_text(broken)
        assert code_of(load_identity, path, "tpf", Environment.TEST) == "parcel.key_form"
    path.unlink()
    assert code_of(load_identity, path, "tpf", Environment.TEST) == "parcel.key_missing"


def test_an_identity_shows_and_carries_nothing(identity):
    assert "AGE-SECRET-KEY" not in f"{identity!r} {identity} {identity.recipient!r}"
    with pytest.raises(TypeError):
        pickle.dumps(identity)


def test_what_is_no_recipient_is_refused():
    assert code_of(Recipient, "age1nothing") == "parcel.recipient"


def test_an_interrupted_opening_leaves_no_file(tmp_path, identity, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sealed.pyrage, "decrypt_io", interrupt)
    (tmp_path / "part.age").write_bytes(seal_bytes(b"x", identity.recipient))
    with pytest.raises(KeyboardInterrupt):
        open_to_file(tmp_path / "part.age", identity, tmp_path / "clear", part="p")
    assert not (tmp_path / "clear").exists()


def test_a_part_of_96_mib_is_sealed_and_opened_in_flat_memory(tmp_path, identity):
    """The memory grows by far less than the part: bench measures 512 MiB, this guards the shape."""
    clear = tmp_path / "clear.bin"
    with clear.open("wb") as file:
        file.truncate(96 * MIB)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with clear.open("rb") as reader, (tmp_path / "part.age").open("wb") as writer:
        seal_stream(reader, writer, identity.recipient)
    staged = open_to_file(tmp_path / "part.age", identity, tmp_path / "opened", part="p")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert staged.stat().st_size == 96 * MIB
    assert grown < 32 * 1024, f"{grown} KiB"


def test_memory_that_gives_out_is_no_damaged_part(identity, monkeypatch):
    """A part that is larger than a child's share is refused for that, not for what it holds."""

    def no_room(*_):
        raise pyrage.DecryptError("out of memory")

    sealed = seal_bytes(b"x", identity.recipient)
    monkeypatch.setattr(pyrage, "decrypt", no_room)
    with pytest.raises(MemoryError):
        open_bytes(sealed, identity, part="p")
