"""Settings: read once, refused with the name of the key and the way to set it."""

from datetime import UTC, datetime
from typing import ClassVar

import pytest

from ipis.kernel.clock import SystemClock, TurnableClock, turn
from ipis.kernel.environment import Environment
from ipis.kernel.errors import Misuse
from ipis.lib.settings import RoomSettings, is_safe_url


class Kiosk(RoomSettings):
    """A room of the tests."""

    room: ClassVar[str] = "kiosk"
    secret: str = ""


BASE = 'environment = "demo"\ndata = "data"\npublic_url = "http://127.0.0.1:1"\n'


def write(tmp_path, text):
    """Write a settings file."""
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_relative_paths_start_at_the_file(tmp_path):
    """A command may be given from anywhere."""
    assert Kiosk.load(write(tmp_path, BASE), {}).data == tmp_path / "data"


def test_environment_and_secret_files_override(tmp_path):
    """A secret may come from a file that the environment names."""
    (tmp_path / "pin").write_text("hidden\n", encoding="ascii")
    settings = Kiosk.load(
        write(tmp_path, BASE), {"IPIS_KIOSK_SECRET_FILE": str(tmp_path / "pin"), "IPIS_KIOSK_LISTEN": "127.0.0.1:99"}
    )
    assert settings.secret == "hidden"
    assert settings.address == ("127.0.0.1", 99)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BASE + "colour = 1\n", "colour"),
        ('environment = "demo"\n', "data"),
        (BASE.replace("demo", "play"), "environment"),
        (BASE.replace("demo", "production") + 'clock = "c"\n', "turnable"),
        ("= nothing", ""),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path, text, words):
    """The message names the key, and the exit code is that of wrong use."""
    with pytest.raises(Misuse) as caught:
        Kiosk.load(write(tmp_path, text), {})
    assert words in str(caught.value)
    assert caught.value.exit_code == 64


def test_a_missing_file_is_refused(tmp_path):
    """The message names the file."""
    with pytest.raises(Misuse, match=r"none\.toml"):
        Kiosk.load(tmp_path / "none.toml", {})


def test_the_clock_turns_only_where_there_is_a_file_for_it(tmp_path):
    """Demo time follows the file; without one it is real."""
    at = datetime(2030, 1, 2, tzinfo=UTC)
    clock = TurnableClock(tmp_path / "clock.json")
    assert abs((clock.now() - datetime.now(UTC)).total_seconds()) < 5
    turn(tmp_path / "clock.json", at)
    assert 0 <= (clock.now() - at).total_seconds() < 5
    assert Kiosk.load(write(tmp_path, BASE), {}).business_clock() == SystemClock()
    assert Kiosk.load(write(tmp_path, BASE + 'clock = "clock.json"\n'), {}).business_clock() == clock


def test_folders_are_private(tmp_path):
    """Another user of the machine sees nothing."""
    settings = Kiosk.load(write(tmp_path, BASE), {})
    settings.make_private_folders("keys")
    assert (tmp_path / "data" / "keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("url", "environment", "safe"),
    [
        ("https://tpf.example.no", Environment.PRODUCTION, True),
        ("https://tpf.example.no", Environment.DEMO, True),
        ("http://127.0.0.1:8001", Environment.DEMO, True),
        ("http://localhost:8001/x", Environment.TEST, True),
        ("http://[::1]:8001", Environment.TEST, True),
        ("http://127.0.0.1:8001", Environment.PRODUCTION, False),
        ("http://tpf.example.no", Environment.DEMO, False),
        ("http://localhost.evil.example", Environment.DEMO, False),
        ("http://127.0.0.1.evil.example", Environment.TEST, False),
        ("http://127.0.0.1@evil.example", Environment.TEST, False),
        ("ftp://localhost", Environment.TEST, False),
        ("https://", Environment.TEST, False),
        ("http://[::1", Environment.TEST, False),
        ("", Environment.TEST, False),
    ],
)
def test_secrets_travel_under_tls_or_not_at_all(url, environment, safe):
    """Loopback is a host name compared whole, and only where every person is made up."""
    assert is_safe_url(url, environment) is safe
