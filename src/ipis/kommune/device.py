"""What makes this machine known to the portal: the token of its first login, so that strangers lock out strangers only.

The token opens nothing without the password; still it is kept as a secret, and said to the portal that gave it only.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import platformdirs
from rich.console import Console

from ipis.kernel.errors import Misuse
from ipis.lib.settings import user_language
from ipis.lib.storage import write_durably

if TYPE_CHECKING:
    from pathlib import Path

FORM: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")


@dataclass(frozen=True, slots=True)
class Device:
    """The token's place, for one user at one portal."""

    path: Path

    @classmethod
    def of(cls, url: str, user: str) -> Device:
        """Give the place in the user's own data folder; the file's name tells neither user nor portal."""
        name = hashlib.sha256(f"{url.rstrip('/')}\0{user.strip().casefold()}".encode()).hexdigest()
        return cls(platformdirs.user_data_path("ipis") / "portal" / f"{name[:32]}.device")

    def token(self) -> str:
        """Give the token, empty when there is none."""
        try:
            text = self.path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return ""  # then the portal takes this machine for a new one, and gives another
        return text if FORM.fullmatch(text) else ""

    def keep(self, token: str) -> None:
        """Keep a token privately; where that cannot be done, say so, since the login itself has succeeded."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_durably(self.path, token.encode("ascii"))
        except OSError:
            said = Misuse("fetch.device", folder=self.path.parent.name).render(user_language())
            Console(stderr=True, highlight=False, soft_wrap=True, markup=False).print(
                f"{said.found}; {said.do}  [fetch.device]", style="yellow"
            )
