"""The abstract tables of lib, made real."""

from ipis.lib import audit, jobs, mail


class Job(jobs.Job):
    """Jobs of the tests."""

    class Meta(jobs.Job.Meta):
        app_label = "room"


class Audit(audit.AuditEvent):
    """Audit of the tests."""

    class Meta(audit.AuditEvent.Meta):
        app_label = "room"


class Outbox(mail.OutboxMail):
    """Outbox of the tests."""

    class Meta(mail.OutboxMail.Meta):
        app_label = "room"
