"""The keyring: private, durable, never fooled by an older pack, another root or a cut line."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.kommune import testvik

from ipis.kernel.environment import Environment
from ipis.kernel.errors import IpisError
from ipis.kernel.seasonpack import SeasonPack
from ipis.kernel.secret import Secret
from ipis.kernel.signature import SigningKey, verify
from ipis.kommune.keyring import Keyring, Sealed
from ipis.kommune.season import load_season
from ipis.kommune.settings import KommuneSettings

ONE = Sealed(
    forsendelse="01" * 16,
    environment=Environment.DEMO,
    register="iplos",
    year=2017,
    kommune="0403",
    bydel="00",
    sequence=1,
    manifest_sha256="ab" * 32,
    sealed_at=datetime(2018, 1, 3, tzinfo=UTC),
)


def code_of(call, *args, **kwargs):
    with pytest.raises(IpisError) as caught:
        call(*args, **kwargs)
    assert caught.value.render("nb").expected != "a text for this code in the catalogue"
    return caught.value.code


@pytest.fixture
def ring(tmp_path):
    return Keyring(tmp_path / "ring")


@pytest.fixture
def desk(tmp_path):
    return testvik.desk(tmp_path / "desk")


def test_the_folder_is_private_and_one_that_others_read_is_refused(tmp_path):
    ring = Keyring(tmp_path / "a" / "ring")
    assert ring.folder.stat().st_mode & 0o777 == 0o700
    ring.folder.chmod(0o755)
    assert code_of(Keyring, ring.folder) == "keyring.readable"


def test_a_keyring_that_is_no_folder_is_refused(tmp_path):
    file = tmp_path / "nøkler"
    file.write_text("")
    for place in (file, file / "under"):
        assert code_of(Keyring, place) == "keyring.no_folder"


def test_the_sender_key_is_made_once_and_belongs_to_one_environment(ring):
    key = ring.sender_key(Environment.DEMO)
    assert ring.sender_key(Environment.DEMO).public == key.public
    assert (ring.folder / "sender.key").stat().st_mode & 0o777 == 0o600
    assert code_of(ring.sender_key, Environment.PRODUCTION) == "signature.key_environment"


def test_allowed_signers_name_each_bydel_once(ring):
    key = ring.sender_key(Environment.DEMO)
    for bydel in ("00", "01", "00"):
        ring.note_signer("0301", bydel, key)
    lines = (ring.folder / "sender.allowed_signers").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["kommune-0301-00", "kommune-0301-01"]
    verify(b"x", key.sign(b"x", "ipis-manifest@v1"), "ipis-manifest@v1", [key.public])


def test_the_catalogue_reads_back_with_its_feedback_code(ring):
    coded = replace(ONE, forsendelse="02" * 16, sequence=2, feedback_code=Secret("0123456789AB"))
    assert ring.sealed() == []
    ring.add(ONE)
    ring.add(coded)
    assert ring.sealed() == [ONE, coded]
    assert ring.find("02" * 16) == coded
    assert ring.find("03" * 16) is None
    assert "0123456789AB" not in repr(ring.sealed())


def test_a_line_that_a_power_failure_cut_is_left_out_and_overwritten(ring):
    ring.add(ONE)
    path = ring.folder / "forsendelser.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    assert ring.sealed() == [ONE]
    two = replace(ONE, forsendelse="02" * 16, sequence=2)
    ring.add(two)
    assert ring.sealed() == [ONE, two]


def test_a_line_that_was_changed_is_refused(ring):
    ring.add(ONE)
    path = ring.folder / "forsendelser.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"year":2017', b'"year":"x"'))
    assert code_of(ring.sealed) == "parcel.field"


def test_the_newest_is_that_of_the_same_kommune_bydel_year_and_environment(ring, desk):
    pack = SeasonPack.load(desk.pack)
    assert ring.newest(pack, "0403", "00") is None
    others = [
        replace(ONE, forsendelse=f"{n:02}" * 16, sequence=9, **change)
        for n, change in enumerate(
            ({"year": 2016}, {"bydel": "01"}, {"kommune": "0301"}, {"environment": Environment.TEST}), 10
        )
    ]
    two, again = (replace(ONE, forsendelse=f"{n}" * 32, sequence=2) for n in "ab")
    for each in (two, ONE, again, *others):
        ring.add(each)
    assert ring.newest(pack, "0403", "00") == again


def test_a_root_is_trusted_at_first_use_and_another_is_refused(ring, tmp_path):
    desk = testvik.desk(tmp_path / "test", Environment.TEST)
    first = SeasonPack.load(desk.pack)
    assert ring.trust(first) == desk.root.public
    assert ring.trust(first) is None
    other = testvik.desk(tmp_path / "other", Environment.TEST)
    assert code_of(ring.trust, SeasonPack.load(other.pack)) == "seasonpack.root_changed"
    production = testvik.desk(tmp_path / "production", Environment.PRODUCTION)
    pinned = SeasonPack.load(production.pack, trusted_root=production.root.public)
    assert ring.trust(pinned) == production.root.public


def test_another_demo_is_a_first_time_again(ring, desk, tmp_path):
    """Each demo makes a root of its own; the version of another demo's pack says nothing about this one's."""
    keys = SeasonPack.load(desk.pack).body.keys
    newer = testvik.season_pack(desk.folder / "2.sesong", desk.root, testvik.body(keys, version=2))
    ring.trust(SeasonPack.load(newer))
    other = testvik.desk(tmp_path / "other")
    assert ring.trust(SeasonPack.load(other.pack)) == other.root.public


def test_a_version_never_goes_down(ring, desk):
    keys = SeasonPack.load(desk.pack).body.keys
    packs = {
        version: SeasonPack.load(
            testvik.season_pack(desk.folder / f"{version}.sesong", desk.root, testvik.body(keys, version=version))
        )
        for version in (1, 2, 3)
    }
    ring.trust(packs[2])
    assert code_of(ring.trust, packs[1]) == "seasonpack.version_down"
    ring.trust(packs[3])
    assert code_of(ring.trust, packs[2]) == "seasonpack.version_down"


def test_a_trust_file_that_is_no_json_is_refused(ring, desk):
    (ring.folder / "packs.json").write_text("{")
    assert code_of(ring.trust, SeasonPack.load(desk.pack)) == "keyring.damaged"


def test_the_settings_name_root_and_keyring(tmp_path, monkeypatch, desk):
    path = tmp_path / "kommune.toml"
    path.write_text(f'root = "{desk.root.public.openssh}"\nkeyring = "{tmp_path / "from-settings"}"\n')
    monkeypatch.setenv("IPIS_KOMMUNE_SETTINGS", str(path))
    settings = KommuneSettings.load()
    assert settings.trusted_root == desk.root.public
    assert settings.keyring_folder(None) == tmp_path / "from-settings"
    assert settings.keyring_folder(tmp_path / "wish") == tmp_path / "wish"
    season, ring = load_season(desk.pack, None)
    assert ring.folder == tmp_path / "from-settings"
    assert season.root == desk.root.public
    stranger = SigningKey.generate("root", Environment.DEMO)
    path.write_text(f'root = "{stranger.public.openssh}"\n')
    assert code_of(load_season, desk.pack, tmp_path / "ring") == "seasonpack.root"


def test_without_settings_the_users_own_folders_are_used(tmp_path, monkeypatch):
    monkeypatch.delenv("IPIS_KOMMUNE_SETTINGS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert KommuneSettings.load() == KommuneSettings()
    assert KommuneSettings().trusted_root is None
    assert Keyring.open(None).folder == tmp_path / "data" / "ipis" / "keyring"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("root = ", "settings.unreadable"),
        ("rot = 'x'", "settings.invalid"),
        ("root = 'ssh-rsa x'", "signature.public_key"),
        (None, "settings.missing"),
    ],
)
def test_settings_that_are_wrong_are_refused(tmp_path, text, code):
    path = tmp_path / "kommune.toml"
    if text is not None:
        path.write_text(text)
    assert code_of(KommuneSettings.load, path) == code


def test_two_runs_cannot_hold_the_keyring_at_once(ring):
    import fcntl
    import os

    with ring.locked():
        handle = os.open(ring.folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
