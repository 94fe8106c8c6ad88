"""What TPF is told at start, and where its folders and key files lie; nothing of Django."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, IPvAnyNetwork, field_validator, model_validator

from ipis.kernel.environment import Environment
from ipis.lib.settings import RoomSettings, is_safe_url

_MIB = 1 << 20


class TpfSettings(RoomSettings):
    """The settings of the room `tpf`."""

    room: ClassVar[str] = "tpf"

    ssb_url: str
    """Where SSB's intake answers; https, or http on loopback in demo and test."""
    trusted_root: str = ""
    """The public key of the offline root, `ssh-ed25519 …`; only demo and test may leave it out."""
    receipt_wait_seconds: float = Field(default=2.0, ge=0, le=30)
    """How long an upload's answer waits for the worker before it names the address of the receipt instead."""
    max_upload_bytes: int = Field(default=4096 * _MIB, gt=0)
    max_open_uploads: int = Field(default=64, gt=0)
    """Unfinished uploads that one municipality may have at a time."""
    max_staged_bytes: int = Field(default=16 * 1024 * _MIB, gt=0)
    """What the files of one municipality may fill until they are unpacked: all that is announced counts."""
    upload_days: int = Field(default=7, gt=0)
    """An unfinished upload is deleted so many days after its last byte (real time)."""
    session_minutes: int = Field(default=60, gt=0)
    device_attempts: int = Field(default=10, gt=0)
    """Wrong logins in a row from a known device, and then from strangers, before the lockout."""
    stranger_attempts: int = Field(default=5, gt=0)
    address_attempts: int = Field(default=60, gt=0)
    """Logins from one network address within the lockout time, whichever municipality they name."""
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()
    """Addresses or networks of the TLS servers before the room, whose last `X-Forwarded-For` hop is believed;
    in production without them nobody's network address is known, and none is counted."""
    lockout_minutes: int = Field(default=15, gt=0)
    fault_point: str = ""
    """Test environment only: the named point of a worker's step kills the process there, once."""

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """Take a list, or as an environment has it the addresses with commas between."""
        return [each.strip() for each in value.split(",") if each.strip()] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _faults_in_test_only(self) -> Self:
        if self.fault_point and self.environment is not Environment.TEST:
            raise ValueError("fault_point: for the test environment only; remove the key")
        return self

    @model_validator(mode="after")
    def _pinned_root_in_production(self) -> Self:
        if not self.trusted_root and self.environment is Environment.PRODUCTION:
            raise ValueError("trusted_root: give the public key of the root that signs the season packs")
        return self

    @model_validator(mode="after")
    def _no_clear_text_over_a_network(self) -> Self:
        if not is_safe_url(self.ssb_url, self.environment):
            raise ValueError("ssb_url: give an https address (http only to loopback, in demo and test)")
        if not (self.environment.synthetic or is_safe_url(self.public_url, self.environment)):
            raise ValueError("public_url: https only in production")
        return self

    @property
    def uploads(self) -> Path:
        """Give the folder where uploads are staged."""
        return self.data / "opplasting"

    @property
    def parcels(self) -> Path:
        """Give the folder of unpacked forsendelser, one folder each, all parts sealed."""
        return self.data / "forsendelser"

    @property
    def worker_keys(self) -> Path:
        """Give the folder of the private keys; the web process never opens it."""
        return self.data / "keys"

    @property
    def web_secrets(self) -> Path:
        """Give the folder of what the web process needs: the pepper of the PINs and the key of the nonces."""
        return self.data / "web"

    @property
    def lockout(self) -> timedelta:
        """Give how long a lockout lasts, in real time."""
        return timedelta(minutes=self.lockout_minutes)
