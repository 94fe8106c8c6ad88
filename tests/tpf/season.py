"""A season for tests: SSB's keys, the root, the signed pack, and parcels of Testvik, Nabo and Storby sealed to them."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from ipis.kernel import identifiers
from ipis.kernel.contact import Contact
from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.demo import demo_domain, demo_orgnr, demo_pin
from ipis.kernel.environment import Environment
from ipis.kernel.foedselsnummer import judge, read_identities
from ipis.kernel.forsendelse import Limits, Rows, pack
from ipis.kernel.identifiers import pack_identities
from ipis.kernel.layout_file import parse
from ipis.kernel.manifest import Facts
from ipis.kernel.receipt import CAUSED_BY, Kind, Receipt, SignedReceipt, sign
from ipis.kernel.rows import part_schemas
from ipis.kernel.sealed import Identity
from ipis.kernel.seasonpack import NAMESPACE, Body, Key, Organisation, SeasonPack, attach, write_unsigned
from ipis.kernel.secret import Secret
from ipis.kernel.signature import SigningKey
from ipis.synth.identities import number_born_in

TEST = Environment.TEST
YEAR = 2017
TESTVIK, NABO, STORBY = "0403", "0412", "0301"
IN_WINDOW = datetime(2018, 1, 3, 9, 0, tzinfo=UTC)
BEFORE = datetime(2017, 12, 31, 12, 0, tzinfo=UTC)
LATE = datetime(2018, 2, 1, 9, 0, tzinfo=UTC)
CLOSED = datetime(2018, 4, 1, 9, 0, tzinfo=UTC)


@dataclass
class Season:
    """The other parties' keys and the pack that names all of them."""

    folder: Path
    tpf_keys: list[dict[str, str]]
    environment: Environment = TEST
    year: int = YEAR
    ssb: Identity = field(init=False)
    feedback: Identity = field(init=False)
    ssb_receipt: SigningKey = field(init=False)
    root: SigningKey = field(init=False)
    pack: SeasonPack = field(init=False)

    def __post_init__(self):
        self.ssb, self.feedback = (Identity.generate(role, self.environment) for role in ("ssb", "feedback"))
        self.ssb_receipt = SigningKey.generate("ssb-receipt", self.environment)
        self.root = SigningKey.generate("root", self.environment)
        self.publish()

    @property
    def path(self) -> Path:
        return self.folder / f"iplos-{self.year}.sesong"

    def publish(self, version: int = 1) -> None:
        """Write the pack, signed by the root."""
        kommuner = (TESTVIK, NABO, STORBY)
        body = Body(
            environment=self.environment,
            register="iplos",
            year=self.year,
            version=version,
            created_at=datetime(2017, 12, 1, tzinfo=UTC),
            keys=tuple(Key.public_of(entry) for entry in [*self.tpf_keys, *self._own()]),
            agreements={},
            organisations={each: Organisation(demo_orgnr(each), demo_domain(each)) for each in kommuner},
            successors={},
            care_units=(),
        )
        unsigned = self.folder / f".{self.year}.unsigned"
        raw = write_unsigned(unsigned, body, dict(DefinitionFolder.packaged("iplos", self.year)))
        self.pack = attach(unsigned, self.root.sign(raw, NAMESPACE), self.path)

    def _own(self) -> list[dict[str, str]]:
        return [
            *(
                {"role": key.role, "kind": "age", "public": key.recipient.text, "key_id": key.key_id}
                for key in (self.ssb, self.feedback)
            ),
            {
                "role": "ssb-receipt",
                "kind": "ssh-ed25519",
                "public": self.ssb_receipt.public.openssh,
                "key_id": self.ssb_receipt.public.fingerprint,
            },
        ]


def sender_key(environment: Environment = TEST) -> SigningKey:
    return SigningKey.generate("sender", environment)


def seal(
    season: Season, out: Path, key: SigningKey, *, persons=5, first=0, numbers=None, limits=None, **facts
) -> list[Path]:
    """Seal a parcel of synthetic persons (tables empty: TPF cannot open them); `facts` change the manifest."""
    kommune = facts.get("kommune", TESTVIK)
    values = {
        "environment": season.environment,
        "forsendelse": secrets.token_hex(16),
        "register": "iplos",
        "year": season.year,
        "kommune": kommune,
        "bydel": "00",
        "orgnr": demo_orgnr(kommune),
        "sequence": 1,
        "replaces": None,
        "created_at": IN_WINDOW,
        "program": "test",
        "pack_version": season.pack.version,
        "sender": key.public.fingerprint,
    }
    if numbers is None:
        numbers = [number_born_in(1930 + n % 60, n // 60) for n in range(first, first + persons)]
    layout = parse(DefinitionFolder.packaged("iplos", season.year).require("layout.toml"))
    schemas = part_schemas(layout)
    tables = {name: schema.empty_table() for name, schema in schemas.items()}
    rows = Rows(_identities(numbers, season), tables, tables.pop("lokal"), layout)
    contact = Contact("faglig@k0403.kommune.test", "90000000", Secret(demo_pin(kommune)), None, "nb")
    return pack(Facts(**(values | facts)), rows, contact, season.pack.recipients, key, out, limits or Limits())


def _identities(numbers, season) -> np.ndarray:
    people = read_identities(pa.array(numbers), pa.array(["1"] * len(numbers)), season.environment)
    judged = judge(people, season.year, season.environment)
    keys = np.frombuffer(secrets.token_bytes(16 * len(numbers)), np.uint8).reshape(-1, 16)
    return pack_identities(keys, people, judged.reason)


def broken_identities(*columns):
    """Lay identities out with a letter among the digits of the last one, as no module of ours does."""
    records = identifiers.pack_identities(*columns)
    records[-1, 20] = ord("x")
    return records


def ssb_receipt(
    season: Season, cause: SignedReceipt, kind: Kind, key: SigningKey | None = None, **changes
) -> SignedReceipt:
    """Sign a receipt of SSB's that the given one caused."""
    said = cause.receipt
    assert said.kind in CAUSED_BY[kind] or changes.pop("unfit", False)
    values = {name: getattr(said, name) for name in Receipt.__dataclass_fields__}
    values |= {"kind": kind, "issuer": "ssb", "causes": cause.sha256, "details": {}, "audit_head": "0" * 64}
    return sign(Receipt(**(values | changes)), key or season.ssb_receipt)


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_keys(data: Path) -> list[dict[str, str]]:
    return json.loads((data / "public" / "keys.json").read_text())
