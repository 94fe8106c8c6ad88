"""The municipality's settings: one small TOML file, needed in production only, where the root of trust is pinned."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Final

import platformdirs
from pydantic import BaseModel, ConfigDict, ValidationError

from ipis.kernel.errors import Misuse
from ipis.kernel.signature import PublicKey

PATH_VARIABLE: Final = "IPIS_KOMMUNE_SETTINGS"
_APP: Final = "ipis"


class KommuneSettings(BaseModel):
    """What the municipality's module is told; read once, where a verb begins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: str = ""
    """The root's public key, `ssh-ed25519 AAAA…`, from SSB's letter; required for production packs."""
    keyring: Path | None = None
    """The folder of the keyring; empty: the user's own data folder."""

    @classmethod
    def load(cls, path: Path | None = None) -> KommuneSettings:
        """Read the file named here, else by IPIS_KOMMUNE_SETTINGS, else the user's own; demo and test need none."""
        named = path or (Path(os.environ[PATH_VARIABLE]) if PATH_VARIABLE in os.environ else None)
        found = named or platformdirs.user_config_path(_APP) / "kommune.toml"
        if named is None and not found.exists():
            return cls()
        try:
            settings = cls.model_validate(tomllib.loads(found.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise Misuse("settings.missing", file=str(found)) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Misuse("settings.unreadable", file=str(found), detail=str(error)) from None
        except ValidationError as error:
            detail = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise Misuse("settings.invalid", file=str(found), detail=detail, room="KOMMUNE") from None
        _ = settings.trusted_root
        return settings

    @property
    def trusted_root(self) -> PublicKey | None:
        """Give the pinned root, if there is one."""
        return PublicKey.parse(self.root) if self.root else None

    def keyring_folder(self, wish: Path | None) -> Path:
        """Give the keyring's folder: the one asked for, else the settings', else the user's own."""
        return wish or self.keyring or platformdirs.user_data_path(_APP) / "keyring"
