"""TPF's tables: who may send, what came in, what was receipted. No identifier, PIN or pseudonym has a column here."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, ClassVar, Self

from django.db import models

from ipis.kernel import errors
from ipis.kernel.receipt import SignedReceipt
from ipis.lib import audit, jobs, mail
from ipis.tpf import transitions
from ipis.tpf.transitions import ParcelState, UploadState

if TYPE_CHECKING:
    from collections.abc import Sequence


def save_all(rows: Sequence[models.Model], *fields: str) -> None:
    """Store some columns of rows that stand, by one statement within the caller's transaction.

    It is written as an upsert, which Django composes in a tenth of the time of `bulk_update`.
    """
    if rows:
        manager = type(rows[0])._default_manager  # noqa: SLF001 - Django's own name for it
        manager.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=fields)


class Enrolment(models.Model):
    """A municipality, or one of its districts, that may send in one collection year."""

    kommune = models.CharField(max_length=4)
    bydel = models.CharField(max_length=2)
    year = models.PositiveSmallIntegerField()
    orgnr = models.CharField(max_length=9)
    address = models.EmailField(max_length=254)
    """The registered impersonal address (L17 §2.2)."""
    pin_hash = models.CharField(max_length=200)
    """Argon2id over HMAC(pepper, PIN)."""
    pin_generation = models.PositiveIntegerField(default=1)
    enrolled_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """One row per login; staff renew it in place."""

        constraints = [models.UniqueConstraint(fields=["kommune", "bydel", "year"], name="tpf_one_enrolment")]

    @property
    def party(self) -> str:
        """Name the municipality as audit and allowed signers do."""
        return f"kommune-{self.kommune}-{self.bydel}"


class SenderKey(models.Model):
    """The key that proves the municipality's own machine; it outlives the years, until staff release it."""

    kommune = models.CharField(max_length=4)
    bydel = models.CharField(max_length=2)
    fingerprint = models.CharField(max_length=64)
    public = models.CharField(max_length=200)
    enrolled_at = models.DateTimeField(auto_now_add=True)
    released_at = models.DateTimeField(null=True)

    class Meta:
        """One living key at a time, whatever two first sends do at once."""

        constraints = [
            models.UniqueConstraint(
                fields=["kommune", "bydel"], condition=models.Q(released_at=None), name="tpf_one_sender_key"
            )
        ]

    @classmethod
    def living(cls, kommune: str, bydel: str) -> Self | None:
        """Give the enrolled key, or None before the first send and after a release."""
        return cls.objects.filter(kommune=kommune, bydel=bydel, released_at=None).first()


class Session(models.Model):
    """A login that passed; the token itself is not kept."""

    token_hash = models.CharField(max_length=64, unique=True)
    enrolment = models.ForeignKey(Enrolment, on_delete=models.CASCADE)
    device_key = models.CharField(max_length=200, default="", blank=True)
    """The sender key that signed the nonce; empty where only the PIN was shown."""
    pin_generation = models.PositiveIntegerField(default=0)
    """Which PIN was shown; with the next one the session is over. Those of older programs (0) are over too."""
    expires_at = models.DateTimeField()


class SeenPack(models.Model):
    """The highest version of a season pack that has been in force here; none below it comes back."""

    register = models.CharField(max_length=20)
    year = models.PositiveSmallIntegerField()
    version = models.PositiveIntegerField()

    class Meta:
        """One row a season."""

        constraints = [models.UniqueConstraint(fields=["register", "year"], name="tpf_one_season")]


class SpentNonce(models.Model):
    """A nonce that has let somebody in once; kept until it would have expired."""

    nonce_hash = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()


class LoginCount(models.Model):
    """Attempts that count towards a lockout, one row a scope; the scope is a keyed hash."""

    scope = models.CharField(max_length=64, unique=True)
    attempts = models.PositiveIntegerField(default=0)
    window_ends_at = models.DateTimeField()
    locked_until = models.DateTimeField(null=True)


class Problem(models.Model):
    """The columns of a refusal: enough to say it again in any language, and nothing of a record."""

    problem_kind = models.CharField(max_length=30, default="", blank=True)
    problem_code = models.CharField(max_length=80, default="", blank=True)
    problem_rule = models.CharField(max_length=8, default="", blank=True)
    problem_params = models.JSONField(default=dict, blank=True)

    class Meta:
        """Columns for the two tables below."""

        abstract = True

    def note_problem(self, error: errors.IpisError) -> None:
        """Take over an error's code and parameters."""
        self.problem_kind, self.problem_code = type(error).__name__, error.code
        self.problem_rule = error.rule or ""
        self.problem_params = {key: str(value) for key, value in error.params.items()}

    def problem(self) -> errors.IpisError | None:
        """Give the error back, or None where nothing was refused."""
        if not self.problem_code:
            return None
        kind = getattr(errors, self.problem_kind, errors.Refused)
        error: errors.IpisError = kind(self.problem_code, rule=self.problem_rule or None, **self.problem_params)
        return error


class Forsendelse(Problem):
    """One sealed parcel on its way through TPF; the parts lie in a folder of its own."""

    identifier = models.CharField(max_length=32)
    manifest_sha256 = models.CharField(max_length=64)
    enrolment = models.ForeignKey(Enrolment, on_delete=models.PROTECT)
    register = models.CharField(max_length=20)
    year = models.PositiveSmallIntegerField()
    sequence = models.PositiveIntegerField()
    sender_key = models.CharField(max_length=200)
    pin_generation = models.PositiveIntegerField()
    state = models.CharField(max_length=14, choices=ParcelState.choices, default=ParcelState.ARRIVING)
    phase = models.CharField(max_length=10, default="", blank=True)
    arrived_at = models.DateTimeField()
    """Business time at which its last file was complete."""
    key_check = models.CharField(max_length=6, default="", blank=True)
    key_version = models.PositiveSmallIntegerField(default=0)
    held_for = models.CharField(max_length=20, default="", blank=True)
    """Why it waits, or waited, for staff."""
    quota_waived = models.BooleanField(default=False)
    forward = models.BinaryField(null=True)
    forward_signature = models.TextField(default="", blank=True)

    class Meta:
        """An id is taken from R1 on; until then a spoilt try may be sent again."""

        indexes = [models.Index(fields=["identifier"], name="tpf_parcel_by_id")]
        constraints = [
            models.UniqueConstraint(
                fields=["identifier"],
                condition=~models.Q(state__in=[ParcelState.ARRIVING, ParcelState.REFUSED]),
                name="tpf_one_accepted",
            ),
            models.UniqueConstraint(
                fields=["identifier", "manifest_sha256"],
                condition=models.Q(state=ParcelState.ARRIVING),
                name="tpf_one_arriving",
            ),
        ]

    def go(self, state: ParcelState) -> None:
        """Change the state along the table, within the caller's transaction; the caller saves."""
        transitions.check_parcel(self.state, state)
        self.state = state


class Part(models.Model):
    """One member of a forsendelse's container, on disk until it has served."""

    forsendelse = models.ForeignKey(Forsendelse, on_delete=models.CASCADE, related_name="parts")
    name = models.CharField(max_length=60)
    role = models.CharField(max_length=12)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        """A part comes once."""

        constraints = [models.UniqueConstraint(fields=["forsendelse", "name"], name="tpf_one_part")]


def new_upload_id() -> str:
    """Draw the unguessable name of an upload."""
    return secrets.token_hex(16)


class Upload(Problem):
    """One file of a forsendelse on its way in; `offset` bytes are on disk for certain."""

    public_id = models.CharField(max_length=32, unique=True, default=new_upload_id)
    enrolment = models.ForeignKey(Enrolment, on_delete=models.CASCADE)
    device_key = models.CharField(max_length=200, default="", blank=True)
    sha256 = models.CharField(max_length=64, default="", blank=True)
    """What the sender says of the whole file; the key by which a creation is known again."""
    length = models.PositiveBigIntegerField()
    offset = models.PositiveBigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=UploadState.choices, default=UploadState.RECEIVING)
    pin_generation = models.PositiveIntegerField()
    forsendelse = models.ForeignKey(Forsendelse, on_delete=models.SET_NULL, null=True, related_name="uploads")
    expires_at = models.DateTimeField()
    """Real time."""
    stored_at = models.DateTimeField(null=True)
    """Business time of the last byte."""

    class Meta:
        """One unfinished upload per file and municipality: a creation whose answer was lost finds it again."""

        # What a municipality has staged is counted at each creation, however many it has sent before.
        indexes = [models.Index(fields=["enrolment", "state"], name="tpf_staged_uploads")]
        constraints = [
            models.UniqueConstraint(
                fields=["enrolment", "sha256"],
                condition=models.Q(state=UploadState.RECEIVING) & ~models.Q(sha256=""),
                name="tpf_one_open_upload",
            )
        ]

    def go(self, state: UploadState) -> None:
        """Change the state along the table, within the caller's transaction; the caller saves."""
        transitions.check_upload(self.state, state)
        self.state = state


class ReceiptRow(models.Model):
    """A signed receipt, byte for byte: R1, R2 and R5 of our own, R3 and R4 as SSB sent them."""

    forsendelse = models.ForeignKey(Forsendelse, on_delete=models.PROTECT, related_name="receipts")
    kind = models.CharField(max_length=2)
    content = models.BinaryField()
    signature = models.TextField()
    sha256 = models.CharField(max_length=64, unique=True)

    class Meta:
        """Each kind once, but one R4 for each feedback."""

        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["forsendelse", "kind"], condition=~models.Q(kind="R4"), name="tpf_one_receipt"
            )
        ]

    @property
    def signed(self) -> SignedReceipt:
        """Give the receipt as it travels."""
        return SignedReceipt(bytes(self.content), self.signature.encode())


class QuotaSet(models.Model):
    """The distinct identities of one forsendelse as HMACs under a key of the worker: sorted, 16 bytes each."""

    kommune = models.CharField(max_length=4)
    year = models.PositiveSmallIntegerField()
    forsendelse = models.OneToOneField(Forsendelse, on_delete=models.CASCADE)
    digests = models.BinaryField()

    class Meta:
        """Counted by municipality and year."""

        indexes = [models.Index(fields=["kommune", "year"], name="tpf_quota_counted")]


class Step(models.TextChoices):
    """The worker's steps, in the order in which an upload and then its forsendelse pass them."""

    RECEIVE = "receive", "read a stored file, lay out its parts, R1"
    PSEUDONYMISE = "pseudonymise", "open identities in memory, seal the mapping, R2"
    ERASE = "erase", "delete the sealed identities, R5"
    FORWARD = "forward", "hand over to SSB"
    CLEAR = "clear", "delete the other parts"


class Job(jobs.Job):
    """The worker's steps: kind is the step, subject the row's id."""

    faults = models.PositiveSmallIntegerField(default=0)
    """How often the step ended in an error that nobody foresaw."""

    objects: ClassVar[models.Manager[Self]]

    class Meta(jobs.Job.Meta):
        """One table of TPF's own; what waits is found among all that is done."""

        abstract = False
        indexes = [models.Index(fields=["state", "id"], name="tpf_waiting_jobs")]

    @classmethod
    def again(cls, kind: str, subject: str) -> None:
        """Queue, within the caller's transaction, work that may have been done or have failed before."""
        super().again(kind, subject)
        cls.objects.filter(kind=kind, subject=subject).update(faults=0)


class Audit(audit.AuditEvent):
    """TPF's audit chain, whose head stands in its receipts."""

    objects: ClassVar[models.Manager[Self]]

    class Meta(audit.AuditEvent.Meta):
        """One table of TPF's own."""

        abstract = False


class Outbox(mail.OutboxMail):
    """TPF's mails to registered addresses."""

    objects: ClassVar[models.Manager[Self]]

    class Meta(mail.OutboxMail.Meta):
        """One table of TPF's own."""

        abstract = False
