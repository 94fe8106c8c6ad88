"""Containers: one exact form, and every other zip refused with its own code."""

import io
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipis.kernel import container
from ipis.kernel.container import Archive, Source
from ipis.kernel.errors import IpisError

MEMBERS = {"a.txt": b"alpha", "folder/b.bin": bytes(200_000), "empty": b""}


def built(members=None):
    return b"".join(container.stream([Source.of_bytes(name, data) for name, data in (members or MEMBERS).items()]))


def code_of(data, read=None):
    with pytest.raises(IpisError) as caught:
        archive = Archive(bytes(data), "x.forsendelse")
        if read:
            archive.read(read, 1 << 20)
    assert caught.value.render("en").expected != "a text for this code in the catalogue"
    return caught.value.code


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}(/[A-Za-z0-9]{1,5})?", fullmatch=True),
        st.binary(max_size=300),
        max_size=8,
    )
)
def test_members_come_back_in_order_and_the_same_members_give_the_same_bytes(members):
    data = built(members) if members else b"".join(container.stream([]))
    archive = Archive(data, "x")
    assert archive.names == tuple(members)
    assert {name: archive.read(name, 1 << 20) for name in archive.names} == members
    assert len(data) == container.size_of([Source.of_bytes(name, content) for name, content in members.items()])


def test_pythons_own_zip_reader_agrees():
    with zipfile.ZipFile(io.BytesIO(built())) as peer:
        assert peer.testzip() is None
        assert {name: peer.read(name) for name in peer.namelist()} == MEMBERS


def test_a_container_on_disk_is_private_and_whole(tmp_path):
    path = tmp_path / "x"
    source = tmp_path / "source"
    source.write_bytes(bytes(100))
    container.write(path, [Source.of_file("f", source), Source.of_bytes("g", b"x")])
    assert path.stat().st_mode & 0o777 == 0o600
    assert Archive(path, "x").read("f", 100) == bytes(100)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source", "x"]


def test_a_zip_comment_is_refused():
    data = bytearray(built())
    data[-2:] = struct.pack("<H", 5)
    assert code_of(data + b"hello") == "parcel.zip_comment"
    assert code_of(built() + b"tail") == "parcel.zip_comment"


def test_a_cut_file_is_refused():
    data = built()
    for length in (0, 10, len(data) // 2, len(data) - 30, len(data) - 1):
        assert code_of(data[:length]) == "parcel.zip_cut"


def test_something_before_the_first_member_or_between_two_is_refused():
    assert code_of(b"x" + built()) in {"parcel.zip_form", "parcel.zip_gap"}
    first, second = (Source.of_bytes(name, b"12345") for name in ("a", "b"))
    whole = b"".join(container.stream([first, second]))
    at = whole.index(b"PK\3\4", 4)
    moved = whole[:at] + b"gap!" + whole[at:]
    # Offsets of what follows the gap are mended, so that an easy-going reader would find every member.
    moved = bytearray(moved)
    central_b = moved.rindex(b"PK\1\2")
    struct.pack_into("<Q", moved, central_b + 46 + 1 + 4 + 16, at + 4)
    end64 = moved.rindex(b"PK\6\6")
    struct.pack_into("<Q", moved, end64 + 48, struct.unpack_from("<Q", moved, end64 + 48)[0] + 4)
    struct.pack_into("<Q", moved, moved.rindex(b"PK\6\7") + 8, end64)
    assert code_of(moved) == "parcel.zip_gap"


def test_a_member_twice_is_refused():
    sources = [Source.of_bytes("a", b"1"), Source.of_bytes("a", b"2")]
    assert code_of(b"".join(container.stream(sources))) == "parcel.member_doubled"


@pytest.mark.parametrize("name", ["../a", "/a", "a//b", "a b", "a\\b", ".a", "a/", "æ"[:0] or "a\n"])
def test_a_name_that_could_lead_elsewhere_is_refused(name):
    assert code_of(b"".join(container.stream([Source.of_bytes(name, b"1")]))) == "parcel.member_name"


def test_a_compressed_or_ordinary_zip_is_refused():
    for method, code in ((zipfile.ZIP_DEFLATED, "parcel.zip_form"), (zipfile.ZIP_STORED, "parcel.zip_form")):
        plain = io.BytesIO()
        with zipfile.ZipFile(plain, "w", method) as peer:
            peer.writestr("a", b"x" * 1000)
        assert code_of(plain.getvalue()) == code


def test_a_compressed_member_in_our_frame_is_refused():
    data = bytearray(built({"a": b"12345"}))
    struct.pack_into("<H", data, data.rindex(b"PK\1\2") + 10, 8)
    assert code_of(data) == "parcel.zip_method"


def test_a_member_comment_is_refused():
    data = bytearray(built({"a": b"12345"}))
    struct.pack_into("<H", data, data.rindex(b"PK\1\2") + 32, 3)
    assert code_of(data) == "parcel.zip_comment"


def test_every_flipped_bit_outside_the_contents_is_refused():
    """Headers and directory are built anew and compared: no byte of them can say anything else."""
    data = built({"a": b"12345", "b": b"67"})
    contents = {at for member in Archive(data, "x").members for at in range(member.start, member.start + member.size)}
    for at in range(len(data)):
        if at in contents:
            continue
        for bit in (1, 128):
            changed = bytearray(data)
            changed[at] ^= bit
            code_of(changed)


def test_a_flipped_bit_in_a_content_is_seen_by_its_check_sum():
    data = bytearray(built())
    data[Archive(bytes(data), "x")["a.txt"].start] ^= 1
    assert code_of(data, read="a.txt") == "parcel.zip_crc"


def test_a_member_that_is_not_there_or_too_large_is_refused():
    assert code_of(built(), read="zzz") == "parcel.member_missing"
    with pytest.raises(IpisError) as caught:
        Archive(built(), "x").read("a.txt", 4)
    assert caught.value.code == "parcel.member_size"


def test_a_file_cut_while_it_is_read_is_refused(tmp_path):
    path = tmp_path / "x"
    container.write(path, [Source.of_bytes("a", bytes(5000))])
    archive = Archive(path, "x")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(IpisError) as caught:
        archive.read("a", 5000)
    assert caught.value.code == "parcel.zip_form"


def test_a_directory_that_lies_about_its_length_is_refused():
    data = bytearray(built({"a": b"1"}))
    end64 = data.rindex(b"PK\6\6")
    for offset, value in ((32, 2), (32, 10**9), (40, 3), (48, 7)):
        changed = bytearray(data)
        struct.pack_into("<Q", changed, end64 + offset, value)
        assert code_of(changed) in {"parcel.zip_form", "parcel.zip_gap"}
