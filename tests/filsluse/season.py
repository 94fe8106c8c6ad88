"""A season pack of the tests, with SSB's two keys that the portal's work touches, and feedback that SSB would push."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ipis.kernel import receipt, seasonpack
from ipis.kernel.canonical import sha256
from ipis.kernel.collection import load
from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.environment import Environment
from ipis.kernel.push import NAMESPACE, PushedFile, PushNote, names_of
from ipis.kernel.signature import SigningKey

YEAR = 2017
ZIP = "040300_iplos_tilbakemelding_20180103.zip"


@dataclass(frozen=True)
class Season:
    """Keys and pack of one environment."""

    pack: Path
    root: SigningKey
    push: SigningKey
    receipts: SigningKey

    @classmethod
    def make(
        cls, folder: Path, environment: Environment = Environment.DEMO, definitions: DefinitionFolder | None = None
    ) -> Season:
        source = definitions or DefinitionFolder.packaged("iplos", YEAR)
        root, push, receipts = (SigningKey.generate(role, environment) for role in ("root", "ssb-push", "ssb-receipt"))
        body = seasonpack.Body(
            environment=environment,
            register=load(source).register,
            year=YEAR,
            version=1,
            created_at=datetime(YEAR, 12, 1, tzinfo=UTC),
            keys=tuple(_entry(key) for key in (push, receipts)),
            agreements={},
            organisations={},
            successors={},
            care_units=(),
        )
        unsigned, pack = folder / "unsigned", folder / f"{YEAR}.sesong"
        raw = seasonpack.write_unsigned(unsigned, body, dict(source.items()))
        seasonpack.attach(unsigned, root.sign(raw, "ipis-keys@v1"), pack)
        return cls(pack, root, push, receipts)

    def feedback(
        self, content: bytes = b"PK sealed by the PIN", name: str = ZIP, **details: object
    ) -> dict[str, bytes]:
        """Make the three files of a feedback: the zip, R4 over it, and R4's signature."""
        r4 = receipt.Receipt(
            kind=receipt.Kind.R4,
            forsendelse=secrets.token_hex(16),
            register="iplos",
            year=YEAR,
            kommune="0403",
            bydel="00",
            sequence=1,
            environment=self.receipts.environment,
            manifest_sha256="a" * 64,
            issuer="ssb",
            at=datetime(YEAR + 1, 1, 3, 8, tzinfo=UTC),
            phase="open",
            audit_head="0" * 64,
            causes="b" * 64,
            details={"zip": name, "zip_sha256": sha256(content), "zip_size": len(content)} | details,
        )
        signed = receipt.sign(r4, self.receipts)
        return dict(zip(names_of(name), (content, signed.data, signed.signature), strict=True))

    def note(self, files: dict[str, bytes], tenant: str = "0403", push_id: str = "", **changes: object) -> PushNote:
        """Make the note that shows the files."""
        values: dict[str, object] = {
            "id": push_id or secrets.token_hex(16),
            "environment": self.push.environment,
            "tenant": tenant,
            "expires_at": datetime(2035, 4, 1, tzinfo=UTC),
            "members": tuple(PushedFile(name, len(data), sha256(data)) for name, data in files.items()),
        }
        return PushNote(**(values | changes))  # type: ignore[arg-type]

    def sign(self, note: PushNote) -> bytes:
        return self.push.sign(note.to_bytes(), NAMESPACE)


def _entry(key: SigningKey) -> seasonpack.Key:
    public = key.public
    return seasonpack.Key(key.role, "ssh-ed25519", public.openssh, public.fingerprint)
