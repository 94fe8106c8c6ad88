"""The journey's tools: the command line as a person runs it, a running season, and a year that nobody has shipped."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ipis.local.season import prepare

DEFINITIONS = Path(__file__).resolve().parents[2] / "src" / "ipis" / "definitions" / "iplos"


@dataclass(frozen=True)
class Ran:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def problem(self):
        """Give the code in brackets that ends a refusal's text."""
        found = re.findall(r"\[([a-z_]+\.[a-z_]+)\]", self.err)
        return found[-1] if found else None


def ipis(*arguments, **environment):
    """Run `ipis …` and give exit code and words."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "COVERAGE_PROCESS_CONFIG") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "ipis", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=kept | {"LANG": "C.UTF-8", "COLUMNS": "400"} | environment,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@contextmanager
def running_season(folder, kommuner=("0403",), definitions=None, year=2017):
    """Run all parties, municipalities enrolled, until the block ends."""
    season = prepare(Path(folder), year, list(kommuner), None, definitions)
    try:
        season.start()
        season.enrol()
        season.describe()
        yield season
    finally:
        season.stop()


@pytest.fixture(scope="session")
def next_year(tmp_path_factory):
    """Copy the newest year to 2099 and edit three values: year, window and publication follow from data alone."""
    folder = tmp_path_factory.mktemp("definitions") / "2099"
    shutil.copytree(DEFINITIONS / "2017", folder)
    path = folder / "collection.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(aged(text), encoding="utf-8")
    return folder


def aged(text):
    """Move a collection's year and its dates 82 years on."""
    text = re.sub(r"\b2017\b", "2099", text)
    return re.sub(r"\b2018-", "2100-", text)


def as_json(text):
    """Read what a command printed as JSON."""
    return json.loads(text)
