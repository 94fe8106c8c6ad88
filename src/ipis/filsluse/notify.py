"""The three mails (L17 §4.2–4.4), queued in the transaction of what they tell of.

Their subjects are the letter's to the letter, in every language: the municipalities' spam filters know them. What the
register is called in them, and in the texts, is the season pack's.
"""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo

from django.template.loader import render_to_string

from ipis.filsluse import trust
from ipis.filsluse.models import Account, FilsluseMail, Tilbakemelding
from ipis.filsluse.site import room_settings
from ipis.filsluse.tokens import new_token
from ipis.lib.mail import MailServer

NEW_USER: Final = "Ny bruker for {register} tilbakemelding fra Statistisk sentralbyrå"
NEW_PASSWORD: Final = "{register}-tilbakemelding: Nytt passord - NB! Utløper på tid"  # noqa: S105 - a subject
NEW_FILE: Final = "{register}-tilbakemelding: Ny fil for nedlasting"

_LINK = "passord"
_OSLO = ZoneInfo("Europe/Oslo")


def tell_new_user(account: Account) -> None:
    """Queue the mail that an account has been made; it holds no link that opens anything by itself."""
    _queue(account, f"ny-bruker/{account.pk}/{new_token()}", NEW_USER, "new_user", path="/ny-bruker")


def send_password_link(account: Account, token: str, *, new_user: bool) -> None:
    """Queue the mail with the link that sets a password."""
    path = f"/passord/{token}"
    _queue(account, f"{_LINK}/{account.pk}/{new_token()}", NEW_PASSWORD, "new_password", path=path, new_user=new_user)


def tell_new_file(one: Tilbakemelding) -> None:
    """Queue the mail that a tilbakemelding can be downloaded, to each open account of its municipality."""
    facts = {"name": one.name, "size": one.size, "until": one.expires_at.astimezone(_OSLO)}
    for account in Account.objects.filter(kommune=one.kommune, is_active=True):
        _queue(account, f"ny-fil/{one.pk}/{account.pk}", NEW_FILE, "new_file", path="/", file=facts)


def deliver() -> int:
    """Hand over the mails that are due, then blank the sent ones' text: a link in it would still open."""
    settings = room_settings()
    server = MailServer(settings.smtp_host, settings.smtp_port, sender())
    handed_over = FilsluseMail.deliver_due(server, settings.business_clock())
    FilsluseMail.objects.filter(purpose__startswith=f"{_LINK}/", sent_at__isnull=False).exclude(body="").update(body="")
    return handed_over


def sender() -> str:
    """Give the address that every mail of the portal comes from."""
    return room_settings().mail_from or "filsluse@ssb.no"


def subject_of(words: str) -> str:
    """Give one of the three subjects as it stands in the mail, whatever language the mail is in."""
    return words.format(register=trust.register().title["nb"])


def _queue(account: Account, purpose: str, subject: str, template: str, *, path: str, **facts: object) -> None:
    settings = room_settings()
    url, register = settings.public_url.rstrip("/"), trust.register()
    context = {
        "account": account,
        "register": register.title[account.language],
        "url": url,
        "link": url + path,
        "minutes": settings.link_minutes,
        "contact": register.contact,
        "sender": sender(),
        "subjects": [subject_of(each) for each in (NEW_USER, NEW_PASSWORD, NEW_FILE)],
    }
    body = render_to_string(f"filsluse/mail/{account.language}/{template}.txt", context | facts)
    FilsluseMail.queue(purpose, account.username, subject_of(subject), body, settings.business_clock().now())
