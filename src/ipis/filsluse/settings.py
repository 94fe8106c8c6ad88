"""What the portal is told at start; nothing of Django. It names no private key: the portal has none."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from ipis.kernel.environment import Environment
from ipis.lib.settings import RoomSettings

_MIB = 1 << 20


class FilsluseSettings(RoomSettings):
    """The settings of the room `filsluse`; limits and lifetimes follow real time, retention the business clock."""

    room: ClassVar[str] = "filsluse"

    trusted_root: str = ""
    """The offline root's public key (`ssh-ed25519 …`); required in production; else a pack is trusted as it is."""
    link_minutes: int = Field(default=60, gt=0, le=60)
    """How long a password link lives (L17 §4.2)."""
    links_an_hour: int = Field(default=5, gt=0)
    """Password mails that one account gets an hour, however often they are asked for."""
    session_minutes: int = Field(default=30, gt=0)
    """A session ends after so long without use …"""
    session_hours: int = Field(default=10, gt=0)
    """… and after so long in any case."""
    device_attempts: int = Field(default=10, gt=0)
    """Wrong passwords in a row from a browser that has been logged in before …"""
    stranger_attempts: int = Field(default=5, gt=0)
    """… and from all others, before the lockout of that kind."""
    lockout_minutes: int = Field(default=15, gt=0)
    password_length: int = Field(default=6, ge=6)
    """The least length; the collection's own rule is kept where it asks for more."""
    largest_file: int = Field(default=1024 * _MIB, gt=0)
    """The largest file that SSB may push, in bytes."""
    staging_days: int = Field(default=7, gt=0)
    """Pushed files that no note has made visible are erased after so many days."""
    contact: str = ""
    """Whom pages and mails send people to; where empty, the collection's own address at SSB."""

    @model_validator(mode="after")
    def _production_is_strict(self) -> Self:
        if self.environment is Environment.PRODUCTION:
            if not self.trusted_root:
                raise ValueError("trusted_root: the root's public key is pinned in production; set it")
            if not self.public_url.startswith("https://"):
                raise ValueError("public_url: https only in production")
        return self

    @property
    def files(self) -> Path:
        """Give the folder of pushed files, one folder for each push."""
        return self.data / "filer"

    @property
    def public(self) -> Path:
        """Give the folder of what others may read."""
        return self.data / "public"

    @property
    def link_life(self) -> timedelta:
        """Give how long a password link lives."""
        return timedelta(minutes=self.link_minutes)

    @property
    def lockout(self) -> timedelta:
        """Give how long a lockout lasts."""
        return timedelta(minutes=self.lockout_minutes)
