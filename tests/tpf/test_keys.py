"""The root key of the pseudonyms: made once, for its owner alone, and refused wherever it does not belong."""

import pytest

from ipis.kernel.environment import Environment
from ipis.kernel.errors import Misuse
from ipis.tpf.keys import TEST_ROOT, RootKey, load_root_key, make_root_key

DEMO = Environment.DEMO


@pytest.fixture
def key_file(tmp_path):
    make_root_key(tmp_path / "root.key", DEMO)
    return tmp_path / "root.key"


def write(path, text, mode=0o600):
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_a_key_that_is_made_can_be_loaded_and_nobody_else_may_read_it(key_file):
    assert key_file.stat().st_mode & 0o777 == 0o600
    one, again = (load_root_key(key_file, DEMO).derive("iplos", "register", 1) for _ in range(2))
    assert one == again
    assert len(one) == 32


def test_each_key_that_is_made_is_another(tmp_path):
    for name in ("a", "b"):
        make_root_key(tmp_path / name, DEMO)
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


def test_a_key_that_is_there_is_never_overwritten(key_file):
    before = key_file.read_bytes()
    with pytest.raises(Misuse) as refusal:
        make_root_key(key_file, DEMO)
    assert refusal.value.code == "tpfkeys.exists"
    assert key_file.read_bytes() == before


SOUND = f"# ipis role: tpf-pseudonym-root\n# environment: demo\n{'ab' * 32}\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (SOUND.replace("tpf-pseudonym-root", "ssb-layer"), "tpfkeys.role"),
        (SOUND.replace("demo", "production"), "tpfkeys.environment"),
        (SOUND.replace("demo", "test"), "tpfkeys.environment"),
        (SOUND.replace("ab" * 32, "ab" * 31), "tpfkeys.form"),
        (SOUND.replace("ab", "AB"), "tpfkeys.form"),
        (SOUND + "x", "tpfkeys.form"),
        (SOUND + "\n" * 2000, "tpfkeys.form"),
        ("AGE-SECRET-KEY-1", "tpfkeys.form"),
        ("", "tpfkeys.form"),
        ("ø" + SOUND, "tpfkeys.form"),
    ],
)
def test_a_file_of_another_role_environment_or_form_is_refused(tmp_path, text, code):
    with pytest.raises(Misuse) as refusal:
        load_root_key(write(tmp_path / "root.key", text), DEMO)
    assert refusal.value.code == code
    assert "ab" * 31 not in str(refusal.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused(tmp_path, mode):
    with pytest.raises(Misuse) as refusal:
        load_root_key(write(tmp_path / "root.key", SOUND, mode), DEMO)
    assert refusal.value.code == "tpfkeys.open_to_others"


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(Misuse) as refusal:
        load_root_key(tmp_path / "root.key", DEMO)
    assert refusal.value.code == "tpfkeys.missing"


def test_the_published_test_root_is_refused_in_production_also_from_a_file(tmp_path):
    with pytest.raises(Misuse) as refusal:
        RootKey(TEST_ROOT, Environment.PRODUCTION)
    assert refusal.value.code == "tpfkeys.test_root"
    text = SOUND.replace("demo", "production").replace("ab" * 32, TEST_ROOT.hex())
    with pytest.raises(Misuse) as refusal:
        load_root_key(write(tmp_path / "root.key", text), Environment.PRODUCTION)
    assert refusal.value.code == "tpfkeys.test_root"
    assert RootKey(TEST_ROOT, Environment.TEST).derive("iplos", "register", 1)


def test_a_root_of_another_size_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        RootKey(bytes(31), DEMO)


def test_every_register_purpose_and_version_has_a_key_of_its_own():
    root = RootKey(TEST_ROOT, DEMO)
    wanted = [("iplos", "register", 1), ("iplos", "register", 2), ("kpr", "register", 1), ("iplos", "0f" * 16, 1)]
    assert len({root.derive(*each) for each in wanted}) == len(wanted)


@pytest.mark.parametrize(
    ("register", "purpose", "version"),
    [("IPLOS", "register", 1), ("iplos", "a|b", 1), ("", "register", 1), ("iplos", "", 1), ("iplos", "register", 0),
     ("iplos", "x" * 65, 1), ("iplos\n", "register", 1)],
)  # fmt: skip
def test_names_out_of_form_derive_nothing(register, purpose, version):
    with pytest.raises(ValueError, match="names in"):
        RootKey(TEST_ROOT, DEMO).derive(register, purpose, version)
