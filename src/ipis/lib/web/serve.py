"""The web server of a room: granian, whose processes load the room's application with the path of its settings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from granian.constants import Interfaces
from granian.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ipis.lib.settings import RoomSettings

_THREADS = 8


def serve(application: Callable[[Path], Any], settings_file: Path, settings: RoomSettings) -> None:
    """Serve `application(settings_file)` at the address the settings name, until the process is told to stop."""
    host, port = settings.address
    server = Server(
        target=f"ipis-{settings.room}",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=_THREADS,
        backpressure=_THREADS * 8,
        log_access=False,
        respawn_failed_workers=True,
    )
    server.serve(target_loader=partial(application, settings_file), wrap_loader=False)
