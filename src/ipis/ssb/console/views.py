"""The staff page: what has come in, what is held and why, and the one decision that a held forsendelse waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc
from django.contrib.auth.decorators import login_required
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from ipis.lib.jobs import JobState
from ipis.ssb.feedback.kept import Kept
from ipis.ssb.intake.load import release
from ipis.ssb.intake.models import Forsendelse
from ipis.ssb.intake.transitions import State
from ipis.ssb.register.models import AuditEvent, Delivery, Job, OutboxMail
from ipis.ssb.site import room_settings

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

_SHOWN = 500
_SHOWN_FINDINGS = 2000
ONE_LANGUAGE = {"language": "nb", "languages": None}
"""The staff pages speak bokmål only, and say so."""


@login_required
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """Show the newest forsendelser, with state, phase and the reason of what is held or refused."""
    rows, kept = Forsendelse.objects.select_related("delivery").order_by("-pk")[:_SHOWN], Kept.of(room_settings())
    context = {
        "rows": [
            {
                "row": row,
                "state": State(row.state).label,
                "why": _why(row),
                "held": row.state == State.HELD,
                "findings": row.delivery is not None and kept.has_staff(row.delivery),
            }
            for row in rows
        ],
        "failed_jobs": Job.objects.filter(state=JobState.FAILED).count(),
        "waiting_mails": OutboxMail.objects.filter(sent_at=None).count(),
        "audit_head": AuditEvent.head(),
        "shown": _SHOWN,
        **ONE_LANGUAGE,
    }
    return render(request, "ssb/console/overview.html", context)


@login_required
@require_safe
def findings(request: HttpRequest, forsendelse: str) -> HttpResponse:
    """Show the findings of a delivery that only staff may see: they come of what other municipalities report."""
    delivery = get_object_or_404(Delivery, forsendelse=forsendelse)
    found = Kept.of(room_settings()).staff(delivery)
    listed = [] if found is None else found.slice(0, _SHOWN_FINDINGS).to_pylist()
    counted = [] if found is None else pc.value_counts(found["rule"].combine_chunks()).to_pylist()
    context = {
        "delivery": delivery,
        "rows": listed,
        "rules": [(each["values"], each["counts"]) for each in counted],
        "count": 0 if found is None else found.num_rows,
        "shown": _SHOWN_FINDINGS,
        **ONE_LANGUAGE,
    }
    return render(request, "ssb/console/findings.html", context)


@login_required
@require_POST
def release_held(request: HttpRequest, forsendelse: str) -> HttpResponse:
    """Let a held forsendelse be tried again; staff may say that its key check value is the right one from now on."""
    row = get_object_or_404(Forsendelse, forsendelse=forsendelse)
    if row.state == State.HELD:
        actor = f"staff:{request.user.get_username()}"
        release(row, actor=actor, key_check=request.POST.get("key_check") == "right")
    return redirect("console")


def _why(row: Forsendelse) -> str:
    return row.told.render("nb").found if row.told else ""
