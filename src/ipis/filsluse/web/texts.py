"""The words of the pages in three languages, side by side in `texts.toml`; templates use `{% say "page.key" %}`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from django import template
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString

register = template.Library()
_SOURCE = Path(__file__).with_name("texts.toml")


@cache
def texts() -> dict[str, dict[str, dict[str, str]]]:
    """Read every text: page -> key -> language."""
    return tomllib.loads(_SOURCE.read_text(encoding="utf-8"))


def text(key: str, language: str, **params: object) -> str:
    """Give one text, `page.key`, with its parameters filled in; an unknown key is a KeyError."""
    page, _, name = key.partition(".")
    return texts()[page][name][language].format(**params)


@register.simple_tag(takes_context=True)
def say(context: template.Context, key: str, **params: object) -> SafeString:
    """Write a text in the page's language; `{register}` is what the register is called in it."""
    language = context["language"]
    return conditional_escape(text(key, language, register=context["register"][language], **params))
