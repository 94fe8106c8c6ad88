"""The link that sets a password: one hour, once, shown by GET and used by POST alone (mail scanners open links).

Whoever asks for one gets the same answer for every name, and the same work: the worker looks up the account.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction

from ipis.filsluse import accounts, notify
from ipis.filsluse.events import EventKind, record
from ipis.filsluse.models import Account, FilsluseJob, LinkRequest, PasswordLink
from ipis.filsluse.password_rules import PasswordRules
from ipis.filsluse.site import room_settings
from ipis.filsluse.tokens import new_token, real_now, token_hash
from ipis.kernel.errors import LoginRefused, TryLater

JOB = "link"
_MOST_WAITING = 500


def ask(username: str, language: str, *, new_user: bool) -> None:
    """Take a request for a password mail; raises TryLater when the worker is far behind."""
    with transaction.atomic():
        if LinkRequest.objects.count() >= _MOST_WAITING:
            raise TryLater("filsluse.busy")
        request = LinkRequest.objects.create(
            username=accounts.normal(username), language=language, new_user=new_user, created_at=real_now()
        )
        FilsluseJob.queue(JOB, str(request.pk))


def answer(job: FilsluseJob) -> None:
    """Mail the link if the account exists and has not had too many this hour; the request is forgotten either way."""
    with transaction.atomic():
        request = LinkRequest.objects.filter(pk=int(job.subject)).first()
        account = request and Account.objects.filter(username=request.username, is_active=True).first()
        if request and account and not _too_many(account):
            if account.language != request.language:
                account.language = request.language
                account.save()
            notify.send_password_link(account, make_link(account), new_user=request.new_user)
            record(EventKind.LINK_SENT, account.kommune, actor="worker")
        if request:
            request.delete()
        job.finish()


def make_link(account: Account) -> str:
    """Make a link within the caller's transaction; gives its token, which is kept nowhere but in the mail."""
    token, now = new_token(), real_now()
    PasswordLink.objects.create(
        account=account, token_hash=token_hash(token), created_at=now, expires_at=now + room_settings().link_life
    )
    return token


def find(token: str) -> PasswordLink:
    """Find a link that can still be used, and leave it as it is; raises LoginRefused for every other."""
    link = PasswordLink.objects.select_related("account").filter(token_hash=token_hash(token)).first()
    if link is None or link.used_at is not None or link.expires_at <= real_now() or not link.account.is_active:
        raise LoginRefused("filsluse.link", minutes=room_settings().link_minutes)
    return link


def use(token: str, password: str, rules: PasswordRules) -> Account:
    """Set the password and use the link up, with every other of the account; a refused password leaves it usable."""
    with transaction.atomic():
        link = find(token)
        taken = PasswordLink.objects.filter(pk=link.pk, used_at=None).update(used_at=real_now())
        if not taken:
            raise LoginRefused("filsluse.link", minutes=room_settings().link_minutes)
        accounts.set_password(link.account, password, rules)
        PasswordLink.objects.filter(account=link.account, used_at=None).delete()
    return link.account


def forget_old() -> None:
    """Delete links that have been over for a day."""
    PasswordLink.objects.filter(expires_at__lt=real_now() - timedelta(days=1)).delete()


def _too_many(account: Account) -> bool:
    hour_ago = real_now() - timedelta(hours=1)
    return (
        PasswordLink.objects.filter(account=account, created_at__gt=hour_ago).count() >= room_settings().links_an_hour
    )
