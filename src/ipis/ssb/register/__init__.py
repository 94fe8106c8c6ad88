"""The register: immutable deliveries, what counts as of an instant, enrolments, receipts, jobs, mails and audit."""
