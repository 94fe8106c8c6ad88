"""The portal's tables: accounts and what guards them, the feedback it shows, and what was done with it.

A row never holds a password, a link or a session in clear: hashes only. Lifetimes of links, sessions and lockouts are
real time; `created_at` and `expires_at` of a tilbakemelding are business time.
"""

from __future__ import annotations

from typing import ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models

from ipis.filsluse.transitions import VISIBLE, FileState
from ipis.lib.audit import AuditEvent
from ipis.lib.jobs import Job
from ipis.lib.mail import OutboxMail


class Account(AbstractBaseUser):
    """A municipality's access; the user name is its impersonal address, usually postmottak (L17 §4.1)."""

    last_login = None
    username = models.EmailField(max_length=254, unique=True)
    kommune = models.CharField(max_length=4, db_index=True)
    language = models.CharField(max_length=2, default="nb")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    USERNAME_FIELD = "username"
    objects: ClassVar[BaseUserManager[Self]] = BaseUserManager()


class PasswordLink(models.Model):
    """A link that sets a password: once, for an hour; the hash of its token."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class LinkRequest(models.Model):
    """A password mail that somebody asked for, until the worker has answered it; the account may not exist."""

    username = models.CharField(max_length=254)
    language = models.CharField(max_length=2)
    new_user = models.BooleanField()
    created_at = models.DateTimeField()


class Session(models.Model):
    """A login that holds: of a browser or of `fetch`; the hash of its token."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    seen_at = models.DateTimeField()


class KnownDevice(models.Model):
    """A browser that has been logged in before, so that strangers lock out strangers only."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()


class Attempts(models.Model):
    """Wrong passwords in a row, by a hash of user name and device; also for names that nobody has."""

    subject = models.CharField(max_length=64, unique=True)
    failures = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField()


class Tilbakemelding(models.Model):
    """A feedback that SSB pushed: the row is the moment when its files become visible."""

    id = models.CharField(primary_key=True, max_length=32)
    kommune = models.CharField(max_length=4, db_index=True)
    name = models.CharField(max_length=200)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=[(s.value, s.value) for s in FileState], default=FileState.LISTED)
    note_sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    downloaded_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-name"]

    @property
    def visible(self) -> bool:
        """Tell whether the municipality sees it."""
        return self.state in VISIBLE


class Member(models.Model):
    """One of the three files of a tilbakemelding."""

    tilbakemelding = models.ForeignKey(Tilbakemelding, on_delete=models.CASCADE, related_name="members")
    name = models.CharField(max_length=200)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tilbakemelding", "name"], name="filsluse_one_member")]


class Event(models.Model):
    """What was done, as the municipality's log page shows it and SSB fetches it; the audit holds the same, chained."""

    kind = models.CharField(max_length=20)
    kommune = models.CharField(max_length=4, db_index=True)
    push = models.CharField(max_length=32, blank=True, default="")
    name = models.CharField(max_length=200, blank=True, default="")
    at = models.DateTimeField()

    class Meta:
        ordering = ["id"]


class UsedSignature(models.Model):
    """A signed request that was answered: the same signature is not taken twice."""

    signature_hash = models.CharField(max_length=64, unique=True)
    at = models.DateTimeField()


class FilsluseAudit(AuditEvent):
    """The portal's audit chain."""


class FilsluseJob(Job):
    """Work that follows a commit: a password mail, the erasing of files."""


class FilsluseMail(OutboxMail):
    """The portal's outbox."""
