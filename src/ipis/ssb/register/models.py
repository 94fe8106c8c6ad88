"""Rows of the register: the catalogue row of a delivery is its commit; what no row names is garbage and is swept.

Nothing here holds an identifier, a PIN or a pseudonym in clear.
"""

from __future__ import annotations

from typing import ClassVar, Self

from django.db import models

from ipis.lib import audit, jobs, mail


class Job(jobs.Job):
    """Work of SSB's workers; kinds and who does them: `ipis.ssb.work`."""

    objects: ClassVar[models.Manager[Self]]

    class Meta(jobs.Job.Meta):
        abstract = False


class AuditEvent(audit.AuditEvent):
    """SSB's chain of events; its head stands in every receipt."""

    objects: ClassVar[models.Manager[Self]]

    class Meta(audit.AuditEvent.Meta):
        abstract = False


class OutboxMail(mail.OutboxMail):
    """Mails to municipalities.

    A receipt mail goes to the contact that was sealed in the forsendelse, so its row must hold that one address until
    the relay has taken the mail; then `ipis.ssb.register.outbox.forget_sent` empties address and text.
    """

    objects: ClassVar[models.Manager[Self]]

    class Meta(mail.OutboxMail.Meta):
        abstract = False


class Enrolment(models.Model):
    """One issued PIN of a municipality or district for one year; the newest generation holds."""

    year = models.PositiveSmallIntegerField()
    kommune = models.CharField(max_length=4)
    bydel = models.CharField(max_length=2)
    orgnr = models.CharField(max_length=9)
    generation = models.PositiveIntegerField()
    sealed_pin = models.BinaryField()
    """Sealed to the feedback worker's age recipient at once; no other process can read it."""
    address = models.EmailField(max_length=254)
    """The registered impersonal address (L17 §2.2)."""
    enrolled_at = models.DateTimeField()

    objects: ClassVar[models.Manager[Self]]

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["year", "kommune", "bydel", "generation"], name="register_one_generation")
        ]
        ordering = ["year", "kommune", "bydel", "generation"]


class Phase(models.TextChoices):
    """The phase of the window in which a forsendelse was received at TPF, as R1 says; decides what it counts for."""

    OPEN = "open", "i vinduet: teller i mars og juni"
    LATE = "late", "etter vinduet: teller i juni"
    CLOSED = "closed", "etter rettefristen: teller ikke"


class Delivery(models.Model):
    """One loaded forsendelse; never changed, only superseded by a higher sequence of the same sender and year."""

    register = models.CharField(max_length=64)
    year = models.PositiveSmallIntegerField()
    kommune = models.CharField(max_length=4)
    bydel = models.CharField(max_length=2)
    orgnr = models.CharField(max_length=9)
    sequence = models.PositiveIntegerField()
    forsendelse = models.CharField(max_length=32, unique=True)
    replaces = models.CharField(max_length=32, blank=True)
    environment = models.CharField(max_length=12)
    phase = models.CharField(max_length=6, choices=Phase.choices)
    arrived_at = models.DateTimeField()
    """The instant of R1: when TPF had it."""
    loaded_at = models.DateTimeField()
    """Business time of the catalogue row."""
    manifest_sha256 = models.CharField(max_length=64)
    content_sha256 = models.CharField(max_length=64)
    same_content_as = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="repeated_by")
    """An earlier delivery of the same sender with the same content (K014)."""
    pack_version = models.PositiveIntegerField()
    program = models.CharField(max_length=60)
    sender = models.CharField(max_length=60)
    """Fingerprint of the sender key."""
    pin_generation = models.PositiveIntegerField()
    key_version = models.PositiveIntegerField()
    layer_version = models.PositiveIntegerField(default=1)
    """Version of SSB's own layer over the pseudonyms."""
    rows = models.JSONField()
    """Rows of each record type."""
    objects_sha256 = models.JSONField()
    """Name of each Parquet file in the delivery's folder -> its SHA-256."""
    reopened = models.BooleanField(default=False)
    """Staff let a closed delivery count for June."""
    lokal_destroyed_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager[Self]]

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["register", "year", "kommune", "bydel", "sequence"], name="register_one_sequence"
            )
        ]
        ordering = ["register", "year", "kommune", "bydel", "sequence"]

    @property
    def folder(self) -> str:
        """Name the delivery's folder in the object store."""
        return f"{self.register}/{self.year}/{self.kommune}/{self.bydel}/{self.sequence:04d}-{self.forsendelse}"

    @property
    def header(self) -> dict[str, str]:
        """Give what SSB knows of the extract's header: the manifest's facts; the rest stays at the municipality."""
        return {
            "aargang": str(self.year),
            "kommuneNr": self.kommune,
            "bydel": self.bydel,
            "orgNr": self.orgnr,
            "innsending": str(self.sequence),
        }


class Kvittering(models.Model):
    """A receipt that lies with a forsendelse: R1, R2 and R5 from TPF, R3 and R4 our own."""

    forsendelse = models.CharField(max_length=32, db_index=True)
    kind = models.CharField(max_length=2)
    body = models.BinaryField()
    signature = models.BinaryField()
    sha256 = models.CharField(max_length=64, unique=True)
    short_code = models.CharField(max_length=12)
    issued_at = models.DateTimeField()
    ours = models.BooleanField(default=False)
    posted_at = models.DateTimeField(null=True)
    """Real time at which TPF took our receipt."""

    objects: ClassVar[models.Manager[Self]]

    class Meta:
        ordering = ["id"]


class StaffAttempts(models.Model):
    """Wrong passwords in a row at the staff login, by a bucket of user names; also for names that nobody has."""

    bucket = models.CharField(max_length=2, unique=True)
    failures = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField()
    """Real time."""

    objects: ClassVar[models.Manager[Self]]
