"""Durable files: there whole, or not at all."""

import hashlib

import pytest

from ipis.lib.storage import Stored, durable, measure, remove_durably, write_durably


def test_what_is_written_is_measured(tmp_path):
    """Size and hash are those of the bytes."""
    expected = Stored(6, hashlib.sha256(b"abcdef").hexdigest())
    assert write_durably(tmp_path / "a", [b"abc", b"def"]) == expected
    assert measure(tmp_path / "a") == expected
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    """No half file under the name, and none beside it."""
    write_durably(tmp_path / "a", b"old")

    def fail_half_way():
        with durable(tmp_path / "a") as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_removing_twice_is_fine(tmp_path):
    """A step done twice after a crash finds nothing to do."""
    write_durably(tmp_path / "a", b"x")
    remove_durably(tmp_path / "a")
    remove_durably(tmp_path / "a")
    assert not (tmp_path / "a").exists()
