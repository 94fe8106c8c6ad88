"""Waiting for the worker from within a request: the web process has no private key and can only watch the rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ipis.tpf.models import Forsendelse, Upload
from ipis.tpf.transitions import ParcelState, UploadState

Row = TypeVar("Row", Upload, Forsendelse)

_GLANCE_SECONDS = 0.05


def judged(upload: Upload, seconds: float) -> Upload:
    """Give the upload as it stands when the worker has judged it, or when the time is over."""
    return _watch(
        lambda: Upload.objects.select_related("forsendelse").get(pk=upload.pk),
        lambda found: found.state != UploadState.STORED,
        seconds,
    )


def opened(parcel: Forsendelse, seconds: float) -> Forsendelse:
    """Give the forsendelse as it stands when its identities have been opened, or when the time is over."""
    waits = (ParcelState.ARRIVING, ParcelState.RECEIVED)
    return _watch(lambda: Forsendelse.objects.get(pk=parcel.pk), lambda found: found.state not in waits, seconds)


def _watch(read: Callable[[], Row], decided: Callable[[Row], bool], seconds: float) -> Row:
    give_up_at, never = time.monotonic() + seconds, threading.Event()
    found = read()
    while not decided(found) and time.monotonic() < give_up_at:
        never.wait(_GLANCE_SECONDS)
        found = read()
    return found
