"""The season pack: one signed file a year with definitions, key set, organisations and agreements (architecture §2.3).

An offline root signs `pack.json`, which holds the hash of every member. Production trusts a pinned root only;
a demo or test pack may be trusted at first use, after which another root is refused by the keyring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Final

from ipis.kernel import canonical, container, fields, signature
from ipis.kernel.collection import Collection, load
from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.environment import Environment
from ipis.kernel.errors import IpisError, PackRefused
from ipis.kernel.packing import Recipients
from ipis.kernel.sealed import Recipient
from ipis.kernel.signature import PublicKey

NAMESPACE: Final = "ipis-keys@v1"
BODY: Final = "pack.json"
SIGNATURE: Final = "pack.json.sig"
DEFINITIONS: Final = "definitions/"
_AGE_ROLES: Final = ("tpf", "ssb", "feedback")
_SIGNING_ROLES: Final = ("tpf-receipt", "tpf-forward", "ssb-receipt", "ssb-push")
_MAX_MEMBER: Final = 32 << 20


class KeyState(StrEnum):
    """The life of a key."""

    PENDING = "pending"
    """Announced, not yet used."""
    ACTIVE = "active"
    """In use; one per role that is sealed to."""
    ACCEPT_UNTIL = "accept-until"
    """Replaced; what was sealed or signed with it is still taken until an instant."""
    DESTROYED = "destroyed"
    """Gone; nothing can be opened with it."""


@dataclass(frozen=True, slots=True)
class Key:
    """One public key of the key set."""

    role: str
    kind: str
    public: str
    key_id: str
    state: KeyState = KeyState.ACTIVE
    accept_until: datetime | None = None

    @classmethod
    def public_of(cls, entry: Mapping[str, object]) -> Key:
        """Read an entry of a room's `public/keys.json`: role, kind, public, key_id; the key becomes active."""
        whole = {**entry, "state": KeyState.ACTIVE.value, "accept_until": None}
        return cls.read(fields.Reader(whole, "keys.json", "seasonpack.field", PackRefused))

    @classmethod
    def read(cls, read: fields.Reader) -> Key:
        """Read the JSON object; id and kind must follow from role and key."""
        read.only(frozenset(cls.__dataclass_fields__))
        role = read.text("role", "|".join((*_AGE_ROLES, *_SIGNING_ROLES)))
        kind = read.text("kind", "age" if role in _AGE_ROLES else "ssh-ed25519")
        public = read.free("public", 200)
        state = KeyState(read.text("state", "|".join(KeyState)))
        until = None if read.values["accept_until"] is None else read.instant("accept_until")
        if (until is None) == (state is KeyState.ACCEPT_UNTIL):
            raise read.refuse("accept_until")
        try:
            its = Recipient(public).key_id if kind == "age" else PublicKey.parse(public).fingerprint
        except IpisError as error:
            raise read.refuse("public") from error
        if read.free("key_id", 60) != its:
            raise read.refuse("key_id")
        return cls(role, kind, public, its, state, until)

    def as_dict(self) -> dict[str, object]:
        """Give the JSON object."""
        until = None if self.accept_until is None else fields.write_instant(self.accept_until)
        return {
            "role": self.role,
            "kind": self.kind,
            "public": self.public,
            "key_id": self.key_id,
            "state": self.state,
            "accept_until": until,
        }

    def accepted(self, at: datetime | None) -> bool:
        """Tell whether what was sealed or signed with the key is taken; no instant: whether it ever still is."""
        if self.state is KeyState.ACCEPT_UNTIL:
            return at is None or self.accept_until is None or at < self.accept_until
        return self.state is KeyState.ACTIVE


@dataclass(frozen=True, slots=True)
class Organisation:
    """Who answers for a municipality's number; after a merger the successor (architecture §2.4)."""

    orgnr: str
    domain: str


@dataclass(frozen=True, slots=True)
class Body:
    """What `pack.json` says, the member hashes aside."""

    environment: Environment
    register: str
    year: int
    version: int
    created_at: datetime
    keys: tuple[Key, ...]
    agreements: Mapping[str, tuple[str, ...]]
    """Municipality -> its agreed districts; the others send `00`."""
    organisations: Mapping[str, Organisation]
    successors: Mapping[str, str]
    """Number of the collection year -> the number that took it over."""
    care_units: tuple[str, ...]

    def to_bytes(self, members: Mapping[str, str]) -> bytes:
        """Give the canonical JSON that the root signs."""
        return canonical.dumps(
            {
                "format": 1,
                "environment": self.environment,
                "register": self.register,
                "year": self.year,
                "version": self.version,
                "created_at": fields.write_instant(self.created_at),
                "keys": [key.as_dict() for key in self.keys],
                "agreements": {name: sorted(bydeler) for name, bydeler in self.agreements.items()},
                "organisations": {
                    name: {"orgnr": each.orgnr, "domain": each.domain} for name, each in self.organisations.items()
                },
                "successors": dict(self.successors),
                "care_units": sorted(self.care_units),
                "members": dict(members),
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> tuple[Body, dict[str, str]]:
        """Read pack.json; gives the body and the hash of every member."""
        read = fields.Reader(canonical.loads(data, what=BODY), BODY, "seasonpack.field", PackRefused)
        read.only(frozenset(cls.__dataclass_fields__) | {"format", "members"})
        read.number("format", 1, 1)
        body = cls(
            environment=read.environment(),
            register=read.text("register", "[a-z0-9-]{1,20}"),
            year=read.number("year", 1900, 9999),
            version=read.number("version", 1, 10**6),
            created_at=read.instant("created_at"),
            keys=tuple(Key.read(item) for item in read.objects("keys", 200)),
            agreements={
                name: _bydeler(read, name, value) for name, value in read.named("agreements", fields.KOMMUNE).items()
            },
            organisations={
                name: _organisation(read, value) for name, value in read.named("organisations", fields.KOMMUNE).items()
            },
            successors=_texts(read, "successors", fields.KOMMUNE, fields.KOMMUNE),
            care_units=read.texts("care_units", fields.ORGNR, 200_000),
        )
        body._check_keys(read)
        return body, _texts(read, "members", r"definitions/[A-Za-z0-9._/-]{1,180}", fields.HEX64)

    def _check_keys(self, read: fields.Reader) -> None:
        """Refuse a key id twice, and two active keys of a role that is sealed to."""
        ids = [key.key_id for key in self.keys]
        active = [key.role for key in self.keys if key.state is KeyState.ACTIVE and key.kind == "age"]
        if len(set(ids)) != len(ids) or len(set(active)) != len(active):
            raise read.refuse("keys")


@dataclass(frozen=True)
class SeasonPack:
    """A season pack whose root, hashes and form have been verified."""

    body: Body
    root: PublicKey
    definitions: Mapping[str, bytes]
    sha256: str

    @classmethod
    def load(
        cls, path: Path, trusted_root: PublicKey | None = None, environment: Environment | None = None
    ) -> SeasonPack:
        """Read and verify a pack; without a pinned root only a demo or test pack is trusted."""
        archive = _archive(path)
        raw, armored = archive.read(BODY, canonical.MAX_BYTES), archive.read(SIGNATURE, 4096)
        root = trusted_root or signature.signer_of(armored)
        _verify_root(raw, armored, root)
        body, hashes = Body.parse(raw)
        if trusted_root is None and not body.environment.synthetic:
            raise PackRefused("seasonpack.root_not_pinned", file=path.name, fingerprint=root.fingerprint)
        if environment is not None and body.environment is not environment:
            raise PackRefused("seasonpack.environment", file=path.name, found=body.environment, expected=environment)
        if archive.names != (*hashes, BODY, SIGNATURE):
            raise PackRefused("seasonpack.members", file=path.name)
        definitions = {}
        for name, sha256 in hashes.items():
            content = archive.read(name, _MAX_MEMBER)
            if canonical.sha256(content) != sha256:
                raise PackRefused("seasonpack.hash", file=path.name, member=name)
            definitions[name.removeprefix(DEFINITIONS)] = content
        return cls(body, root, definitions, canonical.sha256(raw))

    @property
    def environment(self) -> Environment:
        """Give the environment of its keys."""
        return self.body.environment

    @property
    def register(self) -> str:
        """Give the register."""
        return self.body.register

    @property
    def year(self) -> int:
        """Give the collection year."""
        return self.body.year

    @property
    def version(self) -> int:
        """Give the version, which never goes down."""
        return self.body.version

    @cached_property
    def collection(self) -> Collection:
        """Load the collection year from the pack's definitions."""
        return load(DefinitionFolder.from_members(self.definitions))

    @property
    def recipients(self) -> Recipients:
        """Give whom the parts of a forsendelse are sealed to: the active key of each role."""
        return Recipients(*(Recipient(self.active_key(role).public) for role in _AGE_ROLES))

    def active_key(self, role: str) -> Key:
        """Give the active key of a role; refuse a pack without one."""
        for key in self.body.keys:
            if key.role == role and key.state is KeyState.ACTIVE:
                return key
        raise PackRefused("seasonpack.no_active_key", role=role, year=self.year)

    def accepted_key_ids(self, role: str, at: datetime | None = None) -> frozenset[str]:
        """Give the ids of the keys of a role that are taken at an instant."""
        return frozenset(key.key_id for key in self.body.keys if key.role == role and key.accepted(at))

    def signing_keys(self, role: str, at: datetime | None = None) -> tuple[PublicKey, ...]:
        """Give the public keys of a signing role that are taken at an instant."""
        return tuple(PublicKey.parse(k.public) for k in self.body.keys if k.role == role and k.accepted(at))

    def refuse_older(self, seen: int) -> None:
        """Refuse a version below one that has been seen: an old key set brought back."""
        if self.version < seen:
            raise PackRefused("seasonpack.version_down", found=self.version, seen=seen)

    def orgnr_of(self, kommune: str) -> str | None:
        """Give the organisation number that answers for a municipality's number."""
        found = self.body.organisations.get(kommune)
        return None if found is None else found.orgnr

    def successor_of(self, kommune: str) -> str:
        """Give the number under which the portal knows the municipality: its own, or that of what took it over."""
        return self.body.successors.get(kommune, kommune)

    def bydeler(self, kommune: str) -> tuple[str, ...]:
        """Give the districts that may be sent: those agreed, else `00` alone."""
        return self.body.agreements.get(kommune) or ("00",)

    def allowed_signers(self) -> str:
        """Write what `ssh-keygen -Y verify` needs to check receipts offline: parties `tpf` and `ssb`, and the root."""
        entries = [
            (key.role.partition("-")[0], key.role, PublicKey.parse(key.public))
            for key in self.body.keys
            if key.role in _SIGNING_ROLES and key.state is not KeyState.PENDING
        ]
        return signature.allowed_signers([("root", "root", self.root), *entries])


def write_unsigned(out: Path, body: Body, definitions: Mapping[str, bytes]) -> bytes:
    """Write the pack without its signature and give `pack.json`, which the root is to sign."""
    members = {f"{DEFINITIONS}{name}": content for name, content in sorted(definitions.items())}
    raw = body.to_bytes({name: canonical.sha256(content) for name, content in members.items()})
    Body.parse(raw)
    sources = [container.Source.of_bytes(name, content) for name, content in members.items()]
    container.write(out, [*sources, container.Source.of_bytes(BODY, raw)])
    return raw


def body_of(unsigned: Path) -> bytes:
    """Give `pack.json` of a pack that is to be signed."""
    return _archive(unsigned).read(BODY, canonical.MAX_BYTES)


def attach(unsigned: Path, armored: bytes, out: Path, root: PublicKey | None = None) -> SeasonPack:
    """Join the root's signature to a pack, write the whole, and give it as read back."""
    archive = _archive(unsigned)
    raw = archive.read(BODY, canonical.MAX_BYTES)
    signer = root or signature.signer_of(armored)
    _verify_root(raw, armored, signer)
    sources = [container.Source.of_bytes(name, archive.read(name, _MAX_MEMBER)) for name in archive.names]
    container.write(out, [*sources, container.Source.of_bytes(SIGNATURE, armored)])
    return SeasonPack.load(out, trusted_root=signer)


def _archive(path: Path) -> container.Archive:
    try:
        return container.Archive(path, path.name)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise PackRefused("seasonpack.missing", file=path.name) from None
    except IpisError as error:
        raise PackRefused("seasonpack.form", file=path.name, reason=error.code) from error


def _verify_root(raw: bytes, armored: bytes, root: PublicKey) -> None:
    try:
        signature.verify(raw, armored, NAMESPACE, [root])
    except IpisError as error:
        raise PackRefused("seasonpack.root", fingerprint=root.fingerprint, reason=error.code) from error


def _texts(read: fields.Reader, key: str, names: str, values: str) -> dict[str, str]:
    return {name: read.item(key, value, values) for name, value in read.named(key, names).items()}


def _bydeler(read: fields.Reader, kommune: str, value: object) -> tuple[str, ...]:
    return fields.Reader({kommune: value}, read.what, read.code, read.error).texts(kommune, fields.BYDEL, 100)


def _organisation(read: fields.Reader, value: object) -> Organisation:
    inner = read.inner("organisations", value)
    inner.only({"orgnr", "domain"})
    return Organisation(inner.text("orgnr", fields.ORGNR), inner.text("domain", r"[a-z0-9.-]{1,100}"))
