"""Points at which a test may kill a worker, to show that nothing acknowledged is lost and nothing is done twice."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipis.ssb.settings import SsbSettings

POINTS: Final = (
    "load:opened",
    "load:stored",
    "load:before-commit",
    "load:committed",
    "clear:half",
    "clear:before-commit",
    "post:answered",
    "mail:before-commit",
    "mail:committed",
)
"""Every point that the code passes; the test walks them all."""


def reach(settings: SsbSettings, point: str) -> None:
    """Die here, at once and without cleaning up, if the settings of a test ask for it (refused in production)."""
    if settings.kill_at == point:
        os.kill(os.getpid(), signal.SIGKILL)
