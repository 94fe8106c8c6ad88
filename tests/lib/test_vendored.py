"""The design system lies here as it was published, whole and unedited, and fetches nothing from elsewhere."""

import re
import tomllib
from pathlib import Path

import pytest

import ipis.lib.web
from ipis.kernel.canonical import sha256

STATIC = Path(ipis.lib.web.__file__).parent / "static" / "lib"
VENDORED = STATIC / "vendor" / "designsystemet"
SOURCE = tomllib.loads((VENDORED / "source.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SOURCE["files"])
def test_each_file_is_as_published(name):
    assert sha256((VENDORED / name).read_bytes()) == SOURCE["files"][name]["sha256"]


def test_nothing_lies_there_that_was_not_published():
    assert {path.name for path in VENDORED.iterdir()} == {*SOURCE["files"], "source.toml"}


def test_the_licence_lies_beside():
    assert SOURCE["license"] == "MIT"
    assert "Permission is hereby granted, free of charge" in (VENDORED / "LICENSE").read_text(encoding="utf-8")


@pytest.mark.parametrize("sheet", sorted(STATIC.rglob("*.css")), ids=lambda path: path.name)
def test_style_sheets_fetch_nothing_from_elsewhere(sheet):
    text = sheet.read_text(encoding="utf-8")
    assert "@import" not in text
    assert "@font-face" not in text
    assert set(re.findall(r"url\(\s*[\"']?([^)]{0,5})", text)) <= {"data:"}
