"""Sealing and opening with age v1: a strict look at the header first; nothing used before its last chunk verified."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol

import pyrage

from ipis.kernel.behind import BLOCK, WriteBehind
from ipis.kernel.environment import Environment
from ipis.kernel.errors import Misuse, ParcelRefused

MAX_HEADER: Final = 1024
KEY_ROLES: Final = ("tpf", "ssb", "feedback")
_VERSION = b"age-encryption.org/v1\n"
_BASE64 = rb"[A-Za-z0-9+/]"
_STANZA = re.compile(rb"-> ([\x21-\x7e]+(?: [\x21-\x7e]+)*)\n((?:" + _BASE64 + rb"{64}\n)*" + _BASE64 + rb"{0,63}\n)")
_MAC = re.compile(rb"--- " + _BASE64 + rb"{43}\n")


class Reader(Protocol):
    """What can be read from."""

    def read(self, size: int, /) -> bytes:
        """Give at most so many bytes."""


class Writer(Protocol):
    """What can be written to."""

    def write(self, data: Any, /) -> int:
        """Take all bytes and tell how many."""


class Recipient:
    """Somebody's public age key."""

    __slots__ = ("_key", "key_id", "text")

    def __init__(self, text: str) -> None:
        """Read an `age1…` recipient; anything else is refused."""
        try:
            self._key = pyrage.x25519.Recipient.from_str(text)
        except pyrage.RecipientError as error:
            raise ParcelRefused("parcel.recipient") from error
        self.text = text
        self.key_id = key_id(text)

    def __repr__(self) -> str:
        """Show the key id."""
        return f"<Recipient {self.key_id}>"

    @property
    def key(self) -> pyrage.x25519.Recipient:
        """Give what pyrage takes."""
        return self._key


class Identity:
    """A private age key with its role; it shows and carries nothing."""

    __slots__ = ("_key", "environment", "recipient", "role")

    def __init__(self, key: pyrage.x25519.Identity, role: str, environment: Environment) -> None:
        """Take a key of one role and environment."""
        self._key = key
        self.role = role
        self.environment = environment
        self.recipient = Recipient(str(key.to_public()))

    def __repr__(self) -> str:
        """Show role and key id only."""
        return f"<Identity {self.role} {self.environment} {self.key_id}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to travel."""
        raise TypeError("an identity does not travel")

    @property
    def key_id(self) -> str:
        """Give the id of the key."""
        return self.recipient.key_id

    @property
    def key(self) -> pyrage.x25519.Identity:
        """Give what pyrage takes."""
        return self._key

    @classmethod
    def generate(cls, role: str, environment: Environment) -> Identity:
        """Make a new key."""
        return cls(pyrage.x25519.Identity.generate(), role, environment)

    def save(self, path: Path) -> None:
        """Write a new age identity file, mode 0600, with role, environment and key id as comments."""
        text = (
            f"# ipis role: {self.role}\n# environment: {self.environment}\n# key id: {self.key_id}\n"
            f"# public key: {self.recipient.text}\n{self._key}\n"
        )
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def key_id(recipient: str) -> str:
    """Give a recipient's id: 16 hex digits of the SHA-256 of its text."""
    return hashlib.sha256(recipient.encode()).hexdigest()[:16]


def load_identity(path: Path, role: str, environment: Environment) -> Identity:
    """Read an age identity file and refuse another role or environment, or a file that others may read."""
    if not path.is_file():
        raise Misuse("parcel.key_missing", file=path.name)
    if path.stat().st_mode & 0o077:
        raise Misuse("parcel.key_readable", file=path.name)
    text = path.read_text(encoding="ascii", errors="replace")
    its_role = re.search(r"^# ipis role: ([a-z-]{1,20})$", text, re.MULTILINE)
    its_environment = re.search(r"^# environment: (production|test|demo)$", text, re.MULTILINE)
    secrets = re.findall(r"^AGE-SECRET-KEY-1[0-9A-Z]+$", text, re.MULTILINE)
    if not its_role or not its_environment or len(secrets) != 1:
        raise Misuse("parcel.key_form", file=path.name)
    if its_role[1] != role:
        raise Misuse("parcel.key_role", file=path.name, found=its_role[1], role=role)
    if its_environment[1] != environment:
        raise Misuse("parcel.key_environment", file=path.name, found=its_environment[1], environment=environment)
    try:
        return Identity(pyrage.x25519.Identity.from_str(secrets[0]), role, environment)
    except pyrage.IdentityError as error:
        raise Misuse("parcel.key_form", file=path.name) from error


def check_header(start: bytes) -> int:
    """Look at the first bytes of a sealed part; gives the header's length.

    pyrage's parser takes quadratic time on many stanzas, and a second recipient would open the part to another.
    """
    head = start[:MAX_HEADER]
    if not head.startswith(_VERSION):
        raise ParcelRefused("parcel.age_header")
    at = len(_VERSION)
    kinds: list[bytes] = []
    while stanza := _STANZA.match(head, at):
        kinds.append(stanza[1].split(b" ")[0])
        at = stanza.end()
    mac = _MAC.match(head, at)
    if mac is None:
        raise ParcelRefused("parcel.age_header")
    grease = sum(kind.endswith(b"-grease") for kind in kinds)
    if grease > 1 or kinds.count(b"X25519") != 1 or len(kinds) != grease + 1:
        raise ParcelRefused("parcel.age_recipients")
    return mac.end()


def seal_bytes(data: bytes, recipient: Recipient) -> bytes:
    """Seal what is small."""
    return bytes(pyrage.encrypt(data, [recipient.key]))


def seal_stream(reader: Reader, writer: Writer, recipient: Recipient) -> None:
    """Seal a stream of any length in constant memory."""
    with WriteBehind(writer) as behind:
        pyrage.encrypt_io(reader, behind, [recipient.key])


def open_bytes(sealed: bytes, identity: Identity, *, part: str) -> bytes:
    """Open what must not touch a disk; `part` names it in a refusal."""
    check_header(sealed[:MAX_HEADER])
    try:
        return bytes(pyrage.decrypt(sealed, [identity.key]))
    except (pyrage.DecryptError, OSError) as error:
        raise _refusal(error, part) from error


def open_to_file(sealed: Path, identity: Identity, staged: Path, *, part: str) -> Path:
    """Open a sealed file into a new private file, in constant memory; on any fault the file is gone again.

    pyrage writes as it goes, so `staged` must be in a private folder and may be read only after this returned.
    """
    with sealed.open("rb", buffering=BLOCK) as reader:
        check_header(reader.read(MAX_HEADER))
        reader.seek(0)
        handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb", buffering=BLOCK) as writer, WriteBehind(writer) as behind:
                try:
                    pyrage.decrypt_io(reader, behind, [identity.key])
                except (pyrage.DecryptError, OSError) as error:
                    # A full disk is no damaged part: leaving the block raises what the disk said.
                    if behind.fault is None:
                        raise _refusal(error, part) from error
        except BaseException:
            staged.unlink()
            raise
    return staged


def _refusal(error: Exception, part: str) -> ParcelRefused:
    """Tell a part for another key from a damaged one; pyrage's own words are not passed on.

    Raises MemoryError where it was memory that failed: the part may be as good as any.
    """
    if str(error) == "out of memory":
        raise MemoryError from error
    if "No matching keys" in str(error):
        return ParcelRefused("parcel.sealed_for_another", rule="K001", part=part)
    return ParcelRefused("parcel.sealed_damaged", rule="K001", part=part)
