"""A peak: while many deliveries wait for feedback, helpers take from the same queue, one for each further core.

They are called when a start is worth it and leave when nothing is due. Each claims, judges and commits jobs of its own,
so that one that dies loses nothing: what it held is swept and made again.
"""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Self

from ipis.lib.log import get_logger
from ipis.ssb.feedback.steps import TOGETHER
from ipis.ssb.register.deliveries import FEEDBACK, REVALIDATE
from ipis.ssb.register.models import Job

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

_WORTH_A_START = 64
"""Jobs that must wait beyond one batch for each helper: a start costs as much as dozens of them."""
_LEAVE_SECONDS = 5.0
_LOOK_SECONDS = 0.5


class Peak:
    """The helpers that a worker has called."""

    def __init__(self, command: Sequence[str], most: int) -> None:
        """Call helpers by a command that works until nothing is due and ends; never more than `most` at a time."""
        self._command = command
        self._most = most
        self._helpers: list[subprocess.Popen[bytes]] = []

    def call(self) -> None:
        """Call as many helpers as what waits is worth."""
        self._forget_left()
        if len(self._helpers) >= self._most:
            return
        waiting = Job.waiting(FEEDBACK) + Job.waiting(REVALIDATE)
        wished = min(self._most, (waiting - TOGETHER) // _WORTH_A_START)
        for _ in range(wished - len(self._helpers)):
            self._helpers.append(subprocess.Popen(self._command, stdin=subprocess.DEVNULL))
            get_logger().info("helper called", waiting=waiting)

    def wait(self, stop: threading.Event) -> bool:
        """Wait until all helpers have left, or until told to stop; tells whether there were any to wait for."""
        had = list(self._helpers)
        while any(helper.poll() is None for helper in had) and not stop.wait(_LOOK_SECONDS):
            pass
        self._forget_left()
        return bool(had)

    def _forget_left(self) -> None:
        """Forget those that have left. In place of one that failed none is called: the next would fail as well."""
        for helper in self._helpers:
            if code := helper.poll():
                self._most -= 1
                get_logger().warning("helper failed", code=code)
        self._helpers = [helper for helper in self._helpers if helper.poll() is None]

    def __enter__(self) -> Self:
        """Give the peak for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the helpers that are still at work: each finishes the job at hand and gives back the rest."""
        for helper in self._helpers:
            helper.terminate()
        until = time.monotonic() + _LEAVE_SECONDS
        for helper in self._helpers:
            try:
                helper.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                helper.kill()
                helper.wait()
