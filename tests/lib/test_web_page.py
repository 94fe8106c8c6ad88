"""Language of a page: the link's choice, then the cookie's, then what the browser accepts, then bokmål."""

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from ipis.kernel.errors import LANGUAGES
from ipis.lib.web import page
from ipis.lib.web.middleware import request_language


def request(path="/", cookie="", accepts=""):
    made = RequestFactory().get(path, headers={"Accept-Language": accepts})
    if cookie:
        made.COOKIES["sprak"] = cookie
    return made


@pytest.mark.parametrize(
    ("path", "cookie", "accepts", "language"),
    [
        ("/", "", "", "nb"),
        ("/", "", "de-DE,de;q=0.9", "nb"),
        ("/", "", "de,en;q=0.8,nb;q=0.5", "en"),
        ("/", "", "no", "nb"),
        ("/", "", "nn-NO", "nn"),
        ("/", "nn", "en", "nn"),
        ("/?sprak=en", "nn", "nb", "en"),
        ("/?sprak=xx", "yy", "zz", "nb"),
    ],
)
def test_which_language_a_page_is_in(path, cookie, accepts, language):
    assert request_language(request(path, cookie, accepts)) == language


def test_only_a_choice_by_link_sets_the_cookie():
    answer = page.Languages(lambda _request: HttpResponse())
    assert answer(request("/?sprak=nn")).cookies["sprak"].value == "nn"
    assert not answer(request("/?sprak=xx")).cookies
    assert not answer(request("/")).cookies


def test_every_page_has_links_to_itself_in_the_other_languages():
    facts = page.context(request("/en/side?sprak=nn&mer=1"))
    assert [(one["code"], one["url"], one["current"]) for one in facts["languages"]] == [
        ("nb", "/en/side?sprak=nb", False),
        ("nn", "/en/side?sprak=nn", True),
        ("en", "/en/side?sprak=en", False),
    ]


def test_the_frame_has_its_words_in_every_language():
    assert set(page._FRAME) == set(page.NAMES) == set(LANGUAGES)
    assert len({frozenset(words) for words in page._FRAME.values()}) == 1
