"""The handbook's page on rules: what it shows, an author can type, and it comes to what the page says."""

import re
from importlib.resources import files

import pytest
from tests.architecture.source import ROOT
from tests.validation.author import workshop

from ipis.kernel.definitions import packaged_years

NEWEST = packaged_years("iplos")[-1]
PAGE = (ROOT / "docs/handbook/regler.md").read_text(encoding="utf-8")
(RULE,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def draft(tmp_path_factory):
    """Copy the newest year's folder and put the page's rule last in its file."""
    folder = tmp_path_factory.mktemp("arbeid") / "utkast"
    copied(files("ipis.definitions").joinpath("iplos", str(NEWEST)), folder)
    rules = folder / "rules/tjeneste.yaml"
    rules.write_text(f"{rules.read_text(encoding='utf-8')}\n{RULE}", encoding="utf-8")
    return folder


def copied(source, target):
    target.mkdir()
    for each in source.iterdir():
        if each.is_dir():
            copied(each, target / each.name)
        else:
            (target / each.name).write_bytes(each.read_bytes())


@pytest.fixture
def tables(tmp_path):
    return workshop.data(
        tmp_path / "0403",
        uttrekk=f"aargang;kommuneNr;bydel\n{NEWEST};0403;00\n",
        person="brukerNr;bostedKommuneNr;bostedBydel;alder\n1;0403;00;80\n",
        tjeneste=f"brukerNr;tjenesteId;kode;startDato;sluttDato\n1;t1;15;1970-01-01;{NEWEST}-02-01\n1;t2;15;{NEWEST}-01-01;{NEWEST}-02-01\n1;t3;15;1970-01-01;\n",
    )


def test_the_rule_of_the_page_has_nothing_wrong(draft, capsys):
    assert workshop.answer(capsys, "rules", "check", "--definition", draft) == (0, [])


def test_the_rule_of_the_page_is_tried_from_its_file_and_from_the_folder(draft, tables, tmp_path, capsys):
    new = tmp_path / "ny.yaml"
    new.write_text(RULE, encoding="utf-8")
    for rule in (new, "K106"):
        code, (hit,) = workshop.answer(capsys, "rules", "try", rule, "--on", tables, "--definition", draft)
        assert (code, hit["rule"], hit["ok"], hit["breach"]) == (0, "K106", 1, 1)


def test_the_rule_of_the_page_finds_what_it_says_and_is_a_change(draft, tables, capsys):
    _, answer = workshop.answer(capsys, "validate", "--definition", draft, "--data", tables)
    (found,) = [each for each in answer["findings"] if each["rule"] == "K106"]
    assert found["message"].startswith(f"Tjenesten varte fra 01.01.1970 til 01.02.{NEWEST}. Høyst 40 år.")
    assert workshop.ipis("rules", "changes", NEWEST, draft) == 0
    assert "| K106 | advarsel | behold | `tjeneste.startDato` |" in capsys.readouterr().out
