"""What the worker works with: the private keys of TPF, read once; a key of another role stops it at start."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipis.kernel.errors import Misuse
from ipis.kernel.sealed import Identity, load_identity
from ipis.kernel.signature import SigningKey
from ipis.lib.storage import write_durably
from ipis.tpf.season import Season
from ipis.tpf.signing import KEY as RECEIPT_KEY
from ipis.tpf.signing import ReceiptSigner

if TYPE_CHECKING:
    from ipis.kernel.clock import Clock
    from ipis.tpf.settings import TpfSettings

AGE_KEY: Final = "tpf.age"
FORWARD_KEY: Final = "tpf-forward"
ROOT_KEY: Final = "pseudonym.root"


@dataclass(frozen=True, slots=True)
class Bench:
    """The worker's working place."""

    settings: TpfSettings
    clock: Clock
    season: Season
    identity: Identity
    receipts: ReceiptSigner
    forward: SigningKey

    @classmethod
    def open(cls, settings: TpfSettings) -> Bench:
        """Read the keys; raises Misuse before `init` has made them."""
        keys = settings.worker_keys
        if not (keys / AGE_KEY).exists():
            raise Misuse("tpf.not_initialised")
        return cls(
            settings=settings,
            clock=settings.business_clock(),
            season=Season(settings),
            identity=load_identity(keys / AGE_KEY, "tpf", settings.environment),
            receipts=ReceiptSigner(settings),
            forward=SigningKey.load(keys / FORWARD_KEY, FORWARD_KEY, settings.environment),
        )


def make_keys(settings: TpfSettings) -> None:
    """Make the keys that are missing and list the public ones in `public/keys.json` for the season pack."""
    keys = settings.worker_keys
    if not (keys / AGE_KEY).exists():
        Identity.generate("tpf", settings.environment).save(keys / AGE_KEY)
    for role in (RECEIPT_KEY, FORWARD_KEY):
        if not (keys / role).exists():
            SigningKey.generate(role, settings.environment).save(keys / role)
    recipient = load_identity(keys / AGE_KEY, "tpf", settings.environment).recipient
    listed = [{"role": "tpf", "kind": "age", "public": recipient.text, "key_id": recipient.key_id}]
    for role in (RECEIPT_KEY, FORWARD_KEY):
        public = SigningKey.load(keys / role, role, settings.environment).public
        listed.append({"role": role, "kind": "ssh-ed25519", "public": public.openssh, "key_id": public.fingerprint})
    write_durably(settings.data / "public" / "keys.json", json.dumps(listed, indent=1).encode(), mode=0o644)
