"""SSB's own layer over TPF's pseudonyms, `AES-256(k_ssb, p)`: neither party alone can lead one back to a number.

The key outlives the years: it is wrapped and backed up by two persons. Its file carries its role like every other key.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ipis.kernel.environment import Environment
from ipis.kernel.errors import Misuse, OurFault

ROLE: Final = "ssb-layer"
VERSION: Final = 1
_KEY_BYTES = 32
_WIDTH = 16


class LayerKey:
    """The key of the second layer; it shows and carries nothing."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        """Take 32 bytes."""
        if len(key) != _KEY_BYTES:
            raise OurFault("ssb.layer_key")
        self._key = key

    def __repr__(self) -> str:
        """Show nothing."""
        return "<LayerKey>"

    def __reduce__(self) -> NoReturn:
        """Refuse to travel."""
        raise TypeError("a key does not travel")

    @classmethod
    def generate(cls) -> LayerKey:
        """Make a new key."""
        return cls(secrets.token_bytes(_KEY_BYTES))

    @classmethod
    def load(cls, path: Path, environment: Environment) -> LayerKey:
        """Read the key file and refuse another role or environment, or a file that others may read."""
        if path.stat().st_mode & 0o077:
            raise Misuse("ssb.key_readable", file=path.name)
        text = path.read_text(encoding="ascii", errors="replace")
        role = re.search(r"^# ipis role: ([a-z-]{1,20})$", text, re.MULTILINE)
        its = re.search(r"^# environment: (production|test|demo)$", text, re.MULTILINE)
        keys = re.findall(r"^[0-9a-f]{64}$", text, re.MULTILINE)
        if not role or role[1] != ROLE:
            raise Misuse("ssb.key_role", file=path.name, found=role[1] if role else "?", role=ROLE)
        if not its or its[1] != environment or len(keys) != 1:
            raise Misuse("ssb.key_environment", file=path.name, environment=environment)
        return cls(bytes.fromhex(keys[0]))

    def save(self, path: Path, environment: Environment) -> None:
        """Write a new key file, mode 0600."""
        text = f"# ipis role: {ROLE}\n# environment: {environment}\n# version: {VERSION}\n{self._key.hex()}\n"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def cover(self, pseudonyms: np.ndarray) -> np.ndarray:
        """Cover TPF's pseudonyms: uint8 array of shape (n, 16) to one of the same shape, in one pass."""
        if pseudonyms.dtype != np.uint8 or pseudonyms.ndim != 2 or pseudonyms.shape[1] != _WIDTH:
            raise OurFault("ssb.layer_shape")
        # Independent blocks are the point: equal pseudonyms must stay equal, or nobody could be followed over years.
        encryptor = Cipher(algorithms.AES(self._key), modes.ECB()).encryptor()  # noqa: S305
        covered = encryptor.update(np.ascontiguousarray(pseudonyms).tobytes()) + encryptor.finalize()
        return np.frombuffer(covered, dtype=np.uint8).reshape(-1, _WIDTH)
