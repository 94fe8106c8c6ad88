"""The login challenge, to the byte; forward.json and push.json have modules of their own."""

from __future__ import annotations

from typing import Final

from ipis.kernel import canonical

LOGIN: Final = "ipis-login@v1"


def login_bytes(kommune: str, bydel: str, orgnr: str, nonce: str) -> bytes:
    """Give what the sender key signs at a login (namespace `ipis-login@v1`)."""
    return canonical.dumps({"kommune": kommune, "bydel": bydel, "orgnr": orgnr, "nonce": nonce})
