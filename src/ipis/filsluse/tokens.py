"""Secrets that travel in a link or a cookie: the portal keeps their hash only."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime


def new_token() -> str:
    """Draw 256 random bits, as they stand in a link."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """Give what the portal keeps of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def real_now() -> datetime:
    """Give the machine's own time: links, sessions and lockouts never follow the business clock."""
    return datetime.now(UTC)
