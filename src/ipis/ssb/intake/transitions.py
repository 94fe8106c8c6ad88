"""The one table of what a forsendelse may become at SSB, and the only way to change it.

Each change is one conditional UPDATE with its audit event, within the caller's transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models, transaction

from ipis.kernel.errors import OurFault
from ipis.ssb.register.models import AuditEvent

if TYPE_CHECKING:
    from ipis.kernel.errors import IpisError
    from ipis.ssb.intake.models import Forsendelse
    from ipis.ssb.register.models import Delivery


class State(models.TextChoices):
    """Where a forsendelse stands at SSB."""

    RECEIVED = "received", "mottatt og varig lagret"
    HELD = "held", "holdt tilbake til en saksbehandler har sett på den"
    LOADED = "loaded", "lastet til registeret, R3 utstedt"
    CLEARED = "cleared", "lastet; datadeler, kobling og nøkler er slettet"
    REFUSED = "refused", "avvist; ingenting er lastet"


ALLOWED: dict[State, frozenset[State]] = {
    State.RECEIVED: frozenset({State.LOADED, State.REFUSED, State.HELD}),
    State.HELD: frozenset({State.RECEIVED, State.REFUSED}),
    State.LOADED: frozenset({State.CLEARED}),
    State.CLEARED: frozenset(),
    State.REFUSED: frozenset(),
}


def move(
    forsendelse: Forsendelse,
    to: State,
    *,
    actor: str,
    problem: IpisError | None = None,
    delivery: Delivery | None = None,
) -> str:
    """Change the state within the caller's transaction, or raise OurFault; gives the audit head.

    `problem` is what refuses or holds it; without one an earlier problem is over. `delivery` is what it was loaded as.
    """
    was = State(forsendelse.state)
    if to not in ALLOWED[was]:
        raise OurFault("ssb.transition", was=was.value, to=to.value)
    told: dict[str, object] = {
        "problem": problem.code if problem else "",
        "rule": (problem.rule or "") if problem else "",
        "problem_params": {name: str(value) for name, value in problem.params.items()} if problem else {},
    }
    if delivery is not None:
        told["delivery"] = delivery
    with transaction.atomic(savepoint=False):
        if not type(forsendelse).objects.filter(pk=forsendelse.pk, state=was).update(state=to, **told):
            raise OurFault("ssb.transition", was="?", to=to.value)
        forsendelse.state = to
        return AuditEvent.append(
            f"forsendelse.{to.value}", forsendelse.forsendelse, actor=actor, was=was.value, problem=told["problem"]
        )


def diagram() -> str:
    """Draw the table as a Mermaid state diagram, for the generated docs."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.RECEIVED.value}"]
    for was, targets in ALLOWED.items():
        lines += [f"    {was.value} --> {to.value}" for to in State if to in targets]
        if not targets:
            lines.append(f"    {was.value} --> [*]")
    return "\n".join(lines) + "\n"
