"""`ipis up` and `ipis clock`: all parties until interrupted, and one file that says where everything is."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import httpx2
import pytest
from tests.journey.conftest import ipis
from tests.ports import free_neighbours

from ipis.kernel.signature import PublicKey
from ipis.local.season import prepare

KEYS = {
    "year", "urls", "pack", "allowed_signers", "clock", "settings", "age_identities", "municipalities",
}  # fmt: skip


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    """Start everything as a user would; end it with Ctrl-C."""
    folder = tmp_path_factory.mktemp("up") / "data"
    words = ["--data", str(folder), "--base-port", str(free_neighbours(4)), "--kommune", "0403,0412"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ipis", "up", *words], stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        give_up_at = time.monotonic() + 300
        while not (folder / "up.json").exists() and time.monotonic() < give_up_at and process.poll() is None:
            time.sleep(0.2)
        yield folder, json.loads((folder / "up.json").read_text(encoding="utf-8"))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=120)


def test_up_json_says_where_everything_is(up):
    """The fixed form, and every path it names is there."""
    folder, said = up
    assert set(said) == KEYS
    assert set(said["urls"]) == set(said["settings"]) == {"ssb", "tpf", "filsluse"}
    assert set(said["age_identities"]) == {"tpf", "ssb", "feedback"}
    assert [one["kommune"] for one in said["municipalities"]] == ["0403", "0412"]
    assert set(said["municipalities"][0]) == {"kommune", "bydel", "orgnr", "pin_file", "user"}
    for path in [said["pack"], said["allowed_signers"], *said["settings"].values(), *said["age_identities"].values()]:
        assert Path(path).exists(), path
    assert all(stat.S_IMODE(Path(path).stat().st_mode) & 0o077 == 0 for path in said["age_identities"].values())
    assert len(list((folder / "mail").glob("*.eml"))) >= 2


def test_every_party_answers_and_ssb_serves_the_pack(up):
    """What a municipality fetches is what was signed."""
    _, said = up
    for room, url in said["urls"].items():
        assert httpx2.get(f"{url}/healthz", timeout=120, trust_env=False).json()["room"] == room
    pack = httpx2.get(f"{said['urls']['ssb']}/sesong/iplos-{said['year']}.sesong", timeout=120, trust_env=False)
    assert pack.content == Path(said["pack"]).read_bytes()


def test_each_line_of_allowed_signers_is_a_party_with_its_namespaces(up):
    """ssh-keygen can verify every receipt with it."""
    _, said = up
    lines = Path(said["allowed_signers"]).read_text(encoding="ascii").splitlines()
    assert {line.split()[0] for line in lines} == {"root", "tpf", "ssb"}
    for line in lines:
        assert line.split()[1].startswith('namespaces="ipis-')
        PublicKey.parse(" ".join(line.split()[2:]))


def test_the_clock_turns_for_every_party_and_runs_on(up):
    """One command, three rooms; a time without a zone is Norwegian."""
    folder, _ = up
    assert ipis("clock", "--data", folder, "--to", "2018-01-10T09:00:00").code == 0
    for room in ("ssb", "tpf", "filsluse"):
        offset = json.loads((folder / room / "clock.json").read_text(encoding="ascii"))["offset_seconds"]
        assert abs(time.time() + offset - datetime.fromisoformat("2018-01-10T09:00:00+01:00").timestamp()) < 60


@pytest.mark.parametrize(("to", "code"), [("yesterday", "local.not_a_time"), ("2018-01-10", "local.no_parties")])
def test_a_clock_that_cannot_be_turned_says_why(tmp_path, to, code):
    """Wrong use, 64."""
    ran = ipis("clock", "--data", tmp_path, "--to", to)
    assert (ran.code, ran.problem) == (64, code)


def test_a_party_that_does_not_start_is_told_with_its_log(tmp_path):
    """Whoever runs the demo learns which room, and where to read on."""
    season = prepare(tmp_path / "up", 2017, ["0403"], None)
    season.parties["tpf"].settings.write_text("environment = 'demo'\n", encoding="utf-8")
    season.parties["tpf"].start("serve")
    with pytest.raises(Exception, match=r"serve\.log"):
        season.parties["tpf"].wait_until_ready()
    season.stop()
