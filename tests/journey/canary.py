"""Finds known values in whatever a party has written, however it is packed or written down.

Files are decoded, not just read: Parquet through a reader, SQLite cell by cell, zips (with a PIN where there is one) and
workbooks member by member, mails part by part. A value is looked for raw, separated, as a 64-bit number, in base64 at
every alignment, in hex, in UTF-16, and as an unsalted hash.
"""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import io
import sqlite3
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pyzipper

_NESTED = 4


@dataclass(frozen=True)
class Sighting:
    """A value that was found: whose it is, in which form, in which file."""

    label: str
    form: str
    path: str


def forms_of(value: str) -> dict[str, bytes]:
    """Give every way in which a value may have been written down."""
    raw = value.encode()
    found = {"raw": raw, "hex": raw.hex().encode(), "HEX": raw.hex().upper().encode()}
    found |= {f"utf-16-{end}": value.encode(f"utf-16-{end}") for end in ("le", "be")}
    for name in ("md5", "sha1", "sha256", "sha512"):
        digest = hashlib.new(name, raw, usedforsecurity=False).digest()
        found |= {name: digest, f"{name} hex": digest.hex().encode()}
        found[f"{name} base64"] = base64.b64encode(digest).rstrip(b"=")
    for shift in range(3):
        # The letters that depend on neighbours are cut off, so that the middle is found at any alignment.
        encoded = base64.b64encode(b"\0" * shift + raw)
        found[f"base64 +{shift}"] = encoded[(0, 2, 3)[shift] : len(encoded) - (4 if (shift + len(raw)) % 3 else 0)]
    if value.isdigit():
        for sign in " -.":
            found[f"separated {sign!r}"] = f"{value[:6]}{sign}{value[6:]}".encode()
        found |= {"int64 le": struct.pack("<q", int(value)), "int64 be": struct.pack(">q", int(value))}
    return found


def search(root: Path, values: dict[str, str], password: str | None = None) -> list[Sighting]:
    """Look for the values (label -> value) in every file below a folder, and in the names of the files."""
    needles = [(label, form, needle) for label, value in values.items() for form, needle in forms_of(value).items()]
    seen = []
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        contents = [name.encode()]
        if path.is_file() and not path.is_symlink():
            contents += decode(path.name, path.read_bytes(), path, password)
        whole = b"\n".join(contents)
        seen += [Sighting(label, form, name) for label, form, needle in needles if needle in whole]
    return seen


def decode(
    name: str, content: bytes, path: Path | None = None, password: str | None = None, depth: int = 0
) -> list[bytes]:
    """Give the bytes of a file and all that can be read out of it."""
    found = [content]
    if depth > _NESTED:
        return found
    if content[:4] == b"PAR1":
        found.append(_parquet(content))
    if content[:16] == b"SQLite format 3\0" and path is not None:
        found += _sqlite(path, depth)
    if content[:4] == b"PK\x03\x04":
        found += _zip(content, password, depth)
    if name.endswith(".eml"):
        found += _mail(content, depth)
    return found


def _parquet(content: bytes) -> bytes:
    table = pq.read_table(io.BytesIO(content))
    cells = [str(table.schema.metadata)]
    for column in table.columns:
        cells += [value.hex() if isinstance(value, bytes) else str(value) for value in column.to_pylist()]
    return "\n".join(cells).encode()


def _sqlite(path: Path, depth: int) -> list[bytes]:
    found = []
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):
                for cell in row:
                    if isinstance(cell, bytes):
                        found += decode("cell", cell, depth=depth + 1)
                    else:
                        found.append(str(cell).encode())
    database.close()
    return found


def _zip(content: bytes, password: str | None, depth: int) -> list[bytes]:
    found = []
    with pyzipper.AESZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            found.append(member.filename.encode())
            locked = bool(member.flag_bits & 1)
            if locked and password is None:
                continue
            if locked:
                archive.setpassword(password.encode())
            try:
                found += decode(member.filename, archive.read(member), None, password, depth + 1)
            except (RuntimeError, zipfile.BadZipFile):
                continue  # another municipality's zip: closed to this PIN, so nobody reads it with it
    return found


def _mail(content: bytes, depth: int) -> list[bytes]:
    message = email.message_from_bytes(content, policy=email.policy.default)
    found = [f"{key}: {value}".encode() for key, value in message.items()]
    for part in message.walk():
        if not part.is_multipart():
            payload = part.get_payload(decode=True) or b""
            found += decode(part.get_filename() or "part", payload, depth=depth + 1)
    return found
