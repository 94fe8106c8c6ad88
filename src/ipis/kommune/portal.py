"""What `fetch` says to the portal: login, list, download from where one stopped, confirm. Nothing of it is trusted."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

import httpx2

from ipis.kernel.errors import FeedbackRefused, LoginRefused, Misuse, TryLater
from ipis.kernel.fields import HEX32, HEX64, Reader
from ipis.kernel.push import ZIP_NAME
from ipis.kommune.device import FORM

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType

    from ipis.kernel.environment import Environment
    from ipis.kommune.device import Device

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_SECONDS: Final = 30.0
_CHUNK: Final = 1 << 18
_SMALL: Final = 64 << 10
_LARGEST_ANSWER: Final = 1 << 20
_MOST_FILES: Final = 1000
_LARGEST: Final = 4 << 30


@dataclass(frozen=True, slots=True)
class Listed:
    """One tilbakemelding as the portal lists it; the receipt has to bear it out."""

    id: str
    name: str
    size: int
    sha256: str
    confirmed: bool

    @classmethod
    def read(cls, value: object) -> Self:
        """Read one row of the list; the name can hold no path."""
        if not isinstance(value, dict):
            raise FeedbackRefused("fetch.answer")
        one = Reader(value, "filer", "fetch.answer", FeedbackRefused)
        confirmed = value.get("confirmed_at")
        name, size = one.text("name", ZIP_NAME), one.number("size", 1, _LARGEST)
        return cls(one.text("id", HEX32), name, size, one.text("sha256", HEX64), confirmed is not None)


class Portal:
    """One login at the portal."""

    def __init__(self, url: str, environment: Environment) -> None:
        """Take the address: https, or http to this machine in demo and test."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port  # each raises for what is none
        except ValueError:
            raise Misuse("fetch.url") from None
        loopback = environment.synthetic and parts.scheme == "http" and host in _LOOPBACK
        if not host or not (parts.scheme == "https" or loopback):
            raise Misuse("fetch.url")
        self._http = httpx2.Client(base_url=url.rstrip("/"), timeout=_SECONDS, trust_env=parts.scheme == "https")

    def __enter__(self) -> Self:
        """Keep the connection open."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._http.close()

    def log_in(self, user: str, password: str, device: Device) -> None:
        """Open a session from this machine; raises LoginRefused, or TryLater when the account is locked for a while."""
        known = device.token()
        body = {"user": user, "password": password} | ({"device": known} if known else {})
        value = _json(self._ask("POST", "/api/v1/innlogging", json=body))
        token, made = (value.get("token"), value.get("device", "")) if isinstance(value, dict) else (None, "")
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]{1,200}", token):
            raise FeedbackRefused("fetch.answer")
        if made != "":
            if not isinstance(made, str) or not FORM.fullmatch(made):
                raise FeedbackRefused("fetch.answer")
            device.keep(made)
        self._http.headers["Authorization"] = f"Bearer {token}"

    def files(self) -> list[Listed]:
        """List what the municipality can download, newest first."""
        rows = _json(self._ask("GET", "/api/v1/filer"))
        if not isinstance(rows, list) or len(rows) > _MOST_FILES:
            raise FeedbackRefused("fetch.answer")
        return [Listed.read(row) for row in rows]

    def small(self, one: Listed, name: str) -> bytes:
        """Fetch the receipt or its signature, which are small."""
        return self._ask("GET", f"/api/v1/filer/{one.id}/{name}", most=_SMALL)

    def download(self, one: Listed, part: Path, tell: Callable[[int], object]) -> None:
        """Fetch the zip into a file beside its place, from where an earlier attempt stopped; tells the bytes so far.

        Raises TryLater when the line breaks, and keeps what has arrived; FeedbackRefused when more comes than listed.
        """
        have = part.stat().st_size if part.exists() else 0
        if have >= one.size:
            return
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with _Line(self._http.stream("GET", f"/api/v1/filer/{one.id}/{one.name}", headers=headers)) as answer:
            _check(answer)
            resumed = answer.status_code == httpx2.codes.PARTIAL_CONTENT
            have = have if resumed else 0
            with part.open("ab" if resumed else "wb") as file:
                part.chmod(0o600)
                for chunk in answer.iter_raw():
                    have += len(chunk)
                    if have > one.size:
                        raise FeedbackRefused("fetch.too_much", name=one.name)
                    file.write(chunk)
                    tell(have)
        if have < one.size:
            raise TryLater("fetch.cut", name=one.name)

    def confirm(self, one: Listed) -> None:
        """Tell the portal that the zip has arrived whole."""
        self._ask("POST", f"/api/v1/filer/{one.id}/bekreftelse")

    def _ask(self, method: str, path: str, *, most: int = _LARGEST_ANSWER, **more: Any) -> bytes:
        """Send one request and read its answer, up to a bound."""
        with _Line(self._http.stream(method, path, **more)) as answer:
            _check(answer)
            return _read(answer, most)


class _Line:
    """An answer being read; a line that breaks, wherever it does, is one error that may be tried again."""

    def __init__(self, opening: AbstractContextManager[httpx2.Response]) -> None:
        self._opening = opening

    def __enter__(self) -> httpx2.Response:
        try:
            return self._opening.__enter__()
        except httpx2.TransportError:
            raise TryLater("fetch.portal_down") from None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._opening.__exit__(kind, error, at)
        if isinstance(error, httpx2.TransportError):
            raise TryLater("fetch.portal_down") from None


def _check(answer: httpx2.Response) -> None:
    """Turn every answer but a good one into the error that says what to do."""
    status = answer.status_code
    if status in (httpx2.codes.OK, httpx2.codes.PARTIAL_CONTENT):
        return
    code = ""
    if answer.headers.get("Content-Type", "").startswith("application/json"):
        value = _json(_read(answer, _SMALL))
        code = str(value.get("code", "")) if isinstance(value, dict) else ""
    if code == "filsluse.login":
        raise LoginRefused("fetch.login")
    if code in ("filsluse.locked", "filsluse.session"):
        raise TryLater(f"fetch.{code.partition('.')[2]}")
    if status >= httpx2.codes.INTERNAL_SERVER_ERROR:
        raise TryLater("fetch.portal_down")
    raise FeedbackRefused("fetch.portal_refuses", status=status)


def _read(answer: httpx2.Response, most: int) -> bytes:
    content = bytearray()
    for chunk in answer.iter_bytes(_CHUNK):
        content += chunk
        if len(content) > most:
            raise FeedbackRefused("fetch.answer")
    return bytes(content)


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise FeedbackRefused("fetch.answer") from None
