"""SSB's private keys: made once by `init`, each file carrying its role, each read by the one process that needs it.

intake identity – the intake worker opens data and mapping · feedback identity – the feedback worker opens PIN and
contact · k_ssb – the intake worker · ssb-receipt – both sign R3 and R4 · ssb-push – the feedback worker signs pushes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipis.kernel.errors import Misuse
from ipis.kernel.sealed import Identity, load_identity
from ipis.kernel.signature import SigningKey
from ipis.lib.storage import write_durably
from ipis.ssb.layer import LayerKey

if TYPE_CHECKING:
    from pathlib import Path

    from ipis.ssb.settings import SsbSettings

INTAKE, FEEDBACK, LAYER, RECEIPT, PUSH = "ssb.age", "feedback.age", "k_ssb", "ssb-receipt", "ssb-push"
AGE_ROLES = {INTAKE: "ssb", FEEDBACK: "feedback"}
PUBLIC_FILE = "keys.json"


@dataclass(frozen=True, slots=True)
class IntakeKeys:
    """What the intake worker holds."""

    identity: Identity
    layer: LayerKey
    receipt: SigningKey


@dataclass(frozen=True, slots=True)
class FeedbackKeys:
    """What the feedback worker holds."""

    identity: Identity
    receipt: SigningKey
    push: SigningKey


def make_missing(settings: SsbSettings) -> list[str]:
    """Make the keys that are not there yet and write `public/keys.json`; gives the names of the new ones."""
    settings.make_private_folders("keys", "public", "objects", "inntak", "staging", "utgaaende")
    made = []
    for name, role in AGE_ROLES.items():
        if not (settings.keys / name).exists():
            Identity.generate(role, settings.environment).save(settings.keys / name)
            made.append(name)
    for name in (RECEIPT, PUSH):
        if not (settings.keys / name).exists():
            SigningKey.generate(name, settings.environment).save(settings.keys / name)
            made.append(name)
    if not (settings.keys / LAYER).exists():
        LayerKey.generate().save(settings.keys / LAYER, settings.environment)
        made.append(LAYER)
    write_durably(settings.public / PUBLIC_FILE, json.dumps(_public(settings), indent=1).encode(), mode=0o644)
    return made


def intake_keys(settings: SsbSettings) -> IntakeKeys:
    """Read what the intake worker needs; another role's file is refused."""
    environment = settings.environment
    return IntakeKeys(
        identity=load_identity(_present(settings, INTAKE), AGE_ROLES[INTAKE], environment),
        layer=LayerKey.load(_present(settings, LAYER), environment),
        receipt=SigningKey.load(_present(settings, RECEIPT), RECEIPT, environment),
    )


def feedback_keys(settings: SsbSettings) -> FeedbackKeys:
    """Read what the feedback worker needs; another role's file is refused."""
    environment = settings.environment
    return FeedbackKeys(
        identity=load_identity(_present(settings, FEEDBACK), AGE_ROLES[FEEDBACK], environment),
        receipt=SigningKey.load(_present(settings, RECEIPT), RECEIPT, environment),
        push=SigningKey.load(_present(settings, PUSH), PUSH, environment),
    )


def feedback_recipient(settings: SsbSettings) -> str:
    """Give the feedback worker's public age key, from `public/keys.json`: no private key is read for it."""
    path = settings.public / PUBLIC_FILE
    if not path.exists():
        raise Misuse("ssb.not_initialised", folder=str(settings.data))
    entries = json.loads(path.read_text(encoding="utf-8"))
    return str(next(entry["public"] for entry in entries if entry["role"] == AGE_ROLES[FEEDBACK]))


def _public(settings: SsbSettings) -> list[dict[str, str]]:
    """List the public halves as the season pack takes them."""
    listed = []
    for name, role in AGE_ROLES.items():
        identity = load_identity(settings.keys / name, role, settings.environment)
        listed.append({"role": role, "kind": "age", "public": identity.recipient.text, "key_id": identity.key_id})
    for name in (RECEIPT, PUSH):
        public = SigningKey.load(settings.keys / name, name, settings.environment).public
        listed.append({"role": name, "kind": "ssh-ed25519", "public": public.openssh, "key_id": public.fingerprint})
    return listed


def _present(settings: SsbSettings, name: str) -> Path:
    path = settings.keys / name
    if not path.exists():
        raise Misuse("ssb.not_initialised", folder=str(settings.data))
    return path
