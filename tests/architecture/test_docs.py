"""What the pages for newcomers name exists: files, folders, tests and verbs."""

import re

import pytest
from tests.architecture.source import ROOT

PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "GLOSSARY.md", "docs/threat-model.md"]
PAGES += sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*/*.md"))
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
NAMED = re.compile(r"`((?:src|tests|docs|tools|requirements)/[\w./-]+)`")
VERB = re.compile(r"`make ([a-z-]+)")


def dead_links(text, folder):
    for link in LINK.findall(text):
        if not (folder / link).exists():
            yield link
    for named in NAMED.findall(text):
        # A module may be named without its ending.
        if not (ROOT / named).exists() and not (ROOT / f"{named}.py").exists():
            yield named


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page):
    assert list(dead_links((ROOT / page).read_text(encoding="utf-8"), (ROOT / page).parent)) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_verb_exists(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    verbs = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    rooms = {f"test-{path.name}" for path in (ROOT / "tests").iterdir()} | {"test-"}
    assert set(VERB.findall((ROOT / page).read_text(encoding="utf-8"))) - verbs - rooms == set()


def test_dead_links_and_paths_are_found(tmp_path):
    text = "[here](gone.md) [out](https://example.org) `tests/nowhere` `src/ipis/kernel`"
    assert list(dead_links(text, tmp_path)) == ["gone.md", "tests/nowhere"]


def test_every_kind_of_test_is_described():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    kinds = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.glob("test_*.py"))}
    rooms = {path.name for path in (ROOT / "src/ipis").iterdir()}
    assert {kind for kind in kinds - rooms if f"tests/{kind}" not in text} == set()


def test_every_decision_is_listed():
    folder = ROOT / "docs/decisions"
    listed = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in folder.glob("*.md")} - {"README.md"}
