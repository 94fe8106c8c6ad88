"""The vectors of forsendelse format 1: all of it that is not random, from test seeds; and the sample parcel.

`tests/vectors/forsendelse.json` is generated (`make generate`). The sample `forsendelse/testvik.forsendelse` holds sealed
bytes, which differ each time; it was made once by `python -m tests.vectors.parcel_vectors` and must open for ever.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyrage

from ipis.kernel import container, keying, receipt
from ipis.kernel.canonical import sha256
from ipis.kernel.contact import Contact
from ipis.kernel.environment import Environment
from ipis.kernel.forsendelse import Facts, Recipients, Rows, pack
from ipis.kernel.layout import Layout
from ipis.kernel.layout_file import parse
from ipis.kernel.manifest import commitment_of
from ipis.kernel.messages import login_bytes
from ipis.kernel.parts import Content, clear_part
from ipis.kernel.rows import all_keys, content_sha256
from ipis.kernel.sealed import Identity
from ipis.kernel.secret import Secret
from ipis.kernel.signature import SigningKey, allowed_signers

FOLDER = Path(__file__).parent / "forsendelse"
SAMPLE = FOLDER / "testvik.forsendelse"
AT = datetime(2018, 1, 3, 9, 0, tzinfo=UTC)
AGE_KEYS = {
    "tpf": "AGE-SECRET-KEY-10DDEJSXMD3TVVX87FL97VLK5WFZ68WDWUCS37K0MJM4RKVGGTZLSAS5KRW",
    "ssb": "AGE-SECRET-KEY-1VXG3QYLRTM3JMJFEHM2LRXV4XHQRAJ3MSSN0TLQRVXXM30VZY7KSGUQK84",
    "feedback": "AGE-SECRET-KEY-1569N7CQHKRQVR8A6F8R6EZRH8HZQ5JM652FEE89R520D0T6DVWEQ6NJ3GX",
}
"""Test keys; private for the sake of the vectors only."""
SENDER = SigningKey.from_seed(bytes(range(32)), "sender", Environment.TEST)
RECEIPTS = SigningKey.from_seed(bytes(range(32, 64)), "tpf-receipt", Environment.TEST)
CONTACT = Contact("faglig@k0403.kommune.test", "90000000", Secret("ABCDEFGH23456789"), None, "nb")


def identity(role: str) -> Identity:
    """Give the test identity of a role."""
    return Identity(pyrage.x25519.Identity.from_str(AGE_KEYS[role]), role, Environment.TEST)


def seeded(label: str) -> Callable[[int], bytes]:
    """Give a source that repeats itself from run to run: SHA-256 of the label and a counter."""
    counter = itertools.count()

    def draw(count: int) -> bytes:
        blocks = (hashlib.sha256(f"{label} {next(counter)}".encode()).digest() for _ in range(-(-count // 32)))
        return b"".join(blocks)[:count]

    return draw


def layout() -> Layout:
    """Give the vectors' own small layout."""
    return parse((FOLDER / "layout.toml").read_bytes())


def facts() -> Facts:
    """Give the facts of the sample."""
    return Facts(
        environment=Environment.TEST,
        forsendelse="000102030405060708090a0b0c0d0e0f",
        register="iplos",
        year=2017,
        kommune="0403",
        bydel="00",
        orgnr="970540008",
        sequence=2,
        replaces="0f0e0d0c0b0a09080706050403020100",
        created_at=AT,
        program="ipis vectors",
        pack_version=1,
        sender=SENDER.public.fingerprint,
    )


def tables() -> dict[str, pa.Table]:
    """Give two persons and an orphan row, with an unparsed value, a missing one and letters beyond ASCII."""
    records = layout().records
    person = {
        "_row": [0, 1], "_person": [None, None], "brukerNr": ["A-1", "Å-2"], "fid": ["01815012352", "01815024598"],
        "bosted": ["0403", None],
    }  # fmt: skip
    tjeneste = {
        "_row": [0, 1, 2], "_person": [0, 1, None], "brukerNr": ["A-1", "Å-2", "C-3"], "tjenesteId": ["T1", "T2", "T3"],
        "start": [date(2017, 1, 31), None, date(2016, 2, 29)], "start__raw": [None, "31.02.2017", None],
        "timer": [5, 40, None], "timer__raw": [None, None, None],
        "doegn": [Decimal("3.5"), None, Decimal("7.0")], "doegn__raw": [None, "sju", None],
    }  # fmt: skip
    return {
        "person": pa.table(person, schema=records["person"].schema()),
        "tjeneste": pa.table(tjeneste, schema=records["tjeneste"].schema()),
    }


def rows() -> Rows:
    """Give the rows under keys that are always the same."""
    keyed = keying.key_rows(tables(), layout(), seeded("ipis vector keys"))
    records = np.zeros((3, 32), np.uint8)
    records[:2, :16], records[2, :16] = keyed.person_keys, keyed.orphan_keys[0]
    for row, digits in enumerate((b"01815012352", b"01815024598")):
        records[row, 16:18] = (1, 11)
        records[row, 18:29] = np.frombuffer(digits, np.uint8)
    return Rows(records[np.argsort([bytes(each[:16]) for each in records])], keyed.tables, keyed.lokal, layout())


def vectors() -> dict[str, Any]:
    """Give all that the format fixes for these inputs."""
    content = rows()
    keys = all_keys(content.tables)
    commitment = commitment_of(keys.tobytes())
    members = [container.Source.of_bytes("identities.bin", content.identities.tobytes())]
    part = Content("identity", commitment, {"identity": 3})
    clear = b"".join(container.stream(clear_part(facts(), part, (1, 1), {"identity": 3}, members)))
    small = b"".join(
        container.stream([container.Source.of_bytes(n, d) for n, d in (("a.txt", b"alpha"), ("b/c", b""))])
    )
    signed = receipt.sign(_receipt(), RECEIPTS)
    return {
        "container": {"members": {"a.txt": "alpha", "b/c": ""}, "base64": base64.b64encode(small).decode()},
        "person_keys": [bytes(key).hex() for key in keys.tolist()],
        "local_keys": {str(r["local_key"]): r["value"] for r in content.lokal.to_pylist()},
        "commitment": commitment,
        "content_sha256": content_sha256(content.tables, content.lokal, content.layout),
        "identity_records": [bytes(record).hex() for record in content.identities],
        "identity_part": {"size": len(clear), "sha256": sha256(clear)},
        "key_ids": {role: identity(role).key_id for role in AGE_KEYS},
        "age_identities": AGE_KEYS,
        "age_recipients": {role: identity(role).recipient.text for role in AGE_KEYS},
        "sender": {"public": SENDER.public.openssh, "fingerprint": SENDER.public.fingerprint},
        "signature": SENDER.sign(b"ipis", "ipis-manifest@v1").decode(),
        "login": login_bytes("0403", "00", "970540008", "00" * 16).decode(),
        "receipt": signed.data.decode(),
        "receipt_signature": signed.signature.decode(),
        "receipt_short_code": signed.short_code,
        "allowed_signers": allowed_signers(
            [("kommune-0403-00", "sender", SENDER.public), ("tpf", "tpf-receipt", RECEIPTS.public)]
        ),
    }


def _receipt() -> receipt.Receipt:
    return receipt.Receipt(
        kind=receipt.Kind.R1,
        forsendelse=facts().forsendelse,
        register="iplos",
        year=2017,
        kommune="0403",
        bydel="00",
        sequence=2,
        environment=Environment.TEST,
        manifest_sha256="00" * 32,
        issuer="tpf",
        at=AT,
        phase="open",
        audit_head="11" * 32,
        causes=None,
        details={"pin_generation": 1},
    )


def make_sample(out: Path = SAMPLE) -> None:
    """Seal the sample; its sealed bytes differ each time."""
    recipients = Recipients(*(identity(role).recipient for role in ("tpf", "ssb", "feedback")))
    pack(facts(), rows(), CONTACT, recipients, SENDER, out)


if __name__ == "__main__":
    make_sample()
