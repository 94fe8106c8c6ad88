"""What SSB's processes are told at start; nothing else reads file or environment. No Django here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from ipis.kernel.environment import Environment
from ipis.lib.settings import RoomSettings, is_safe_url


class SsbSettings(RoomSettings):
    """The settings of Statistics Norway's room."""

    room: ClassVar[str] = "ssb"

    tpf_url: str = ""
    """Where later receipts go; empty: they wait."""
    filsluse_url: str = ""
    """Where finished feedback is pushed."""
    trusted_root: str = ""
    """The offline root's public key (`ssh-ed25519 …`); required in production, elsewhere trusted at first use."""
    member_max_bytes: int = Field(default=8 << 30, gt=0)
    """The largest member that intake takes from TPF."""
    standing_max_bytes: int = Field(default=256 << 30, gt=0)
    """What may stand in intake at a time before it is loaded; beyond it TPF is asked to come again."""
    unclaimed_max: int = Field(default=4000, gt=0)
    """How many forsendelser may stand begun but not handed over; beyond it TPF is asked to come again."""
    child_memory_mib: int = Field(default=1536, ge=256)
    """Address space of the process that reads strangers' Parquet, beyond what it starts with."""
    helpers: int | None = Field(default=None, ge=0, le=64)
    """Processes at most that the feedback worker calls to its side at a peak; they leave after it. Each takes up to 1.5
    GiB. None: one for each further core of the machine, counted at start."""
    kill_at: str = ""
    """Test only: the named point of a step at which the process kills itself, to show that nothing is lost."""

    @model_validator(mode="after")
    def _production_is_strict(self) -> Self:
        if self.environment is Environment.PRODUCTION:
            if not self.trusted_root:
                raise ValueError("trusted_root: the root's public key is pinned in production; set it")
            if self.kill_at:
                raise ValueError("kill_at: only for tests; remove the key")
        return self

    @model_validator(mode="after")
    def _no_clear_text_over_a_network(self) -> Self:
        for name in ("public_url", "tpf_url", "filsluse_url"):
            url = getattr(self, name)
            if (url or name == "public_url") and not is_safe_url(url, self.environment):
                raise ValueError(f"{name}: give an https address (http only to loopback, in demo and test)")
        return self

    @property
    def most_helpers(self) -> int:
        """Give how many helpers there may be: as set, or one for each further core that this process may use."""
        return len(os.sched_getaffinity(0)) - 1 if self.helpers is None else self.helpers

    @property
    def pack_files(self) -> list[Path]:
        """List the season packs: the file named, or those of the folder named, or none yet."""
        if self.pack is None:
            return []
        if self.pack.is_dir():
            return sorted(self.pack.glob("*.sesong"))
        return [self.pack] if self.pack.exists() else []

    @property
    def kept_packs(self) -> Path:
        """Name the folder of the newest good season packs seen."""
        return self.data / "sesong"

    @property
    def objects(self) -> Path:
        """Name the folder of the register's Parquet files."""
        return self.data / "objects"

    @property
    def intake(self) -> Path:
        """Name the folder where members of arriving forsendelser stand."""
        return self.data / "inntak"

    @property
    def keys(self) -> Path:
        """Name the folder of the room's private keys."""
        return self.data / "keys"

    @property
    def public(self) -> Path:
        """Name the folder of what others may read."""
        return self.data / "public"
