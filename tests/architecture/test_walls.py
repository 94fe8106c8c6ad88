"""The walls between the rooms stand, and a breach of any of them is named."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.architecture.source import ROOT, plant

PYPROJECT = ROOT / "pyproject.toml"
BREACHES = {
    "1. the four rooms are independent": {"kommune/breach.py": "import ipis.tpf.settings"},
    "2. entry > rooms > validation > lib > kernel > definitions": {"kernel/breach.py": "import ipis.lib.log"},
    "2b. the demo meets the rooms over sockets and files only": {"local/breach.py": "import ipis.ssb.settings"},
    "3. inside ssb, downwards only": {"ssb/register/breach.py": "import ipis.ssb.intake.models"},
    "4. identity numbers are known to kommune, tpf and synth only": {
        "ssb/intake/breach.py": "from ipis.kernel import foedselsnummer"
    },
    "4b. check digits are reached through the judgement and the leak scan": {
        "ssb/intake/modulus_breach.py": "import ipis.kernel.modulus"
    },
    "5. the pseudonym key is read in one place and made in one": {"tpf/breach.py": "import ipis.tpf.keys"},
    "6. what a municipality installs knows no web framework and no database driver": {
        "kommune/driver.py": "import ipis.lib.jobs"  # which imports Django: a wall is no wall with a door beside it
    },
    "6b. DuckDB is reached through validation": {"kommune/duck.py": "import duckdb"},
}


def contracts(tree):
    """Give the state of every contract, as import-linter sees the tree."""
    answer = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--config", PYPROJECT, "--no-cache"],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree / "src"), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = dict(re.findall(r"^(\d\w?\. .*?) (KEPT|BROKEN)", answer.stdout, flags=re.MULTILINE))
    assert found, answer.stdout + answer.stderr
    return found


def test_every_wall_stands():
    assert set(contracts(ROOT).values()) == {"KEPT"}


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """Give the verdicts on a copy of the source in which every wall is breached once."""
    tree = tmp_path_factory.mktemp("breached")
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for files in BREACHES.values():
        plant(tree / "src" / "ipis", files)
    return contracts(tree)


@pytest.mark.parametrize("contract", BREACHES)
def test_a_breach_is_named(contract, broken):
    assert broken[contract] == "BROKEN"


def test_no_contract_goes_unproved(broken):
    assert set(broken) == set(BREACHES)
