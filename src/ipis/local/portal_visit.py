"""Visits the portal as a person with a browser would: opens a page, fills in its form, sends it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, cast
from urllib.parse import urljoin

import httpx2
import lxml.html

from ipis.kernel.errors import OurFault

if TYPE_CHECKING:
    from email.message import EmailMessage

_LINK = re.compile(r"https?://[^\s<>\"]+")


@dataclass
class Visit:
    """One browser session without scripts."""

    client: httpx2.Client = field(
        default_factory=lambda: httpx2.Client(follow_redirects=True, timeout=60.0, trust_env=False)
    )

    def __enter__(self) -> Self:
        """Begin the visit."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the browser."""
        self.client.close()

    def fill_in(self, address: str, **answers: str) -> str:
        """Open a page, fill its form that has the named fields, send it; give the answer page's text."""
        page = self.client.get(address)
        form = _form_with(page, answers)
        values = {name: value or "" for name, value in form.fields.items() if name} | answers
        target = urljoin(str(page.url), form.action or str(page.url))
        answer = self.client.post(target, data=values, headers={"Referer": str(page.url)})
        if answer.status_code >= httpx2.codes.BAD_REQUEST:
            raise OurFault("local.page_refused", page=page.url.path.split("/")[1], status=answer.status_code)
        return answer.text


def link_in(mail: EmailMessage) -> str:
    """Give the first link of a mail's text."""
    body = mail.get_body(("plain",))
    found = _LINK.search(body.get_content() if body else "")
    if found is None:
        raise OurFault("local.no_link", subject=str(mail["Subject"]))
    return found.group().rstrip(".,)>")


def _form_with(page: httpx2.Response, answers: dict[str, str]) -> lxml.html.FormElement:
    for element in lxml.html.document_fromstring(page.text).iter("form"):
        form = cast("lxml.html.FormElement", element)
        if answers.keys() <= set(form.fields):
            return form
    raise OurFault("local.page_refused", page=page.url.path.split("/")[1], status=page.status_code)
