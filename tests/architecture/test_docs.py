"""What the pages for newcomers name exists: files, folders, tests and verbs."""

import re

import pytest
from tests.architecture.source import ROOT

PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "GLOSSARY.md", "docs/threat-model.md"]
PAGES += sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*/*.md"))
MESSAGES = (ROOT / "src/ipis/definitions/messages").glob("*.toml")
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
NAMED = re.compile(r"`((?:src|tests|docs|tools|requirements)/[\w./-]+)(?:::(\w+))?`")
VERB = re.compile(r"`make ([a-z-]+)")


def dead_links(text, folder):
    for link in LINK.findall(text):
        if not (folder / link).exists():
            yield link
    for named, test in NAMED.findall(text):
        # A module may be named without its ending.
        if not (ROOT / named).exists() and not (ROOT / f"{named}.py").exists():
            yield named
        elif test and not re.search(rf"^\s*def {test}\(", (ROOT / named).read_text(encoding="utf-8"), re.MULTILINE):
            yield f"{named}::{test}"


def unproved(text):
    """Give the security properties that no single test is named for."""
    table = text.partition("\n## Security properties")[2].partition("\n## ")[0]
    for row in re.findall(r"^\|.*\|$", table, re.MULTILINE)[2:]:
        named = [test for _, test in NAMED.findall(row.split(" | ")[2])]
        if not named or not all(named):
            yield row.split(" | ")[0].strip("| ")


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
    own = "tests/architecture/test_docs.py"
    assert list(dead_links(f"`{own}::test_gone` `{own}::dead_links`", tmp_path)) == [f"{own}::test_gone"]


def test_every_security_property_names_its_tests():
    assert list(unproved((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))) == []


def test_a_property_without_a_test_is_found():
    rows = ["| a | b | c |", "|---|---|---|", "| x | y | `tests/kernel` |", "| z | y | `tests/a.py::test_b` |"]
    assert list(unproved("\n## Security properties\n" + "\n".join(rows))) == ["x"]


@pytest.mark.parametrize("source", ["pyproject.toml", *sorted(p.relative_to(ROOT).as_posix() for p in MESSAGES)])
def test_pages_named_in_settings_and_error_texts_exist(source):
    named = re.findall(r"docs/[\w/.-]+\.md", (ROOT / source).read_text(encoding="utf-8"))
    assert [page for page in named if not (ROOT / page).exists()] == []


def test_every_kind_of_test_is_described():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    kinds = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.glob("test_*.py"))}
    rooms = {path.name for path in (ROOT / "src/ipis").iterdir()}
    assert {kind for kind in kinds - rooms if f"tests/{kind}" not in text} == set()


def test_every_decision_is_listed():
    folder = ROOT / "docs/decisions"
    listed = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in folder.glob("*.md")} - {"README.md"}
