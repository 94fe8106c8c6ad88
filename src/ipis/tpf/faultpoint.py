"""Points at which a test may kill the worker, to show that nothing acknowledged is lost and nothing is done twice."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipis.tpf.settings import TpfSettings

POINTS: Final = (
    "receive:half",
    "receive:unpacked",
    "receive:committed",
    "pseudonymise:mapped",
    "pseudonymise:committed",
    "erase:deleted",
    "erase:committed",
    "forward:half",
    "forward:answered",
    "forward:committed",
    "clear:half",
    "clear:committed",
)
"""Every point that the steps pass; the test walks them all."""


def reach(settings: TpfSettings, point: str) -> None:
    """Die here, at once and without cleaning up, where the settings of a test ask for it."""
    if settings.fault_point == point:
        os.kill(os.getpid(), signal.SIGKILL)
