"""Errors of ours become answers here, at the edge, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import Http404, JsonResponse
from django.shortcuts import render

from ipis.kernel.errors import LANGUAGES, IpisError, LoginRefused, Misuse, OurFault, Refused, TryLater
from ipis.lib.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponse

_DJANGO_ANSWERS = (Http404, PermissionDenied, SuspiciousOperation, BadRequest)
STATUS: dict[type[IpisError], int] = {LoginRefused: 401, TryLater: 503, Misuse: 400, OurFault: 500}


class Problems:
    """Answers each error of the tree as problem JSON to a program, as a page to a person."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        """Keep the next in line."""
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on; errors come back through `process_exception`."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer what a view raised; what is not of our tree is logged by kind and place, never by text."""
        if isinstance(error, _DJANGO_ANSWERS):
            return None
        if not isinstance(error, IpisError):
            # The route, not the address: an address may hold the token of a link.
            route = request.resolver_match.route if request.resolver_match else "?"
            get_logger().error("request failed", error=type(error).__name__, route=route)
            error = OurFault("web.failed")
        return problem(request, error)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:  # noqa: ARG001 - Django's name
    """Answer for what does not exist, or does not exist for whoever asks; a room's urls name it as `handler404`."""
    return problem(request, Refused("web.not_found"), status=404)


def problem(request: HttpRequest, error: IpisError, *, status: int | None = None) -> HttpResponse:
    """Write one error as an answer, in the language that the request asks for."""
    language, status = request_language(request), status or status_of(error)
    if request.path.startswith("/api/"):
        return JsonResponse(error.as_dict(language) | ({"rule": error.rule} if error.rule else {}), status=status)
    context = {"problem": error.render(language), "code": error.code, "language": language}
    return render(request, "lib/problem.html", context, status=status)


def status_of(error: IpisError) -> int:
    """Give the HTTP status of an error's kind."""
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 422)


def request_language(request: HttpRequest) -> str:
    """Choose nb, nn or en: a `sprak` in the address or cookie, else what the browser or program accepts."""
    asked = [request.GET.get("sprak", ""), request.COOKIES.get("sprak", "")]
    accepted = request.headers.get("Accept-Language", "").split(",")
    for wish in [*asked, *(item.partition(";")[0].strip().lower()[:2] for item in accepted)]:
        if wish in LANGUAGES:
            return wish
        if wish == "no":
            return "nb"
    return "nb"
