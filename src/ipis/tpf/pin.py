"""What is kept of a PIN: Argon2id over HMAC(pepper, PIN).

The pepper lies outside the database, so a stolen database alone cannot be searched for short PINs.
"""

from __future__ import annotations

import hashlib
import hmac
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ipis.kernel.secret import Secret

_LONGEST = 128


class PinHasher:
    """Hashes PINs and compares them, with the same work whether there is a hash to compare with or not."""

    __slots__ = ("_argon2", "_at_once", "_dummy", "_pepper")

    def __init__(self, pepper: bytes) -> None:
        """Take the pepper: 32 random bytes."""
        self._pepper = pepper
        self._argon2 = PasswordHasher(time_cost=3, memory_cost=64 << 10, parallelism=1)
        # Each comparison takes 64 MiB: more at once would let strangers fill the memory.
        self._at_once = threading.BoundedSemaphore(4)
        self._dummy = self.hash(Secret("nobody has this PIN"))

    def __repr__(self) -> str:
        """Show nothing."""
        return "<PinHasher>"

    def hash(self, pin: Secret) -> str:
        """Give what is kept of a PIN."""
        return self._argon2.hash(self._peppered(pin))

    def fits(self, kept: str | None, pin: Secret) -> bool:
        """Tell whether the PIN is the kept one; without a kept one the same work is done, and the answer is no."""
        with self._at_once:
            try:
                self._argon2.verify(kept or self._dummy, self._peppered(pin))
            except (VerificationError, InvalidHashError):
                return False
        return kept is not None

    def _peppered(self, pin: Secret) -> bytes:
        return hmac.digest(self._pepper, pin.reveal()[:_LONGEST].encode(), hashlib.sha256)
