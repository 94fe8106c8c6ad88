"""The letter's rules (L17 §4.2) as a drawn table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipis.filsluse import trust
from ipis.filsluse.password_rules import PasswordRules, resembles

USER = "postmottak@hamar.kommune.no"


@pytest.mark.parametrize(
    ("password", "broken"),
    [
        ("abc123", []),
        ("Snøfall42", []),
        ("ørret7", []),
        ("abc12", ["length"]),
        ("abcdef", ["digit"]),
        ("123456", ["letter"]),
        ("", ["length", "letter", "digit"]),
        ("a1" * 101, ["length"]),
        (USER + "1", ["username"]),
        ("Postmottak1", ["username"]),
        ("hamar2018", ["username"]),
        ("HAMAR.kommune7", ["username"]),
        ("postmotak9", ["username"]),
        ("kommune1", ["username"]),
        ("1hamarr", ["username"]),
        ("noe-helt-annet-5", []),
    ],
)
def test_what_the_rules_find(password, broken):
    assert PasswordRules().broken(password, USER) == broken


def test_the_collection_asks_for_what_the_letter_says():
    assert trust.password_rules() == PasswordRules(least=6)


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_password_or_name_breaks_the_comparison(password, username):
    assert resembles(password, username) in (True, False)


@given(st.text(min_size=1, max_size=30))
def test_a_password_that_contains_the_name_always_resembles_it(extra):
    assert resembles(extra + USER.upper(), USER)
