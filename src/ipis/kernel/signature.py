"""SSHSIG with Ed25519, as `ssh-keygen -Y` speaks it (PROTOCOL.sshsig); a key signs only in its role's namespaces."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ipis.kernel.environment import Environment
from ipis.kernel.errors import Misuse, OurFault, ParcelRefused

NAMESPACES: Final[dict[str, tuple[str, ...]]] = {
    "root": ("ipis-keys@v1",),
    "sender": ("ipis-manifest@v1", "ipis-login@v1"),
    "tpf-receipt": ("ipis-receipt@v1",),
    "tpf-forward": ("ipis-forward@v1",),
    "ssb-receipt": ("ipis-receipt@v1",),
    "ssb-push": ("ipis-push@v1",),
}
"""What each role may sign."""

_ALGORITHM = b"ssh-ed25519"
_MAGIC = b"SSHSIG"
_BEGIN = b"-----BEGIN SSH SIGNATURE-----\n"
_END = b"-----END SSH SIGNATURE-----"
_KEY_MAGIC = b"openssh-key-v1\0"
_KEY_BEGIN = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
_KEY_END = "-----END OPENSSH PRIVATE KEY-----\n"
_MAX_ARMOR = 4096


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key: 32 raw bytes."""

    raw: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Read `ssh-ed25519 AAAA… [comment]`; anything else is refused."""
        words = text.split()
        if len(words) < 2 or words[0] != _ALGORITHM.decode():
            raise ParcelRefused("signature.public_key")
        try:
            return cls(_public_raw(base64.b64decode(words[1], validate=True)))
        except (ValueError, struct.error) as error:
            raise ParcelRefused("signature.public_key") from error

    @property
    def blob(self) -> bytes:
        """Give the key as SSH writes it."""
        return _string(_ALGORITHM) + _string(self.raw)

    @property
    def openssh(self) -> str:
        """Give the key as one line of text, without a comment."""
        return f"{_ALGORITHM.decode()} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """Give the fingerprint as ssh-keygen -l prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


class SigningKey:
    """An Ed25519 private key with its role and environment; it shows neither itself nor its bytes."""

    __slots__ = ("_private", "environment", "public", "role")

    def __init__(self, private: Ed25519PrivateKey, role: str, environment: Environment) -> None:
        """Take a key of one role and environment."""
        if role not in NAMESPACES:
            raise OurFault("signature.unknown_role", role=role)
        self._private = private
        self.role = role
        self.environment = environment
        self.public = PublicKey(private.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        """Show the role only."""
        return f"<SigningKey {self.role} {self.environment}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to travel."""
        raise TypeError("a signing key does not travel")

    @classmethod
    def generate(cls, role: str, environment: Environment) -> SigningKey:
        """Make a new key."""
        return cls(Ed25519PrivateKey.generate(), role, environment)

    @classmethod
    def from_seed(cls, seed: bytes, role: str, environment: Environment) -> SigningKey:
        """Make the key of a 32-byte seed: test vectors only."""
        if environment is Environment.PRODUCTION:
            raise OurFault("signature.seed_in_production")
        return cls(Ed25519PrivateKey.from_private_bytes(seed), role, environment)

    @classmethod
    def load(cls, path: Path, role: str, environment: Environment | None = None) -> SigningKey:
        """Read an OpenSSH private key file and refuse another role or environment, or a file that others may read."""
        if not path.is_file():
            raise Misuse("signature.key_missing", file=path.name)
        if path.stat().st_mode & 0o077:
            raise Misuse("signature.key_readable", file=path.name)
        seed, comment = _read_private(path)
        found = re.fullmatch(r"ipis role=([a-z-]{1,20}) environment=(production|test|demo)", comment)
        if not found:
            raise Misuse("signature.key_comment", file=path.name)
        if found[1] != role:
            raise Misuse("signature.key_role", file=path.name, found=found[1], role=role)
        its = Environment(found[2])
        if environment is not None and its is not environment:
            raise Misuse("signature.key_environment", file=path.name, found=its, environment=environment)
        return cls(Ed25519PrivateKey.from_private_bytes(seed), role, its)

    def save(self, path: Path) -> None:
        """Write the key as a new OpenSSH private key file, mode 0600, its role in the comment."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(self._openssh())
            file.flush()
            os.fsync(file.fileno())

    def sign(self, data: bytes, namespace: str) -> bytes:
        """Sign the data; gives the armored signature that `ssh-keygen -Y verify` takes."""
        if namespace not in NAMESPACES[self.role]:
            raise OurFault("signature.namespace_of_role", role=self.role, namespace=namespace)
        signature = self._private.sign(_to_sign(data, namespace))
        blob = b"".join(
            (
                _MAGIC,
                struct.pack(">I", 1),
                _string(self.public.blob),
                _string(namespace.encode()),
                _string(b""),
                _string(b"sha512"),
                _string(_string(_ALGORITHM) + _string(signature)),
            )
        )
        return _BEGIN + _wrap(blob) + _END + b"\n"

    def _openssh(self) -> str:
        seed = self._private.private_bytes_raw()
        check = os.urandom(4)
        comment = f"ipis role={self.role} environment={self.environment}".encode()
        secret = check + check + self.public.blob + _string(seed + self.public.raw) + _string(comment)
        secret += bytes(range(1, 1 + -len(secret) % 8))
        blob = _KEY_MAGIC + _string(b"none") * 2 + _string(b"") + struct.pack(">I", 1)
        blob += _string(self.public.blob) + _string(secret)
        return _KEY_BEGIN + _wrap(blob).decode() + _KEY_END


def verify(data: bytes, armored: bytes, namespace: str, public_keys: Iterable[PublicKey]) -> PublicKey:
    """Tell which of the keys signed the data in the namespace; refuse every other case."""
    key, found, signature = _parse_armored(armored)
    if found != namespace.encode():
        raise ParcelRefused("signature.namespace", expected=namespace)
    if key not in set(public_keys):
        raise ParcelRefused("signature.other_key", fingerprint=key.fingerprint)
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, _to_sign(data, namespace))
    except InvalidSignature as error:
        raise ParcelRefused("signature.wrong", namespace=namespace) from error
    return key


def signer_of(armored: bytes) -> PublicKey:
    """Read which key a signature claims; proves nothing until `verify` has been called with it."""
    return _parse_armored(armored)[0]


def allowed_signers(entries: Iterable[tuple[str, str, PublicKey]]) -> str:
    """Write the `allowed_signers` file of (principal, role, key): what ssh-keygen needs to verify offline."""
    return "".join(
        f'{principal} namespaces="{",".join(NAMESPACES[role])}" {key.openssh}\n' for principal, role, key in entries
    )


def _parse_armored(armored: bytes) -> tuple[PublicKey, bytes, bytes]:
    """Split a signature into key, namespace and the 64 bytes; every deviation is one refusal."""
    body = armored.rstrip(b"\n")
    if len(armored) > _MAX_ARMOR or not body.startswith(_BEGIN) or not body.endswith(b"\n" + _END):
        raise ParcelRefused("signature.form")
    try:
        lines = body[len(_BEGIN) : -len(_END)]
        rest = base64.b64decode(lines.replace(b"\n", b""), validate=True)
        if rest[:10] != _MAGIC + struct.pack(">I", 1):
            raise ValueError
        key, rest = _take(rest[10:])
        namespace, rest = _take(rest)
        reserved, rest = _take(rest)
        digest, rest = _take(rest)
        wrapped, rest = _take(rest)
        algorithm, signature = _take(wrapped)
        value, tail = _take(signature)
        if (reserved, digest, rest, algorithm, tail) != (b"", b"sha512", b"", _ALGORITHM, b"") or len(value) != 64:
            raise ValueError
        return PublicKey(_public_raw(key)), namespace, value
    except (ValueError, struct.error, binascii.Error) as error:
        raise ParcelRefused("signature.form") from error


def _read_private(path: Path) -> tuple[bytes, str]:
    """Read seed and comment of an unencrypted OpenSSH private key; an encrypted or damaged one is refused."""
    try:
        text = path.read_text(encoding="ascii")
        if not text.startswith(_KEY_BEGIN) or not text.endswith(_KEY_END):
            raise ValueError
        blob = base64.b64decode(text[len(_KEY_BEGIN) : -len(_KEY_END)].replace("\n", ""), validate=True)
        head = _KEY_MAGIC + _string(b"none") * 2 + _string(b"") + struct.pack(">I", 1)
        if not blob.startswith(head):
            raise ValueError
        _, rest = _take(blob[len(head) :])
        secret, _ = _take(rest)
        if secret[:4] != secret[4:8]:
            raise ValueError
        _, rest = _take(secret[8:])
        _, rest = _take(rest)
        pair, rest = _take(rest)
        comment, _ = _take(rest)
        return pair[:32], comment.decode("ascii")
    except (ValueError, struct.error) as error:
        raise Misuse("signature.key_form", file=path.name) from error


def _to_sign(data: bytes, namespace: str) -> bytes:
    digest = hashlib.sha512(data).digest()
    return _MAGIC + _string(namespace.encode()) + _string(b"") + _string(b"sha512") + _string(digest)


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _take(data: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack_from(">I", data)
    if length > len(data) - 4:
        raise ValueError
    return data[4 : 4 + length], data[4 + length :]


def _public_raw(blob: bytes) -> bytes:
    algorithm, rest = _take(blob)
    raw, tail = _take(rest)
    if algorithm != _ALGORITHM or len(raw) != 32 or tail:
        raise ValueError
    return raw


def _wrap(blob: bytes) -> bytes:
    text = base64.b64encode(blob)
    return b"".join(text[i : i + 70] + b"\n" for i in range(0, len(text), 70))
