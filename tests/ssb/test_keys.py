"""Key files carry their role; a worker handed another's key, or another environment's, refuses to start."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from ipis.kernel.environment import Environment
from ipis.kernel.errors import Misuse, OurFault
from ipis.ssb.keys import (
    AGE_ROLES,
    FEEDBACK,
    INTAKE,
    LAYER,
    PUSH,
    RECEIPT,
    feedback_keys,
    feedback_recipient,
    intake_keys,
    make_missing,
)
from ipis.ssb.layer import LayerKey
from ipis.ssb.settings import SsbSettings


@pytest.fixture
def other(tmp_path):
    """A room of its own, with fresh keys."""
    settings = SsbSettings(environment=Environment.TEST, data=tmp_path / "ssb", public_url="http://localhost")
    make_missing(settings)
    return settings


def test_init_makes_each_key_once(other):
    assert make_missing(other) == []
    assert {path.name for path in other.keys.iterdir()} == {INTAKE, FEEDBACK, LAYER, RECEIPT, PUSH}
    assert all(path.stat().st_mode & 0o077 == 0 for path in [other.data, other.keys, *other.keys.iterdir()])


def test_public_file_holds_no_private_half(other):
    text = (other.public / "keys.json").read_text()
    assert {entry["role"] for entry in json.loads(text)} == {"ssb", "feedback", "ssb-receipt", "ssb-push"}
    assert "SECRET" not in text
    assert feedback_recipient(other) in text


@pytest.mark.parametrize(
    ("asked", "given", "load"),
    [
        (INTAKE, FEEDBACK, intake_keys), (INTAKE, LAYER, intake_keys), (LAYER, INTAKE, intake_keys), (RECEIPT, PUSH, intake_keys),
        (FEEDBACK, INTAKE, feedback_keys), (PUSH, RECEIPT, feedback_keys), (RECEIPT, PUSH, feedback_keys),
    ],
)  # fmt: skip
def test_key_of_another_role_is_refused(other, asked, given, load):
    """The intake worker with the feedback worker's key, and every other way round."""
    shutil.copy(other.keys / given, other.keys / asked)
    with pytest.raises(Misuse):
        load(other)


@pytest.mark.parametrize("name", [INTAKE, FEEDBACK, LAYER, RECEIPT, PUSH])
def test_key_of_another_environment_is_refused(other, name):
    demo = other.model_copy(update={"environment": Environment.DEMO, "data": other.data.with_name("demo")})
    make_missing(demo)
    shutil.copy(demo.keys / name, other.keys / name)
    with pytest.raises(Misuse):
        (feedback_keys if name in (FEEDBACK, PUSH) else intake_keys)(other)


@pytest.mark.parametrize("name", [INTAKE, FEEDBACK, LAYER, RECEIPT, PUSH])
def test_key_that_others_can_read_is_refused(other, name):
    (other.keys / name).chmod(0o640)
    with pytest.raises(Misuse):
        (feedback_keys if name in (FEEDBACK, PUSH) else intake_keys)(other)


@pytest.mark.parametrize("load", [intake_keys, feedback_keys])
def test_missing_key_says_how_to_make_it(tmp_path, load):
    settings = SsbSettings(environment=Environment.TEST, data=tmp_path, public_url="http://localhost")
    for call in (load, feedback_recipient):
        with pytest.raises(Misuse) as caught:
            call(settings)
        assert caught.value.code == "ssb.not_initialised"


def test_intake_worker_holds_no_feedback_identity(other):
    """What the process does not hold it cannot leak."""
    assert intake_keys(other).identity.role == AGE_ROLES[INTAKE]
    assert not any("feedback" in repr(getattr(intake_keys(other), name)) for name in intake_keys(other).__slots__)
    assert feedback_keys(other).identity.role == "feedback"


class TestLayer:
    def test_covering_keeps_equality_and_nothing_else(self):
        key = LayerKey.generate()
        same = np.zeros((2, 16), np.uint8)
        covered = key.cover(same)
        assert (covered[0] == covered[1]).all()
        assert not (covered == same).all()
        assert (key.cover(same) == covered).all()
        assert not (LayerKey.generate().cover(same) == covered).all()

    def test_known_answer_of_aes_256(self):
        """FIPS 197, appendix C.3."""
        key = LayerKey(bytes(range(32)))
        plain = np.frombuffer(bytes.fromhex("00112233445566778899aabbccddeeff"), np.uint8).reshape(1, 16)
        assert key.cover(plain).tobytes().hex() == "8ea2b7ca516745bfeafc49904b496089"

    def test_no_rows_is_fine(self):
        assert LayerKey.generate().cover(np.zeros((0, 16), np.uint8)).shape == (0, 16)

    @pytest.mark.parametrize(
        "shape", [np.zeros(16, np.uint8), np.zeros((1, 15), np.uint8), np.zeros((1, 16), np.int64)]
    )
    def test_wrong_shape_is_our_fault(self, shape):
        with pytest.raises(OurFault):
            LayerKey.generate().cover(shape)

    def test_key_shows_and_carries_nothing(self):
        import pickle

        key = LayerKey(bytes(range(32)))
        assert "0001" not in repr(key)
        with pytest.raises(TypeError):
            pickle.dumps(key)
        with pytest.raises(OurFault):
            LayerKey(b"short")


class TestSettings:
    STRICT = {
        "environment": "production",
        "data": "/srv/ssb",
        "public_url": "https://ssb.example.no",
        "trusted_root": "ssh-ed25519 AAAA",
    }

    def test_production_as_it_must_be(self):
        assert SsbSettings(**self.STRICT).environment is Environment.PRODUCTION

    @pytest.mark.parametrize("key", ["public_url", "tpf_url", "filsluse_url"])
    @pytest.mark.parametrize(
        ("environment", "url"),
        [
            ("production", "http://127.0.0.1:8000"),
            ("demo", "http://localhost.evil.example"),
            ("test", "http://tpf.example.no"),
        ],
    )
    def test_no_address_in_clear_over_a_network(self, key, environment, url):
        """Sessions, receipts and pushes would travel where anyone reads them."""
        with pytest.raises(ValueError, match=f"{key}: give an https address"):
            SsbSettings(**self.STRICT | {"environment": environment, key: url})

    @pytest.mark.parametrize(
        "change", [{"trusted_root": ""}, {"kill_at": "load:opened"}, {"public_url": "http://ssb.example.no"}]
    )
    def test_production_refuses_what_is_only_for_demo(self, change):
        with pytest.raises(ValueError):
            SsbSettings(**self.STRICT | change)

    def test_packs_are_a_file_or_a_folder_or_none_yet(self, tmp_path):
        base = SsbSettings(environment="test", data=tmp_path, public_url="http://localhost")
        assert base.pack_files == []
        file = tmp_path / "iplos.sesong"
        named = base.model_copy(update={"pack": file})
        assert named.pack_files == []
        file.touch()
        assert named.pack_files == [file]
        assert base.model_copy(update={"pack": tmp_path}).pack_files == [file]
