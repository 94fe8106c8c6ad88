"""Rows of feedback: each tilbakemelding that was made of a delivery, and how far the portal's events were read."""

from __future__ import annotations

from typing import ClassVar, Self

from django.db import models

from ipis.ssb.feedback.transitions import State
from ipis.ssb.register.models import Delivery


class Tilbakemelding(models.Model):
    """One zip made of a delivery; a new one is made when rules change, never the old one altered."""

    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="tilbakemeldinger")
    revision = models.PositiveIntegerField()
    """1 for the first of a delivery; one more each time a changed rule changed the verdict."""
    state = models.CharField(max_length=10, choices=State.choices, default=State.MADE)
    push = models.CharField(max_length=32, unique=True)
    """The id under which it is pushed to the portal, and the name of its folder here until then."""
    tenant = models.CharField(max_length=4)
    """The municipality whose account gets it: after a merger the successor."""
    name = models.CharField(max_length=80)
    made_on = models.DateField()
    """Norwegian business day, which is in the name."""
    made_at = models.DateTimeField()
    zip_sha256 = models.CharField(max_length=64)
    verdicts_sha256 = models.CharField(max_length=64)
    """Over the findings: tells whether a changed rule changed anything."""

    objects: ClassVar[models.Manager[Self]]

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["delivery", "revision"], name="feedback_one_revision"),
            models.UniqueConstraint(fields=["tenant", "name"], name="feedback_one_name"),
        ]
        ordering = ["id"]


class PortalEvents(models.Model):
    """How far the portal's list of events has been read: one row."""

    read_to = models.PositiveBigIntegerField(default=0)

    objects: ClassVar[models.Manager[Self]]
