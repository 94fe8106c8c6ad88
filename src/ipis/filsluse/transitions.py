"""What may happen to a tilbakemelding at the portal: one table, from which the diagram is drawn."""

from __future__ import annotations

from enum import StrEnum

from ipis.kernel.errors import OurFault


class FileState(StrEnum):
    """Where a tilbakemelding stands."""

    LISTED = "listed"
    """Pushed, visible, not yet downloaded."""
    DOWNLOADED = "downloaded"
    """Its zip has been sent at least once."""
    CONFIRMED = "confirmed"
    """The municipality has said that it holds the zip whole."""
    DELETED = "deleted"
    """Taken away by the municipality; the files are erased."""
    EXPIRED = "expired"
    """Taken away because its time was over; the files are erased."""


VISIBLE = frozenset({FileState.LISTED, FileState.DOWNLOADED, FileState.CONFIRMED})
GONE = frozenset({FileState.DELETED, FileState.EXPIRED})

TRANSITIONS: dict[FileState, frozenset[FileState]] = {
    FileState.LISTED: frozenset({FileState.DOWNLOADED, *GONE}),
    FileState.DOWNLOADED: frozenset({FileState.CONFIRMED, *GONE}),
    FileState.CONFIRMED: GONE,
    FileState.DELETED: frozenset(),
    FileState.EXPIRED: frozenset(),
}
"""A confirmation needs a download before it; nothing comes back."""


def check_transition(before: FileState, after: FileState) -> None:
    """Raise OurFault where the table does not allow the step."""
    if after not in TRANSITIONS[before]:
        raise OurFault("filsluse.transition", before=before.value, after=after.value)
