"""What a municipality installs works without a web framework: a real environment, the built wheel, the base list alone."""

import subprocess
import sys
import zipfile

import pytest
from tests.architecture.source import ROOT

WEB = ["django", "ninja", "granian", "argon2", "psycopg", "aiosmtpd"]


def run(*command, **more):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **more)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    answer = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    assert answer.returncode == 0, answer.stderr
    return next(folder.glob("ipis-*.whl"))


@pytest.fixture(scope="module")
def base(tmp_path_factory, wheel):
    """Give the `bin` folder of an environment that holds the base list and the wheel."""
    folder = tmp_path_factory.mktemp("base")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet", "--no-compile"]
    listed = run(*pip, "--require-hashes", "--only-binary", ":all:", "-r", ROOT / "requirements" / "base.txt")
    assert listed.returncode == 0, listed.stderr
    own = run(*pip, "--no-deps", "--no-index", wheel)
    assert own.returncode == 0, own.stderr
    return folder / "bin"


def test_the_base_install_has_the_municipality_s_verbs(base, tmp_path):
    answer = run(base / "ipis", "kommune", "--help", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    for verb in ("pack", "check", "seal", "send", "receipts", "fetch", "open"):
        assert verb in answer.stdout


@pytest.mark.parametrize("name", WEB)
def test_the_base_install_cannot_import(name, base, tmp_path):
    answer = run(base / "python", "-c", f"import {name}", cwd=tmp_path)
    assert "ModuleNotFoundError" in answer.stderr


SETTINGS = 'environment = "test"\ndata = "d"\npublic_url = "http://127.0.0.1:1"\nssb_url = "http://127.0.0.1:1"\n'


@pytest.mark.parametrize(
    ("command", "extra"), [(["demo"], "local"), (["tpf", "init", "--settings", "settings.toml"], "tpf")]
)
def test_another_room_says_how_to_install_it(command, extra, base, tmp_path):
    (tmp_path / "settings.toml").write_text(SETTINGS)
    answer = run(base / "ipis", *command, cwd=tmp_path)
    assert answer.returncode == 64, answer.stderr
    assert f"ipis[{extra}]" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_wheel_holds_all_definitions_and_no_test(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    on_disk = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src/ipis/definitions").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert on_disk - set(names) == set()
    assert not [name for name in names if name.startswith("tests") or name.endswith((".pyc", ".sqlite3"))]
