"""A small forsendelse of Testvik for the tests of the parcel: tables by the year's layout, keys of all parties, rows that flat files can hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from ipis.kernel import keying
from ipis.kernel.contact import Contact
from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.environment import Environment
from ipis.kernel.forsendelse import Limits, Recipients, Rows, pack
from ipis.kernel.layout import Kind, Layout
from ipis.kernel.layout_file import parse
from ipis.kernel.manifest import Facts
from ipis.kernel.sealed import Identity
from ipis.kernel.secret import Secret
from ipis.kernel.signature import SigningKey

YEAR = 2017


def layout(year: int = YEAR) -> Layout:
    return parse(DefinitionFolder.packaged("iplos", year).require("layout.toml"))


@dataclass(frozen=True)
class Keys:
    sender: SigningKey
    tpf: Identity
    ssb: Identity
    feedback: Identity

    @classmethod
    def make(cls, environment: Environment = Environment.DEMO) -> Keys:
        return cls(
            SigningKey.generate("sender", environment),
            *(Identity.generate(role, environment) for role in ("tpf", "ssb", "feedback")),
        )

    @property
    def recipients(self) -> Recipients:
        return Recipients(self.tpf.recipient, self.ssb.recipient, self.feedback.recipient)


def facts(keys: Keys, **changes: object) -> Facts:
    values: dict[str, object] = {
        "environment": Environment.DEMO,
        "forsendelse": "00112233445566778899aabbccddeeff",
        "register": "iplos",
        "year": YEAR,
        "kommune": "0403",
        "bydel": "00",
        "orgnr": "970540008",
        "sequence": 1,
        "replaces": None,
        "created_at": datetime(2018, 1, 3, 9, 0, tzinfo=UTC),
        "program": "ipis test",
        "pack_version": 1,
        "sender": keys.sender.public.fingerprint,
    }
    return Facts(**(values | changes))  # type: ignore[arg-type]


def contact() -> Contact:
    return Contact("faglig@k0403.kommune.test", "40000000", Secret("ABCDEFGH23456789"), None, "nb")


def _value(kind: Kind, n: int) -> object:
    return {
        Kind.ID: f"id-{n}",
        Kind.STR: f"tekst æ{n}",
        Kind.CODE: str(n % 3),
        Kind.INT: n,
        Kind.DEC: Decimal(n % 10) + Decimal("0.5"),
        Kind.DATE: date(YEAR, 1, 1 + n % 28),
        Kind.DATETIME: "2018-01-01T00:00:00+01:00",
    }[kind]


def extract_tables(persons: int = 40, orphans: int = 1) -> dict[str, pa.Table]:
    """Tables as the extract reader gives them: two rows of each kind a person, some values unparsed, some absent."""
    tables = {}
    for name, record in layout().records.items():
        owners: list[int | None] = (
            list(range(persons)) if name == "person" else sorted([*range(persons), *range(persons)])
        )
        if name != "person":
            owners += [None] * orphans
        columns: dict[str, list[object]] = {"_row": list(range(len(owners)))}
        columns["_person"] = [None if name == "person" else owner for owner in owners]
        for field in record.fields.values():
            values: list[object] = [
                _value(field.kind, n if field.kind is not Kind.ID else owners[n] or 0) for n in range(len(owners))
            ]
            raw: list[object] = [None] * len(owners)
            if field.kind is not Kind.ID:
                values[1::7] = [None] * len(values[1::7])
                raw[1::14] = ["ikke en verdi"] * len(raw[1::14])
            columns[field.name] = values
            if field.has_raw:
                columns[f"{field.name}__raw"] = raw
        tables[name] = pa.table(columns, schema=record.schema())
    return tables


def rows(persons: int = 40, orphans: int = 1) -> Rows:
    """Keyed rows with identity records of synthetic digits."""
    keyed = keying.key_rows(extract_tables(persons, orphans), layout())
    keys = np.concatenate([keyed.person_keys, keyed.orphan_keys])
    records = np.zeros((len(keys), 32), np.uint8)
    records[:, :16] = keys
    records[:persons, 16:18] = (1, 11)
    records[:persons, 18:29] = np.frombuffer(b"01815012352", np.uint8)
    return Rows(records, keyed.tables, keyed.lokal, layout())


def packed(folder: Path, keys: Keys, limits: Limits | None = None, **changes: object) -> list[Path]:
    return pack(
        facts(keys, **changes), rows(), contact(), keys.recipients, keys.sender, folder / "testvik.forsendelse", limits
    )
