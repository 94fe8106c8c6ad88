"""The error tree: stable codes, three parts, travels between processes."""

import json
import pickle
import re
import tomllib

import pytest
from tests.architecture.source import ROOT

from ipis.kernel import errors
from ipis.kernel.demo import demo_care_unit, demo_orgnr, demo_pin
from ipis.kernel.environment import Environment
from ipis.kernel.errors import LANGUAGES, DefinitionRefused, Word, sentence


def test_an_error_reads_in_each_language():
    """The three parts come from the catalogue, filled in."""
    error = errors.Misuse("settings.missing", file="a.toml")
    texts = {language: error.render(language) for language in errors.LANGUAGES}
    assert len({text.found for text in texts.values()}) == 3
    assert all("a.toml" in text.found for text in texts.values())
    assert "hint:" in str(error)


def test_an_error_travels_whole_between_processes():
    """A worker's refusal is told where the process was started."""
    error = errors.ParcelRefused("parcel.part_hash", rule="K003", part="data-0001.age")
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(back), back.code, back.rule, back.params) == (type(error), error.code, error.rule, error.params)


def test_a_word_of_ours_is_said_in_the_readers_language():
    """It travels and is written as JSON as the text that it is."""
    error = pickle.loads(pickle.dumps(DefinitionRefused("rules.not_boolean", type=Word("number"))))  # noqa: S301 - our own
    assert ["«tall»" in error.render("nb").found, "`number`" in error.render("en").found] == [True, True]
    assert json.dumps(error.params) == '{"type": "number"}'
    assert Word("nothing of ours").render("nb") == "nothing of ours"


def test_every_word_is_there_in_every_language():
    words = tomllib.loads((ROOT / "src/ipis/definitions/words.toml").read_text(encoding="utf-8"))
    assert all(set(texts) == set(LANGUAGES) and all(texts.values()) for texts in words.values())
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    made = re.findall(r'Word\("([^"]+)"(?: if [^)]* else "([^"]+)")?', source)
    said = {word for pair in made for word in pair if word}
    assert said
    assert said <= set(words)
    types = re.findall(
        r'^    [A-Z]+ = "(.+)"$', source.partition("class Type(Enum)")[2].partition("@property")[0], re.MULTILINE
    )
    assert set(types) <= set(words)


def test_a_code_without_a_text_is_shown_and_breaks_nothing():
    """Our own slip must not hide the error behind another."""
    assert errors.OurFault("nowhere.nothing").render("nb").found == "nowhere.nothing"
    assert "{file}" in errors.Misuse("settings.missing").render("nb").found


@pytest.mark.parametrize("number", ["0101", "0301", "1601", "2030"])
def test_demo_numbers_are_valid_and_differ(number):
    """Organisation numbers pass modulus 11; units are not the municipality."""
    numbers = {demo_orgnr(number), *(demo_care_unit(number, n) for n in range(90))}
    assert len(numbers) == 91
    for orgnr in numbers:
        weighted = sum(int(d) * w for d, w in zip(orgnr, (3, 2, 7, 6, 5, 4, 3, 2, 1), strict=True))
        assert weighted % 11 == 0
        assert orgnr[0] in "89"
    assert len(demo_pin(number)) == 16


def test_only_production_holds_real_persons():
    """Demo and test are synthetic."""
    assert [environment.synthetic for environment in Environment] == [False, True, True]


@pytest.mark.parametrize(
    ("text", "names", "said"),
    [
        ("rett linjen", (), "Rett linjen."), ("e-posten mangler!", (), "E-posten mangler!"), ("codes/slag.csv", (), "codes/slag.csv."),
        ("opens_at før closes_at", (), "opens_at før closes_at."), ("brukerNr er tomt", (), "brukerNr er tomt."), ('label = { nb = "…" }', (), 'label = { nb = "…" }.'),
        ("date 'åååå-mm-dd'.", (), "date 'åååå-mm-dd'."), ("data er ingen mappe", ("data",), "data er ingen mappe."), ("mine data mangler", ("mine data",), "mine data mangler."),
        ("navnet er ukjent", ("n",), "Navnet er ukjent."), ("", (), "."),
    ],
)  # fmt: skip
def test_a_sentence_begins_with_a_capital_unless_with_a_name(text, names, said):
    assert sentence(text, names) == said
