"""Waiting for the worker from within a request: the web process has no private key and can only watch the rows."""

from __future__ import annotations

import threading
import time

from ipis.tpf.models import Upload
from ipis.tpf.transitions import UploadState

_GLANCE_SECONDS = 0.05


def judged(upload: Upload, seconds: float) -> Upload:
    """Give the upload as it stands when the worker has judged it, or when the time is over."""
    give_up_at = time.monotonic() + seconds
    never = threading.Event()
    found = _read(upload)
    while found.state == UploadState.STORED and time.monotonic() < give_up_at:
        never.wait(_GLANCE_SECONDS)
        found = _read(upload)
    return found


def _read(upload: Upload) -> Upload:
    return Upload.objects.select_related("forsendelse").get(pk=upload.pk)
