"""What stands in for municipality and TPF: a forsendelse of Testvik as TPF would forward it, with every key of the season."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from ipis.kernel import keying, seasonpack
from ipis.kernel.canonical import sha256
from ipis.kernel.contact import Contact
from ipis.kernel.container import Archive
from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.demo import demo_orgnr
from ipis.kernel.environment import Environment
from ipis.kernel.forsendelse import Limits, Rows, pack
from ipis.kernel.identifiers import MAPPING_SCHEMA
from ipis.kernel.layout import Kind, Layout
from ipis.kernel.layout_file import parse
from ipis.kernel.manifest import Facts, Manifest
from ipis.kernel.messages import FORWARD, File, Forward
from ipis.kernel.opening import seal_mapping
from ipis.kernel.receipt import Kind as Receipt_
from ipis.kernel.receipt import Receipt, SignedReceipt, sign
from ipis.kernel.sealed import Identity
from ipis.kernel.secret import Secret
from ipis.kernel.signature import SigningKey
from ipis.kommune.answers import Answer, seal_rows

TEST = Environment.TEST
TESTVIK, NABO, BYDAL = "0403", "0412", "0301"
YEAR = 2017
KEY_CHECK = "4a1f21"
PIN = "ABCDEFGH23456789"
ARRIVED = datetime(2018, 1, 3, 9, 0, tzinfo=UTC)


def layout(year: int = YEAR) -> Layout:
    return parse(DefinitionFolder.packaged("iplos", year).require("layout.toml"))


@dataclass(frozen=True)
class Tpf:
    """The keys of TPF, of the sender and of the root."""

    tpf: Identity = field(default_factory=lambda: Identity.generate("tpf", TEST))
    receipts: SigningKey = field(default_factory=lambda: SigningKey.generate("tpf-receipt", TEST))
    forward: SigningKey = field(default_factory=lambda: SigningKey.generate("tpf-forward", TEST))
    root: SigningKey = field(default_factory=lambda: SigningKey.generate("root", TEST))
    sender: SigningKey = field(default_factory=lambda: SigningKey.generate("sender", TEST))

    def public(self) -> list[dict[str, str]]:
        """TPF's `public/keys.json`."""
        recipient = self.tpf.recipient
        listed = [{"role": "tpf", "kind": "age", "public": recipient.text, "key_id": recipient.key_id}]
        return listed + [
            {"role": key.role, "kind": "ssh-ed25519", "public": key.public.openssh, "key_id": key.public.fingerprint}
            for key in (self.receipts, self.forward)
        ]


@dataclass(frozen=True)
class Content:
    """What a forsendelse says; a test changes what it is about."""

    kommune: str = TESTVIK
    bydel: str = "00"
    orgnr: str = ""
    year: int = YEAR
    sequence: int = 1
    persons: int = 30
    forsendelse: str = ""
    replaces: str | None = None
    phase: str = "open"
    arrived_at: datetime = ARRIVED
    email: str = "faglig@k0403.kommune.test"
    phone: str | None = "90000000"
    language: str = "nb"
    pin: str = PIN
    pin_generation: int = 1
    key_check: str = KEY_CHECK
    key_version: int = 1
    environment: Environment = TEST
    part_bytes: int | None = None
    mapping_parts: int = 1
    seed: int = 1
    text: str = ""
    """Put in a text field of every service, for the leak scan."""
    answers: tuple[Answer, ...] = ()
    bruker: str = "B"
    """What every brukerNr begins with."""
    unlinkable: frozenset[int] = frozenset()
    """The persons without a national pseudonym."""


@dataclass(frozen=True)
class Parcel:
    """A forsendelse as TPF forwards it: members, and the note with its signature."""

    content: Content
    forsendelse: str
    members: dict[str, bytes]
    forward: Forward
    signature: bytes
    tables: dict[str, pa.Table]
    mapping: pa.Table

    def note(self, forward: Forward | None = None, signature: bytes | None = None) -> dict[str, str]:
        """The body of the hand-over."""
        raw = (forward or self.forward).to_bytes()
        return {"forward": base64.b64encode(raw).decode(), "signature": (signature or self.signature).decode()}


def parcel(folder: Path, tpf: Tpf, pack_: seasonpack.SeasonPack, content: Content = Content()) -> Parcel:
    """Seal, pseudonymise and sign: the whole way from a municipality to TPF's door out."""
    kinds = layout(content.year)
    tables = extract_tables(kinds, content)
    keyed = keying.key_rows(tables, kinds)
    keys = np.concatenate([keyed.person_keys, keyed.orphan_keys])
    facts = _facts(content, tpf, pack_)
    work = folder / secrets.token_hex(8)
    work.mkdir()
    contact = Contact(content.email, content.phone, Secret(content.pin), None, content.language)
    svar, lokal = seal_rows(content.answers, keyed.lokal) if content.answers else (None, keyed.lokal)
    rows = Rows(_identities(keys), keyed.tables, lokal, kinds, svar)
    (file,) = pack(
        facts, rows, contact, pack_.recipients, tpf.sender, work / "a.forsendelse", Limits(content.part_bytes)
    )
    archive = Archive(file, file.name)
    members = {name: archive.read(name, 1 << 30) for name in archive.names if not name.startswith("identity-")}
    manifest = Manifest.parse(members["manifest.json"])
    mapping = mapping_of(keys, len(keyed.person_keys), content)
    members |= seal_mappings(work, facts, mapping, pack_, content.mapping_parts)
    members |= receipts(tpf, content, facts, sha256(members["manifest.json"]))
    assert manifest.facts == facts
    return sign_forward(tpf, content, facts, members, dict(keyed.tables), mapping)


def sign_forward(tpf, content, facts, members, tables, mapping) -> Parcel:
    forward = Forward(
        environment=facts.environment,
        forsendelse=facts.forsendelse,
        register=facts.register,
        year=facts.year,
        kommune=facts.kommune,
        bydel=facts.bydel,
        orgnr=facts.orgnr,
        sequence=facts.sequence,
        manifest_sha256=sha256(members["manifest.json"]),
        sender=tpf.sender.public.openssh,
        pin_generation=content.pin_generation,
        phase=content.phase,
        received_at=content.arrived_at,
        key_version=content.key_version,
        key_check=content.key_check,
        members=tuple(File(name, len(data), sha256(data)) for name, data in sorted(members.items())),
    )
    return Parcel(
        content, facts.forsendelse, members, forward, tpf.forward.sign(forward.to_bytes(), FORWARD), tables, mapping
    )


def resigned(tpf: Tpf, made: Parcel, **changes) -> Parcel:
    """The same parcel with changed members, or with another note, signed anew by TPF."""
    members = changes.pop("members", made.members)
    files = tuple(File(name, len(data), sha256(data)) for name, data in sorted(members.items()))
    forward = replace(made.forward, **{"members": files, **changes})
    return replace(made, members=members, forward=forward, signature=tpf.forward.sign(forward.to_bytes(), FORWARD))


def _facts(content: Content, tpf: Tpf, pack_: seasonpack.SeasonPack) -> Facts:
    return Facts(
        environment=content.environment,
        forsendelse=content.forsendelse or secrets.token_hex(16),
        register="iplos",
        year=content.year,
        kommune=content.kommune,
        bydel=content.bydel,
        orgnr=content.orgnr or demo_orgnr(content.kommune),
        sequence=content.sequence,
        replaces=content.replaces,
        created_at=ARRIVED,
        program="ipis test",
        pack_version=pack_.version,
        sender=tpf.sender.public.fingerprint,
    )


def receipts(tpf: Tpf, content: Content, facts: Facts, manifest_sha256: str, **changes) -> dict[str, bytes]:
    """R1 and R2 with their signatures, as files."""
    first = Receipt(
        kind=Receipt_.R1,
        forsendelse=facts.forsendelse,
        register=facts.register,
        year=facts.year,
        kommune=facts.kommune,
        bydel=facts.bydel,
        sequence=facts.sequence,
        environment=facts.environment,
        manifest_sha256=manifest_sha256,
        issuer="tpf",
        at=content.arrived_at,
        phase=content.phase,
        audit_head="0" * 64,
        causes=None,
        details={"pin_generation": content.pin_generation},
    )
    r1 = sign(replace(first, **changes), tpf.receipts)
    r2 = sign(replace(first, kind=Receipt_.R2, causes=r1.sha256, details={}), tpf.receipts)
    return {**_files(r1, "R1"), **_files(r2, "R2")}


def _files(signed: SignedReceipt, kind: str) -> dict[str, bytes]:
    return {f"{kind}.json": signed.data, f"{kind}.json.sig": signed.signature}


def seal_mappings(
    work: Path, facts: Facts, mapping: pa.Table, pack_: seasonpack.SeasonPack, parts: int
) -> dict[str, bytes]:
    """Seal the mapping in so many parts."""
    from ipis.kernel.manifest import commitment_of
    from ipis.kernel.rows import keys_of

    whole = (commitment_of(keys_of(mapping).tobytes()), mapping.num_rows)
    step = -(-mapping.num_rows // parts)
    found = {}
    for k in range(1, parts + 1):
        name = f"mapping-{k:04d}.age"
        piece = mapping.slice((k - 1) * step, step)
        seal_mapping(facts, piece, (k, parts), whole, pack_.recipients.ssb, work / name)
        found[name] = (work / name).read_bytes()
    return found


def mapping_of(keys: np.ndarray, persons: int, content: Content) -> pa.Table:
    """What TPF makes of the identities: by person key, a pseudonym that only depends on the person."""
    order = np.argsort(np.ascontiguousarray(keys).view("S16").reshape(-1))
    known = (order < persons) & ~np.isin(order, list(content.unlinkable))
    return pa.table(
        {
            "person_key": pa.array([bytes(key) for key in keys[order]], pa.binary(16)),
            "pseudonym": pa.array(
                [
                    pseudonym_of(int(n)) if each else secrets.token_bytes(16)
                    for n, each in zip(order, known, strict=True)
                ],
                pa.binary(16),
            ),
            "id_class": ["national" if each else "unlinkable" for each in known],
            "key_version": pa.array([content.key_version] * len(order), pa.int16()),
            "kjoenn": [("1", "2")[int(n) % 2] if each else None for n, each in zip(order, known, strict=True)],
            "foedselsaar": pa.array(
                [1930 + int(n) % 60 if each else None for n, each in zip(order, known, strict=True)], pa.int16()
            ),
            "id_reason": ["ok" if each else "missing" for each in known],
        },
        schema=MAPPING_SCHEMA,
    )


def pseudonym_of(person: int) -> bytes:
    """TPF's pseudonym of the cast's person number n."""
    return person.to_bytes(16, "big")


def _identities(keys: np.ndarray) -> np.ndarray:
    records = np.zeros((len(keys), 32), np.uint8)
    records[:, :16] = keys
    return records


def extract_tables(kinds: Layout, content: Content) -> dict[str, pa.Table]:
    """Tables as the extract reader gives them: a person each, two services, one of everything else, one orphan service."""
    tables = {}
    for name, record in kinds.records.items():
        owners: list[int | None] = list(range(content.persons)) * (2 if name == "tjeneste" else 1)
        if name == "tjeneste":
            owners.append(None)
        columns: dict[str, list[object]] = {"_row": list(range(len(owners))), "_person": list(owners)}
        for each in record.fields.values():
            columns[each.name] = [_value(each.kind, each.name, n, owner, content) for n, owner in enumerate(owners)]
            if each.has_raw:
                columns[f"{each.name}__raw"] = [None] * len(owners)
        tables[name] = pa.table(columns, schema=record.schema())
    return tables


def _value(kind: Kind, name: str, n: int, owner: int | None, content: Content) -> object:
    if kind is Kind.ID:
        return f"{content.bruker}{owner}" if name == "brukerNr" else f"{name}-{n}-{content.seed}"
    if kind is Kind.STR:
        # A synthetic number of its own in each row, for the leak scan.
        return content.text.format(n=n) if content.text else f"tekst æ{n}"
    return {
        Kind.CODE: "1",
        Kind.INT: n % 100,
        Kind.DEC: Decimal(n % 10),
        Kind.DATE: date(content.year, 1, 1 + n % 28),
        Kind.DATETIME: "2018-01-01T00:00:00+01:00",
    }[kind]
