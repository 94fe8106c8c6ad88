"""Accounts of municipalities: made by SSB's staff, opened by a password of their own, held by a session row."""

from __future__ import annotations

import re

from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction

from ipis.filsluse import lockout, notify
from ipis.filsluse.events import EventKind, record
from ipis.filsluse.models import Account, KnownDevice, PasswordLink, Session
from ipis.filsluse.password_rules import PasswordRules
from ipis.filsluse.site import room_settings
from ipis.filsluse.tokens import new_token, real_now, token_hash
from ipis.kernel.errors import LoginRefused, Misuse, Refused

_ADDRESS = re.compile(r"[^@\s\x00-\x1f]{1,64}@[a-z0-9æøå-]+(\.[a-z0-9æøå-]+)+")


def normal(username: str) -> str:
    """Give a user name as it is stored and compared."""
    return username.strip().casefold()[:254]


def make_account(kommune: str, username: str) -> Account:
    """Give a municipality its account and mail the new user; an address that replaces another closes the old account.

    The same command again sends the mail again (L17 §5.11). Raises Misuse for a wrong number or address, Refused for
    an address that is another municipality's.
    """
    username = normal(username)
    if not re.fullmatch(r"[0-9]{4}", kommune):
        raise Misuse("filsluse.kommune", kommune=kommune[:20])
    if not _ADDRESS.fullmatch(username):
        raise Misuse("filsluse.address")
    with transaction.atomic():
        account = Account.objects.filter(username=username).first()
        if account is not None and account.kommune != kommune:
            raise Refused("filsluse.address_taken", kommune=kommune)
        for old in Account.objects.filter(kommune=kommune, is_active=True).exclude(username=username):
            close_account(old)
        if account is None:
            account = Account(username=username, kommune=kommune, created_at=real_now())
            account.set_unusable_password()
        account.is_active = True
        account.save()
        record(EventKind.ACCOUNT_MADE, kommune, actor="ssb staff")
        notify.tell_new_user(account)
    return account


def close_account(account: Account) -> None:
    """End an account that another address replaces: its sessions, links and password."""
    account.is_active = False
    account.set_unusable_password()
    account.save()
    end_sessions(account)
    KnownDevice.objects.filter(account=account).delete()
    PasswordLink.objects.filter(account=account, used_at=None).delete()


def log_in(username: str, password: str, device: str = "") -> tuple[Account, str]:
    """Open a session; gives the account and the session's token.

    One answer and the same work for an unknown name, a closed account and a wrong password: LoginRefused.
    Raises TryLater when there were too many wrong ones.
    """
    username = normal(username)
    last = lockout.take_attempt(username, device)
    account = Account.objects.filter(username=username, is_active=True).first()
    right = check_password(
        password[:1024], account.password if account and account.has_usable_password() else _nobody()
    )
    if account is None or not right:
        if account is not None and last:
            with transaction.atomic():
                record(EventKind.LOCKED_OUT, account.kommune, actor="unknown")
        raise LoginRefused("filsluse.login")
    token = new_token()
    with transaction.atomic():
        lockout.forget_attempts(username, device)
        now = real_now()
        Session.objects.create(account=account, token_hash=token_hash(token), created_at=now, seen_at=now)
        record(EventKind.LOGGED_IN, account.kommune)
    return account, token


def account_of(token: str) -> Account | None:
    """Find whose session a token holds, and mark it as used now; None when it has ended."""
    if not token:
        return None
    settings, now = room_settings(), real_now()
    session = Session.objects.select_related("account").filter(token_hash=token_hash(token)).first()
    if session is None or not session.account.is_active:
        return None
    idle, age = now - session.seen_at, now - session.created_at
    if idle.total_seconds() > settings.session_minutes * 60 or age.total_seconds() > settings.session_hours * 3600:
        session.delete()
        return None
    if idle.total_seconds() > 60:  # one write a minute is enough
        Session.objects.filter(pk=session.pk).update(seen_at=now)
    return session.account


def log_out(token: str) -> None:
    """End one session."""
    Session.objects.filter(token_hash=token_hash(token)).delete()


def end_sessions(account: Account) -> None:
    """End every session of an account."""
    Session.objects.filter(account=account).delete()


def set_password(account: Account, password: str, rules: PasswordRules) -> None:
    """Set the password within the caller's transaction, and end every session; raises Refused that names the rules."""
    broken = rules.broken(password, account.username)
    if broken:
        raise Refused("filsluse.password", rules=", ".join(broken), least=rules.least)
    account.set_password(password)
    account.save()
    end_sessions(account)
    lockout.forget_attempts(account.username, "")
    record(EventKind.PASSWORD_SET, account.kommune)


_NOBODY: list[str] = []


def _nobody() -> str:
    """Give a hash that no password fits, so that an unknown user costs the same work as a known one."""
    if not _NOBODY:
        _NOBODY.append(make_password(new_token()))
    return _NOBODY[0]
