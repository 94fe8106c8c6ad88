"""Where a request becomes a session and an error an answer: the one place that knows HTTP's numbers."""

from __future__ import annotations

import json
from functools import wraps
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, TypeVar

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from pydantic import BaseModel, ConfigDict, ValidationError

from ipis.kernel.errors import IpisError, LoginRefused, Misuse
from ipis.lib.web.middleware import problem
from ipis.tpf.login import session_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipis.tpf.models import Session
    from ipis.tpf.settings import TpfSettings

STATUS = {
    "tpf.locked": 429,
    "tpf.other_key": 403,
    "tpf.needs_key": 403,
    "tpf.offset": 409,
    "tpf.checksum": 460,
    "tpf.upload_busy": 423,
    "tpf.upload_closed": 410,
    "tpf.body_large": 413,
    "tpf.upload_large": 413,
    "tpf.upload_overrun": 413,
    "tpf.no_room": 507,
    "tpf.no_upload": 404,
    "tpf.no_parcel": 404,
    "tpf.no_such_pack": 404,
}
"""HTTP status of the codes that have one of their own; the others follow from the kind of error."""

_LARGEST_BODY = 8 << 20
LARGEST_LOGIN = 8 << 10
BodyT = TypeVar("BodyT", bound="Body")


class Body(BaseModel):
    """A JSON body: known keys only."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def interface(*methods: str) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Make a view part of the interface for programs: methods checked, errors answered as problem JSON."""

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @csrf_exempt
        @wraps(view)
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in methods:
                return HttpResponse(status=405, headers={"Allow": ", ".join(methods)})
            try:
                response = view(request, *args, **kwargs)
            except IpisError as error:
                response = refusal(request, error)
            response.headers["Cache-Control"] = "no-store"
            return response

        return answer

    return decorate


def refusal(request: HttpRequest, error: IpisError) -> HttpResponse:
    """Answer an error, with the status of its code."""
    response = problem(request, error)
    response.status_code = STATUS.get(error.code, response.status_code)
    if error.code == "tpf.locked":
        response.headers["Retry-After"] = str(int(str(error.params["minutes"])) * 60)
    return response


def session(request: HttpRequest) -> Session:
    """Give the session of the bearer token; raises LoginRefused (tpf.session)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise LoginRefused("tpf.session")
    return session_of(token.strip())


def client_address(request: HttpRequest, settings: TpfSettings) -> str:
    """Give the network address that a login counts under, a /64 for IPv6; empty where it cannot be known.

    The room speaks no TLS: in production a peer that is loopback, or any where no proxy is named, is the TLS server,
    and counting it would let one stranger lock out all.
    """
    peer = _address(request.META.get("REMOTE_ADDR", ""))
    if peer is not None and any(peer in network for network in settings.trusted_proxies):
        return _counted(_address(request.headers.get("X-Forwarded-For", "").rpartition(",")[2]))
    known = settings.environment.synthetic or (settings.trusted_proxies and peer is not None and not peer.is_loopback)
    return _counted(peer) if known else ""


def require_short(request: HttpRequest, most: int) -> None:
    """Look at the length of a body before a byte of it is read; raises Misuse (tpf.body_large)."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > most:
        raise Misuse("tpf.body_large", most=most)


def read_body(request: HttpRequest, kind: type[BodyT], most: int = _LARGEST_BODY) -> BodyT:
    """Read a JSON body into its type; raises Misuse (tpf.body_large, tpf.body) that names fields and never values."""
    require_short(request, most)
    raw = request.read(most)
    try:
        return kind.model_validate(json.loads(raw))
    except ValidationError as error:
        fields = ", ".join(sorted({str(each["loc"][0])[:30] for each in error.errors() if each["loc"]}))
        raise Misuse("tpf.body", fields=fields or "?") from None
    except (ValueError, RecursionError):
        raise Misuse("tpf.body", fields="?") from None


def seconds(request: HttpRequest) -> float:
    """Read how long the reader would wait (`?wait=`), up to ten seconds."""
    text = request.GET.get("wait", "0")
    return min(10.0, float(text)) if text.isascii() and text.isdigit() and len(text) < 4 else 0.0


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address; an IPv4 address in IPv6 dress is itself."""
    try:
        read = ip_address(text.strip())
    except ValueError:
        return None
    return (read.ipv4_mapped or read) if isinstance(read, IPv6Address) else read


def _counted(address: IPv4Address | IPv6Address | None) -> str:
    """Name what counts as one address: of IPv6 the network that one household or office gets whole."""
    if address is None:
        return ""
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)
