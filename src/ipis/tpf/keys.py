"""The pseudonym root key: a file that carries its role and environment, and the keys derived from it.

PROTECTED: only `tpf.pseudonymise` and the command that makes the key import this module.
Derivation: docs/spec/pseudonym.md §3.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import NoReturn

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ipis.kernel.environment import Environment
from ipis.kernel.errors import Misuse
from ipis.lib.storage import write_durably

ROLE = "tpf-pseudonym-root"
ROOT_SIZE = 32
TEST_ROOT = bytes(range(ROOT_SIZE))

_NAME = re.compile(r"[a-z0-9-]{1,64}")
_FILE = re.compile(
    r"# ipis role: (?P<role>[a-z0-9-]{1,64})\n# environment: (?P<environment>[a-z]{1,16})\n(?P<root>[0-9a-f]{64})\n"
)
_MAX_FILE = 1024
_OTHERS = 0o077


class RootKey:
    """The root key of one environment; it shows and carries nothing; `derive` is the only door."""

    __slots__ = ("_root", "environment")

    def __init__(self, root: bytes, environment: Environment) -> None:
        """Take 32 bytes; the published test root is refused in production."""
        if len(root) != ROOT_SIZE:
            raise ValueError(f"a root key has {ROOT_SIZE} bytes")
        if root == TEST_ROOT and environment is Environment.PRODUCTION:
            raise Misuse("tpfkeys.test_root")
        self._root = root
        self.environment = environment

    def __repr__(self) -> str:
        return f"<RootKey {self.environment}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a root key does not travel")

    def derive(self, register: str, purpose: str, version: int) -> bytes:
        """Derive the 32-byte key of one register, purpose and version; names in `[a-z0-9-]`."""
        if not (_NAME.fullmatch(register) and _NAME.fullmatch(purpose) and version > 0):
            raise ValueError("register and purpose are names in [a-z0-9-], version is a positive number")
        info = f"ipis/tpf/v1|{register}|{purpose}|{version}".encode("ascii")
        return HKDF(SHA256(), ROOT_SIZE, None, info).derive(self._root)


def make_root_key(path: Path, environment: Environment) -> None:
    """Draw a root key and write its file for the owner alone; one that is there already is never overwritten."""
    if path.exists():
        raise Misuse("tpfkeys.exists", file=path.name)
    text = f"# ipis role: {ROLE}\n# environment: {environment}\n{secrets.token_hex(ROOT_SIZE)}\n"
    write_durably(path, text.encode("ascii"), mode=0o600)


def load_root_key(path: Path, environment: Environment) -> RootKey:
    """Read a root key file strictly; another role, another environment or a file open to others refuses to start."""
    if not path.is_file():
        raise Misuse("tpfkeys.missing", file=path.name)
    mode = path.stat().st_mode
    if mode & _OTHERS:
        raise Misuse("tpfkeys.open_to_others", file=path.name, mode=f"{mode & 0o777:04o}")
    with path.open("rb") as file:
        content = file.read(_MAX_FILE)
    parts = _FILE.fullmatch(content.decode("ascii", errors="replace"))
    if parts is None:
        raise Misuse("tpfkeys.form", file=path.name)
    if parts["role"] != ROLE:
        raise Misuse("tpfkeys.role", file=path.name, role=parts["role"], wanted=ROLE)
    if parts["environment"] != environment.value:
        raise Misuse("tpfkeys.environment", file=path.name, environment=parts["environment"], wanted=environment.value)
    return RootKey(bytes.fromhex(parts["root"]), environment)
