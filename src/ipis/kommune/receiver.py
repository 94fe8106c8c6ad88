"""What the municipality says to TPF: login with proof of the sender key, announcement, upload, state and receipts.

Any request may be lost, and so may its answer: each can be said again without harm. What TPF answers is read strictly
and, where it matters, proved by its signature.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

import httpx2

from ipis.kernel import messages
from ipis.kernel.errors import IpisError, Misuse, OurFault, Refused, Rendered, TryLater
from ipis.kernel.receipt import SignedReceipt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from ipis.kernel.secret import Secret
    from ipis.kernel.signature import SigningKey

TUS: Final = {"Tus-Resumable": "1.0.0"}
CHUNK: Final = 8 << 20
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_TIMEOUT: Final = httpx2.Timeout(60.0, connect=10.0)
_TRIES: Final = 6
_LARGEST_ANSWER: Final = 64 << 20
_READ: Final = 1 << 18
_CODE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of the login but the PIN."""

    kommune: str
    bydel: str
    orgnr: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer read whole, up to a bound."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @classmethod
    def read(cls, coming: httpx2.Response) -> Self:
        """Read the answer as it comes; raises OurFault when it is longer than any right one."""
        content = bytearray()
        for chunk in coming.iter_bytes(_READ):
            content += chunk
            if len(content) > _LARGEST_ANSWER:
                raise OurFault("send.answer")
        return cls(coming.status_code, coming.headers, bytes(content))


@dataclass(frozen=True, slots=True)
class State:
    """Where a forsendelse is at TPF, as TPF says: its state, the kinds of its receipts, and what was wrong with it."""

    state: str
    receipts: tuple[str, ...]
    problem: IpisError | None

    @classmethod
    def read(cls, value: dict[str, Any]) -> Self:
        """Read the answer."""
        kinds = value.get("receipts", [])
        if not isinstance(value.get("state"), str) or not isinstance(kinds, list):
            raise OurFault("send.answer")
        told = value.get("problem")
        return cls(value["state"], tuple(map(str, kinds)), told_by_tpf(told, 422) if isinstance(told, dict) else None)


class _Told:
    """An error whose text TPF wrote, in the language that was asked for."""

    told: Rendered

    def render(self, _language: str = "nb") -> Rendered:
        """Give TPF's own words."""
        return self.told


class RefusedByTpf(_Told, Refused):
    """TPF refuses; the same again is refused again."""


class PostponedByTpf(_Told, TryLater):
    """TPF asks to try again later."""


def told_by_tpf(problem: dict[str, Any], status: int) -> IpisError:
    """Make an error of a problem that TPF told; its words are shown, its numbers only count."""
    code = problem.get("code")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        return OurFault("send.answer")
    later = problem.get("retry") is True or status >= httpx2.codes.INTERNAL_SERVER_ERROR
    rule = problem.get("rule")
    kind = PostponedByTpf if later else RefusedByTpf
    error = kind(code, rule=rule if isinstance(rule, str) else None)
    error.told = Rendered(*(_plain(problem.get(part)) for part in ("found", "expected", "do")))
    return error


class Receiver:
    """One login at TPF."""

    def __init__(self, url: str, language: str) -> None:
        """Take the address: https, or http to this machine; what is sent over it is sealed all the same."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port  # each raises for what is none
        except ValueError:
            raise Misuse("send.url") from None
        if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)):
            raise Misuse("send.url")
        self._http = httpx2.Client(
            base_url=url.rstrip("/"),
            timeout=_TIMEOUT,
            trust_env=parts.scheme == "https",
            headers={"Accept-Language": language},
        )
        self._pause = threading.Event()

    def __enter__(self) -> Self:
        """Keep the connection open."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._http.close()

    def log_in(self, fields: Fields, pin: Secret, key: SigningKey) -> None:
        """Open a session with the four fields and a fresh signature of the sender key."""
        nonce = str(self._ask("POST", "/api/v1/innlogging/utfordring").get("nonce", ""))
        signed = key.sign(messages.login_bytes(fields.kommune, fields.bydel, fields.orgnr, nonce), messages.LOGIN)
        body = {
            "kommune": fields.kommune,
            "bydel": fields.bydel,
            "orgnr": fields.orgnr,
            "pin": pin.reveal(),
            "sender_key": key.public.openssh,
            "nonce": nonce,
            "signature": signed.decode(),
        }
        token = self._ask("POST", "/api/v1/innlogging", json=body).get("token")
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]{1,200}", token):
            raise OurFault("send.answer")
        self._http.headers["Authorization"] = f"Bearer {token}"

    def announce(self, manifest: bytes, signature: bytes) -> State:
        """Show the manifest before the upload; raises what TPF holds against it, or says that it is stored already."""
        body = {"manifest": base64.b64encode(manifest).decode(), "signature": signature.decode()}
        return State.read(self._ask("POST", "/api/v1/forsendelser", json=body))

    def upload(self, path: Path, tell: Callable[[int], object]) -> str:
        """Upload a file from where an earlier attempt stopped; gives its address. Raises TryLater on a dead line."""
        length = path.stat().st_size
        headers = {**TUS, "Upload-Length": str(length), "Upload-Metadata": _metadata(path)}
        place = self._insist(lambda: self._send("POST", "/api/v1/opplasting", headers=headers)).headers.get(
            "Location", ""
        )
        if not re.fullmatch(r"/api/v1/opplasting/[0-9a-f]{32}", place):
            raise OurFault("send.answer")
        offset, failures = self._offset(place), 0
        with path.open("rb") as file:
            while offset < length:
                tell(offset)
                file.seek(offset)
                reached = self._piece(place, offset, file.read(CHUNK), failures)
                failures = failures + 1 if reached <= offset else 0
                offset = reached
        tell(length)
        return place

    def state(self, place: str, wait: int) -> State:
        """Tell where an uploaded file or a forsendelse is; TPF waits up to `wait` seconds for its own worker."""
        answer = self._insist(lambda: self._send("GET", place, params={"wait": str(wait)}))
        return State.read(_object(answer))

    def receipts(self, forsendelse: str | None = None, year: int | None = None) -> list[SignedReceipt]:
        """Fetch the receipts of one forsendelse, or all of the municipality's so far; nothing is proved yet."""
        path = f"/api/v1/forsendelser/{forsendelse}/kvitteringer" if forsendelse else "/api/v1/kvitteringer"
        params = {"year": str(year)} if year else {}
        rows = _json(self._insist(lambda: self._send("GET", path, params=params)))
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise OurFault("send.answer")
        return [SignedReceipt(_bytes(row.get("receipt")), str(row.get("signature", "")).encode()) for row in rows]

    def season_pack(self, register: str, year: int) -> bytes:
        """Fetch the season pack that is mirrored here; proves nothing until it has been loaded with a trusted root."""
        name = f"{register}-{year}.sesong"
        try:
            return self._insist(lambda: self._send("GET", f"/sesong/{name}")).content
        except Refused as error:
            if error.code == "send.upload_gone":
                raise Refused("send.no_pack", name=name) from None
            raise

    def _piece(self, place: str, offset: int, chunk: bytes, failures: int) -> int:
        """Send one piece and tell how far the file then is; what went wrong is asked again, a few times in a row."""
        error: Exception = TryLater("send.silent")
        try:
            reached = self._patch(place, offset, chunk)
            if reached > offset:
                return reached
        except RefusedByTpf as refusal:
            if refusal.code not in ("tpf.offset", "tpf.checksum"):
                raise
            error = refusal
        except (httpx2.TransportError, PostponedByTpf) as fault:
            error = fault
        self._wait_or_give_up(failures + 1, error)
        return self._offset(place)

    def _offset(self, place: str) -> int:
        answer = self._insist(lambda: self._send("HEAD", place, headers=TUS))
        text = answer.headers.get("Upload-Offset", "")
        if not re.fullmatch(r"[0-9]{1,15}", text):
            raise OurFault("send.answer")
        return int(text)

    def _patch(self, place: str, offset: int, chunk: bytes) -> int:
        headers = {
            **TUS,
            "Content-Type": "application/offset+octet-stream",
            "Upload-Offset": str(offset),
            "Upload-Checksum": "sha256 " + base64.b64encode(hashlib.sha256(chunk).digest()).decode(),
        }
        answer = self._send("PATCH", place, headers=headers, content=chunk)
        reached = answer.headers.get("Upload-Offset", "")
        return int(reached) if re.fullmatch(r"[0-9]{1,15}", reached) else offset

    def _insist(self, request: Callable[[], Answer]) -> Answer:
        """Say a request that may be said twice until it is answered; raises TryLater when nobody answers."""
        failures = 0
        while True:
            try:
                return request()
            except httpx2.TransportError as error:
                failures += 1
                self._wait_or_give_up(failures, error)

    def _wait_or_give_up(self, failures: int, error: Exception) -> None:
        if failures >= _TRIES:
            if isinstance(error, IpisError):
                raise error
            raise TryLater("send.silent") from None
        self._pause.wait(min(5.0, 0.2 * 2**failures))

    def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        return _object(self._insist(lambda: self._send(method, path, **more)))

    def _send(self, method: str, path: str, **more: Any) -> Answer:
        """Send one request; raises what TPF holds against it."""
        with self._http.stream(method, path, **more) as coming:
            answer = Answer.read(coming)
        if httpx2.codes.is_success(answer.status):
            return answer
        if answer.headers.get("Content-Type", "").startswith("application/json") and method != "HEAD":
            raise told_by_tpf(_object(answer), answer.status)
        if answer.status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.NOT_FOUND, httpx2.codes.GONE):
            raise Refused("send.upload_gone")
        raise TryLater("send.silent")


def _metadata(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return "sha256 " + base64.b64encode(digest.hexdigest().encode()).decode()


def _plain(text: object) -> str:
    """Take a sentence of TPF's as plain text: no control characters reach the terminal."""
    return "".join(letter for letter in str(text or "")[:600] if letter.isprintable())


def _bytes(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError) as error:
        raise OurFault("send.answer") from error


def _json(answer: Answer) -> object:
    try:
        return json.loads(answer.content)
    except (ValueError, RecursionError) as error:
        raise OurFault("send.answer") from error


def _object(answer: Answer) -> dict[str, Any]:
    value = _json(answer)
    if not isinstance(value, dict):
        raise OurFault("send.answer")
    return value
