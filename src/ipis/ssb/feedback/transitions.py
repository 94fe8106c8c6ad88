"""The one table of what a tilbakemelding may become at SSB, and the only way to change it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models, transaction

from ipis.kernel.errors import OurFault
from ipis.ssb.register.models import AuditEvent

if TYPE_CHECKING:
    from ipis.ssb.feedback.models import Tilbakemelding


class State(models.TextChoices):
    """Where a tilbakemelding stands; what the portal tells later is one step further each."""

    MADE = "made", "laget, R4 utstedt"
    PUSHED = "pushed", "lagt ut i filslusa"
    DOWNLOADED = "downloaded", "lastet ned av kommunen"
    CONFIRMED = "confirmed", "kommunen har bekreftet"


ALLOWED: dict[State, frozenset[State]] = {
    State.MADE: frozenset({State.PUSHED}),
    State.PUSHED: frozenset({State.DOWNLOADED, State.CONFIRMED}),
    State.DOWNLOADED: frozenset({State.CONFIRMED}),
    State.CONFIRMED: frozenset(),
}


def move(one: Tilbakemelding, to: State, *, actor: str) -> None:
    """Change the state within the caller's transaction, with its audit event; OurFault where the table forbids it."""
    was = State(one.state)
    if to not in ALLOWED[was]:
        raise OurFault("ssb.transition", was=was.value, to=to.value)
    with transaction.atomic():
        if not type(one).objects.filter(pk=one.pk, state=was).update(state=to):
            raise OurFault("ssb.transition", was="?", to=to.value)
        one.state = to
        AuditEvent.append(f"tilbakemelding.{to.value}", one.push, actor=actor, was=was.value)


def diagram() -> str:
    """Draw the table as a Mermaid state diagram, for the generated docs."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.MADE.value}"]
    for was, targets in ALLOWED.items():
        lines += [f"    {was.value} --> {to.value}" for to in State if to in targets]
    return "\n".join([*lines, f"    {State.CONFIRMED.value} --> [*]"]) + "\n"
