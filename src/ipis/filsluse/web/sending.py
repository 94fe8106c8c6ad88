"""A stored file as an answer: streamed, resumable by one `Range: bytes=N-`, saved and never shown by the browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from ipis.filsluse import files
from ipis.filsluse.models import Member, Tilbakemelding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK = 256 << 10


def send(request: HttpRequest, one: Tilbakemelding, member: Member, *, by: str) -> HttpResponse | StreamingHttpResponse:
    """Answer with the file from where the reader holds it; the download is on record before the first byte leaves."""
    wanted = re.fullmatch(r"bytes=([0-9]{1,18})-", request.headers.get("Range", ""))
    offset = int(wanted[1]) if wanted else 0
    if offset >= member.size:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{member.size}"})
    path = files.path_of(member)
    if request.method == "HEAD":
        response: HttpResponse | StreamingHttpResponse = HttpResponse()
    else:
        files.note_download(one, member, offset=offset, by=by)
        response = StreamingHttpResponse(_read(path, offset), status=206 if wanted else 200)
    response.headers["Content-Type"] = "application/zip" if member.name.endswith(".zip") else "application/octet-stream"
    response.headers["Content-Length"] = str(member.size - offset)
    response.headers["Content-Disposition"] = f'attachment; filename="{member.name}"'
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["ETag"] = f'"{member.sha256}"'
    if wanted:
        response.headers["Content-Range"] = f"bytes {offset}-{member.size - 1}/{member.size}"
    return response


def _read(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(_CHUNK):
            yield chunk
