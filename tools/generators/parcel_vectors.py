"""The vectors of the forsendelse, of signatures and receipts: what format 1 fixes for given inputs."""

from __future__ import annotations

import json

from tests.vectors.parcel_vectors import vectors


def generate() -> dict[str, str]:
    """Write the vectors as JSON."""
    text = json.dumps(vectors(), indent=1, ensure_ascii=False, sort_keys=True)
    return {"tests/vectors/forsendelse.json": text + "\n"}
