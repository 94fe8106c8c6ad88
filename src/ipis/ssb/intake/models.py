"""Rows of intake: a forsendelse that TPF forwarded, its members, the key check values seen, and mails that are due."""

from __future__ import annotations

from typing import ClassVar, Self

from django.db import models

from ipis.kernel.errors import IpisError
from ipis.ssb.intake.transitions import State
from ipis.ssb.register.models import Delivery, Phase


class Forsendelse(models.Model):
    """What TPF forwarded and we acknowledged as durable; changed by `transitions.move` alone."""

    forsendelse = models.CharField(max_length=32, unique=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RECEIVED)
    problem = models.CharField(max_length=80, blank=True)
    """The code of the refusal or of what holds it; never a text."""
    problem_params = models.JSONField(default=dict, blank=True)
    """Names and counts that fill the text of the code; never a value of a record."""
    rule = models.CharField(max_length=4, blank=True)
    register = models.CharField(max_length=64)
    year = models.PositiveSmallIntegerField()
    kommune = models.CharField(max_length=4)
    bydel = models.CharField(max_length=2)
    orgnr = models.CharField(max_length=9)
    sequence = models.PositiveIntegerField()
    phase = models.CharField(max_length=6, choices=Phase.choices)
    arrived_at = models.DateTimeField()
    """The instant of R1."""
    taken_at = models.DateTimeField()
    """Business time of our acknowledgement."""
    forward_sha256 = models.CharField(max_length=64)
    manifest_sha256 = models.CharField(max_length=64)
    pin_generation = models.PositiveIntegerField()
    key_version = models.PositiveIntegerField()
    key_check_value = models.CharField(max_length=6)
    delivery = models.OneToOneField(Delivery, null=True, on_delete=models.PROTECT, related_name="intake")

    objects: ClassVar[models.Manager[Self]]

    class Meta:
        constraints = [
            # A number is taken by what was accepted; what was refused may be followed by a right one of its number.
            models.UniqueConstraint(
                fields=["register", "year", "kommune", "bydel", "sequence"],
                condition=~models.Q(state=State.REFUSED),
                name="intake_one_sequence",
            )
        ]
        ordering = ["id"]

    @property
    def told(self) -> IpisError | None:
        """Give what holds or refused it as an error, to be told in any language; None where nothing did."""
        return IpisError(self.problem, rule=self.rule or None, **self.problem_params) if self.problem else None


class Member(models.Model):
    """One file of a forsendelse, with the size and hash that TPF signed."""

    forsendelse = models.ForeignKey(Forsendelse, on_delete=models.CASCADE, related_name="members")
    name = models.CharField(max_length=40)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    deleted_at = models.DateTimeField(null=True)
    """Real time at which the file was deleted for good."""

    objects: ClassVar[models.Manager[Self]]

    class Meta:
        constraints = [models.UniqueConstraint(fields=["forsendelse", "name"], name="intake_one_member")]
        ordering = ["id"]


class KeyCheck(models.Model):
    """The key check value of a version of TPF's key, as first seen; another one under the same version stops intake."""

    register = models.CharField(max_length=64)
    version = models.PositiveIntegerField()
    value = models.CharField(max_length=6)

    objects: ClassVar[models.Manager[Self]]

    class Meta:
        constraints = [models.UniqueConstraint(fields=["register", "version"], name="intake_one_key_check")]


class MailKind(models.TextChoices):
    """What a mail about a forsendelse tells."""

    KVITTERING = "kvittering", "kvittering for mottak"
    AVVIST = "avvist", "forsendelsen er avvist"


class DueMail(models.Model):
    """A mail to be written by the feedback worker at a business instant; once for each forsendelse and kind."""

    forsendelse = models.ForeignKey(Forsendelse, on_delete=models.CASCADE, related_name="due_mails")
    kind = models.CharField(max_length=12, choices=MailKind.choices)
    due_at = models.DateTimeField()
    written_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager[Self]]

    class Meta:
        constraints = [models.UniqueConstraint(fields=["forsendelse", "kind"], name="intake_one_mail")]
        ordering = ["due_at", "id"]
