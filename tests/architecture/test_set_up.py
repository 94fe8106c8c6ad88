"""A fresh machine gets exactly what was pinned, and every folder of tests is run in a process that can hold it."""

import re
import subprocess
import sys

import pytest
from tests.architecture.source import ROOT, plant

sys.path.insert(0, str(ROOT / "tools"))
from run_tests import ALONE, plan

LISTS = ["base", "run", "test"]
ADDRESS = re.compile(r"://|--(extra-)?index|--find-links|\bfile:")


def pinned(name):
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_pins_every_package_by_hash_and_names_no_address(name):
    for line in pinned(name):
        assert re.match(r"[a-z0-9-]+==[^ ]+ ", line), line
        assert "--hash=sha256:" in line, line
        assert not ADDRESS.search(line), line


def test_a_larger_list_holds_the_smaller_ones_in_the_same_versions():
    base, run, test = ({line.split(" ")[0] for line in pinned(name)} for name in LISTS)
    assert base < run < test


def test_the_base_list_holds_no_web_framework():
    assert not {line.split("==")[0] for line in pinned("base")} & {"django", "django-ninja", "granian", "aiosmtpd"}


def test_each_django_room_has_a_process_of_its_own():
    runs = plan(["kernel", "tpf", "ssb", "filsluse", "journey", "a_new_kind"], None)
    assert [run.folders for run in runs] == [
        ("kernel", "a_new_kind"),
        ("ssb",),
        ("journey",),
        ("tpf",),
        ("filsluse",),
    ]


def test_one_folder_can_be_run_alone():
    assert [run.folders for run in plan(["kernel", "tpf", "lib"], "lib")] == [("lib",)]
    assert plan(["kernel"], "no_such") == []


def test_no_folder_of_tests_is_left_out():
    folders = [path.name for path in (ROOT / "tests").iterdir() if any(path.rglob("test_*.py"))]
    assert sorted(folder for run in plan(folders, None) for folder in run.folders) == sorted(folders)
    assert set(ALONE) >= {path.parent.name for path in (ROOT / "src/ipis").glob("*/site.py")}


def test_two_django_rooms_in_one_process_are_refused(tmp_path):
    plant(tmp_path, {f"tests/{room}/test_{room}.py": "def test_nothing(): ...\n" for room in ("tpf", "ssb")})
    (tmp_path / "tests/conftest.py").write_text((ROOT / "tests/conftest.py").read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 4
    assert "one process cannot hold two Django rooms" in answer.stderr


def set_up(tree, *arguments, path="/usr/bin:/bin"):
    command = [tree / "tools" / "setup.sh", *arguments]
    return subprocess.run(command, cwd=tree, env={"PATH": path}, capture_output=True, text=True, check=False)


@pytest.fixture
def prepared(tmp_path):
    """Give a tree whose set-up is done, as far as its stamp says."""
    script = (ROOT / "tools/setup.sh").read_text(encoding="utf-8")
    plant(tmp_path, {"tools/setup.sh": script, "pyproject.toml": "x", ".venv/bin/ipis": "#!/bin/sh\n"})
    plant(tmp_path, {"requirements/run.txt": "a==1 --hash=x\n", "requirements/test.txt": "a==1 --hash=x\nb==2\n"})
    plant(tmp_path, {"requirements/spark.txt": "c==3 --hash=x\n"})
    for name in ("tools/setup.sh", ".venv/bin/ipis"):
        (tmp_path / name).chmod(0o755)
    stamp = (
        "cat requirements/test.txt requirements/spark.txt pyproject.toml | sha256sum | cut -c1-64 > .venv/set-up-test"
    )
    subprocess.run(["sh", "-c", stamp], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize("name", ["test", "run"])
def test_set_up_is_not_repeated_when_nothing_changed(prepared, name):
    answer = set_up(prepared, name)
    assert (answer.returncode, answer.stdout) == (0, "")


def test_set_up_is_repeated_when_a_list_changed(prepared):
    (prepared / "requirements/test.txt").write_text("a==2\n")
    answer = set_up(prepared, "test", path="/nowhere:/usr/bin:/bin")
    assert "setting up" in answer.stdout
    assert answer.returncode != 0  # the list has no hashes


def test_a_missing_package_is_named_with_the_command_where_nothing_may_be_installed(tmp_path):
    plant(tmp_path, {"tools/deps.sh": (ROOT / "tools/deps.sh").read_text(encoding="utf-8")})
    plant(tmp_path, {"requirements/debian.txt": "# list\nno-such-package no-such-command never\nsh sh here\n"})
    plant(tmp_path, {"bin/id": "#!/bin/sh\necho 1000\n", "bin/sudo": "#!/bin/sh\nexit 1\n"})
    for name in ("tools/deps.sh", "bin/id", "bin/sudo"):
        (tmp_path / name).chmod(0o755)
    answer = subprocess.run(
        [tmp_path / "tools/deps.sh"],
        env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert answer.stderr.splitlines() == [
        "missing Debian packages; run: sudo apt-get update && sudo apt-get install -y no-such-package"
    ]
