"""One frozen settings class per room, built once at start from a TOML file and the environment, then passed in.

Nobody else reads the environment. A key that is unknown or missing is refused, with the way to set it.
Any key may come as `IPIS_<ROOM>_<KEY>`, or as `IPIS_<ROOM>_<KEY>_FILE` naming a file that holds the value.
"""

from __future__ import annotations

import os
import tomllib
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from ipis.kernel.clock import Clock, SystemClock, TurnableClock
from ipis.kernel.environment import Environment
from ipis.kernel.errors import LANGUAGES, Misuse

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_SPOKEN: Final[ContextVar[str]] = ContextVar("spoken", default="")


class RoomSettings(BaseModel):
    """What every room is told at start; each room's own class adds its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    room: ClassVar[str]

    environment: Environment
    data: Path
    """The room's folder, 0700; relative paths of the file are taken from the file's own folder."""
    listen: str = "127.0.0.1:0"
    public_url: str
    database_url: str = ""
    """Empty: SQLite in the room's folder."""
    smtp_host: str = "127.0.0.1"
    smtp_port: int = 25
    mail_from: str = ""
    pack: Path | None = None
    clock: Path | None = None
    """The turnable clock's file; refused in production."""
    log_level: str = "INFO"

    @model_validator(mode="after")
    def _no_turned_clock_in_production(self) -> Self:
        if self.clock is not None and self.environment is Environment.PRODUCTION:
            raise ValueError("clock: a turnable clock is for demo and test only; remove the key")
        return self

    @classmethod
    def load(cls, path: Path, environ: Mapping[str, str] | None = None) -> Self:
        """Read the file and the environment; raises Misuse that names each key and what is wrong with it."""
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise Misuse("settings.missing", file=str(path)) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Misuse("settings.unreadable", file=str(path), detail=str(error)) from None
        values |= cls._from_environment(os.environ if environ is None else environ)
        try:
            return cls.model_validate(cls._anchored(values, path.resolve().parent))
        except ValidationError as error:
            detail = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors())
            raise Misuse("settings.invalid", file=str(path), detail=detail, room=cls.room.upper()) from None

    @classmethod
    def _from_environment(cls, environ: Mapping[str, str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for key in cls.model_fields:
            name = f"IPIS_{cls.room}_{key}".upper()
            if name in environ:
                found[key] = environ[name]
            elif f"{name}_FILE" in environ:
                found[key] = Path(environ[f"{name}_FILE"]).read_text(encoding="utf-8").strip()
        return found

    @classmethod
    def _anchored(cls, values: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Take relative paths from the settings file's folder, so that a command may be given anywhere."""
        paths = {name for name, field in cls.model_fields.items() if field.annotation in (Path, Path | None)}
        return {
            key: folder / value if key in paths and isinstance(value, str) else value for key, value in values.items()
        }

    @property
    def address(self) -> tuple[str, int]:
        """Split `listen` into host and port."""
        host, _, port = self.listen.rpartition(":")
        return host, int(port)

    def business_clock(self) -> Clock:
        """Give the clock that windows and receipts follow."""
        return TurnableClock(self.clock) if self.clock is not None else SystemClock()

    def make_private_folders(self, *names: str) -> None:
        """Make the room's folder and the named ones in it, readable by this user alone."""
        for folder in (self.data, *(self.data / name for name in names)):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)


def is_safe_url(url: str, environment: Environment) -> bool:
    """Tell whether secrets may travel to an address: https, or in demo and test http to this very machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    return parts.scheme == "http" and environment.synthetic and host in _LOOPBACK


def speak(language: str) -> None:
    """Let the rest of this command speak the language that its `--language` asks for."""
    _SPOKEN.set(language)


def user_language() -> str:
    """Choose the language of the command line: nb, nn or en by its own option or IPIS_LANGUAGE, else bokmål."""
    wish = _SPOKEN.get() or os.environ.get("IPIS_LANGUAGE", "nb")
    return wish if wish in LANGUAGES else "nb"
