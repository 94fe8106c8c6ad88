"""The register on docs/spec/definitions.md works as its page says."""

import re
from dataclasses import fields as members_of

import pytest
from tests.architecture.source import ROOT
from tests.validation.author import workshop

from ipis.kernel.layout import Field, Kind, LayoutRule, RecordType

PAGE = (ROOT / "docs/spec/definitions.md").read_text(encoding="utf-8")


@pytest.fixture
def harbour(tmp_path):
    """Write the files of the page's example, each named just before it stands."""
    written = re.findall(r"`([\w/]+\.\w+)`:\n\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert [name for name, _ in written] == ["layout.toml", "rules/baat.yaml", "codes/slag.csv", "data/baat.csv"]
    for name, text in written:
        file = tmp_path / (name if name.startswith("data/") else f"havn/{name}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path


def test_the_example_has_nothing_wrong(harbour, capsys):
    assert workshop.answer(capsys, "rules", "check", "--definition", harbour / "havn") == (0, [])


def test_the_example_finds_what_the_page_says(harbour, capsys):
    code, answer = workshop.answer(
        capsys, "validate", "--definition", harbour / "havn", "--data", harbour / "data", "--year", "2030"
    )
    found = [(each["rule"], each["key"]["kjenning"]) for each in answer["findings"]]
    assert (code, found) == (1, [("K001", "LA2"), ("K002", "LA1"), ("K002", "LA1"), ("L002", "LA3")])


@pytest.mark.parametrize("written", [Field, RecordType, LayoutRule])
def test_every_key_of_the_layout_is_described(written):
    for member in members_of(written):
        assert member.name in {"name", "id"} or f"`{member.name}`" in PAGE, member.name


def test_every_kind_of_field_is_described():
    assert all(f"`{kind}`" in PAGE for kind in Kind)
