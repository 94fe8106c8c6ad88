"""`forward.json`: what TPF tells SSB of a forsendelse that it hands on, signed with its forward key (`ipis-forward@v1`).

One shape for both sides. It names every member by size and SHA-256, so that nothing is taken that TPF did not send.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final

from ipis.kernel.environment import Environment
from ipis.kernel.errors import ParcelRefused

NAMESPACE: Final = "ipis-forward@v1"
MEMBER_NAME: Final = re.compile(
    r"manifest\.json(\.sig)?|(data|mapping)-[0-9]{4}\.age|contact\.age|R[12]\.json(\.sig)?", re.ASCII
)
_LONGEST: Final = 1 << 20
_FORMS: Final = {
    "forsendelse": r"[0-9a-f]{32}",
    "register": r"[a-z0-9-]{1,64}",
    "kommune": r"[0-9]{4}",
    "bydel": r"[0-9]{2}",
    "orgnr": r"[0-9]{9}",
    "phase": r"open|late|closed",
    "sender_key": r"ssh-ed25519 [A-Za-z0-9+/]{68}",
    "key_check_value": r"[0-9a-f]{6}",
    "manifest_sha256": r"[0-9a-f]{64}",
    "sha256": r"[0-9a-f]{64}",
}


@dataclass(frozen=True, slots=True)
class Member:
    """One file that goes with the forsendelse: its name, size in bytes and SHA-256 in hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Forward:
    """What TPF vouches for."""

    environment: Environment
    forsendelse: str
    register: str
    year: int
    kommune: str
    bydel: str
    orgnr: str
    sequence: int
    manifest_sha256: str
    phase: str
    """The phase of the window in which it was received, in lower case, as R1 says."""
    received_at: datetime
    """The instant of R1."""
    pin_generation: int
    """The generation of the PIN that logged in."""
    sender_key: str
    """The public key that TPF vouches for, `ssh-ed25519 …`, no comment."""
    key_version: int
    key_check_value: str
    """Of the national key of that version; 6 hex digits."""
    members: tuple[Member, ...]

    def to_bytes(self) -> bytes:
        """Write the canonical bytes that are signed."""
        content: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        content["received_at"] = self.received_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        content["members"] = [asdict(member) for member in self.members]
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Forward:
        """Read and check; raises ParcelRefused `forward.form`, naming the field at fault, when anything is not as it must be."""
        content = _object(raw)
        _check_keys(content, {field.name for field in fields(cls)}, "forward")
        for name in ("year", "sequence", "pin_generation", "key_version"):
            if type(content[name]) is not int or not 0 <= content[name] <= 9999:
                raise _malformed(name)
        _check_forms(content)
        try:
            forward = cls(
                **content
                | {
                    "environment": Environment(content["environment"]),
                    "received_at": datetime.strptime(content["received_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC),
                    "members": tuple(map(_member, content["members"])),
                }
            )
        except (TypeError, ValueError):
            raise _malformed("value") from None
        names = [member.name for member in forward.members]
        if len(set(names)) != len(names):
            raise _malformed("members")
        if forward.to_bytes() != raw:
            raise _malformed("canonical")
        return forward

    def member(self, name: str) -> Member | None:
        """Give the named member, or None."""
        return next((member for member in self.members if member.name == name), None)

    def names(self, role: str) -> list[str]:
        """List the members of a role (`data`, `mapping`) in order."""
        return sorted(member.name for member in self.members if member.name.startswith(f"{role}-"))


def _object(raw: bytes) -> dict[str, Any]:
    if len(raw) > _LONGEST:
        raise _malformed("size")
    try:
        content = json.loads(raw.decode(), object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError):
        raise _malformed("json") from None
    if not isinstance(content, dict):
        raise _malformed("json")
    return content


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _malformed("doubled")
    return found


def _check_keys(content: dict[str, Any], expected: set[str], where: str) -> None:
    if set(content) != expected:
        raise _malformed(next(iter(sorted(set(content) ^ expected)), where) if len(content) < 100 else where)


def _check_forms(content: dict[str, Any]) -> None:
    for name, form in _FORMS.items():
        if name in content and not (isinstance(content[name], str) and re.fullmatch(form, content[name], re.ASCII)):
            raise _malformed(name)


def _member(content: Any) -> Member:
    if not isinstance(content, dict):
        raise _malformed("members")
    _check_keys(content, {"name", "size", "sha256"}, "members")
    _check_forms(content)
    if not (isinstance(content["name"], str) and MEMBER_NAME.fullmatch(content["name"])):
        raise _malformed("members")
    if type(content["size"]) is not int or content["size"] < 0:
        raise _malformed("size")
    return Member(**content)


def _malformed(field: str) -> ParcelRefused:
    known = {*Forward.__slots__, "json", "size", "doubled", "canonical", "value", "sha256", "name"}
    return ParcelRefused("forward.form", field=field if field in known else "field")
