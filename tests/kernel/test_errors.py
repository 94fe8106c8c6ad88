"""The error tree: stable codes, three parts, travels between processes."""

import pickle

import pytest

from ipis.kernel import errors
from ipis.kernel.demo import demo_care_unit, demo_orgnr, demo_pin
from ipis.kernel.environment import Environment


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
