"""A real SMTP listener on loopback that keeps every mail as a file, so that a demo's mails can be read."""

from __future__ import annotations

import email
import email.policy
import itertools
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiosmtpd.controller import Controller

if TYPE_CHECKING:
    from email.message import EmailMessage
    from pathlib import Path

    from aiosmtpd.smtp import SMTP, Envelope, Session

_START_SECONDS = 120.0


@dataclass
class Mailbox:
    """Receives mails into a folder, one .eml each, named in the order of arrival."""

    folder: Path
    port: int
    _arrived: threading.Condition = field(default_factory=threading.Condition)
    _numbers: itertools.count[int] = field(init=False)
    _controller: Controller | None = None

    def __post_init__(self) -> None:
        """Go on counting where an earlier run stopped."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._numbers = itertools.count(len(list(self.folder.glob("*.eml"))) + 1)

    def start(self) -> None:
        """Listen on loopback."""
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            # A name of its own: aiosmtpd would look the machine's up for each connection, which may take long.
            server_hostname="localhost",
            ready_timeout=_START_SECONDS,
            data_size_limit=1 << 20,
        )
        self._controller.start()

    def stop(self) -> None:
        """Listen no more."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep one mail and tell those who wait."""
        content = envelope.content
        raw = content if isinstance(content, bytes) else (content or "").encode()
        with self._arrived:
            path = self.folder / f"{next(self._numbers):04d}.eml"
            beside = path.with_suffix(".part")
            beside.write_bytes(raw)
            beside.replace(path)
            self._arrived.notify_all()
        return "250 OK"

    def mails(self) -> list[EmailMessage]:
        """Read all mails so far, oldest first."""
        paths = sorted(self.folder.glob("*.eml"))
        return [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in paths]

    def wait_for(self, subject: str, recipient: str, seconds: float, count: int = 1) -> EmailMessage:
        """Wait until so many mails with a subject containing the words have reached the recipient; give the newest.

        Raises TimeoutError that names the subject.
        """
        found: list[EmailMessage] = []

        def enough() -> bool:
            found[:] = [m for m in self.mails() if subject in m["Subject"] and recipient in m["To"]]
            return len(found) >= count

        with self._arrived:
            if not self._arrived.wait_for(enough, timeout=seconds):
                raise TimeoutError(f"no mail with subject {subject!r} within {seconds:.0f} s")
        return found[-1]
