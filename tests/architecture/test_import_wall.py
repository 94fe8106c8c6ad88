"""Every module of a room can be imported where the other rooms do not exist, whichever way it imports."""

import shutil
import subprocess
import sys

import pytest
from tests.architecture.source import ROOT, plant


def import_room(room, scratch, source=ROOT / "src"):
    return subprocess.run(
        [sys.executable, ROOT / "tests/architecture/import_room.py", room, scratch],
        cwd=scratch,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("room", ["kommune", "tpf", "ssb", "filsluse"])
def test_a_room_needs_no_other_room(room, tmp_path):
    answer = import_room(room, tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert int(answer.stdout.splitlines()[-1]) > 3


@pytest.mark.parametrize(
    "text",
    [
        "import importlib\nimportlib.import_module('ipis.ssb')\n",
        "from ipis import tpf\n",
        "__import__('django')\n",
    ],
)
def test_an_import_behind_the_wall_is_refused(text, tmp_path):
    source = tmp_path / "src"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    plant(source / "ipis" / "kommune", {"breach.py": text})
    answer = import_room("kommune", tmp_path, source)
    assert answer.returncode != 0
    assert "lies behind the wall" in answer.stderr
