"""A stored file as an answer: streamed, resumable by one `Range: bytes=N-`, saved and never shown by the browser."""

from __future__ import annotations

import re

from django.http import FileResponse, Http404, HttpRequest, HttpResponse

from ipis.filsluse import files
from ipis.filsluse.models import Member, Tilbakemelding


def send(request: HttpRequest, one: Tilbakemelding, member: Member, *, by: str) -> HttpResponse | FileResponse:
    """Answer with the file from where the reader holds it; the download is on record before the first byte leaves.

    Raises Http404 when the file was erased a moment ago.
    """
    wanted = re.fullmatch(r"bytes=([0-9]{1,18})-", request.headers.get("Range", ""))
    offset = int(wanted[1]) if wanted else 0
    if offset >= member.size:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{member.size}"})
    kind = "application/zip" if member.name.endswith(".zip") else "application/octet-stream"
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{member.sha256}"', "Content-Type": kind}
    if wanted:
        headers["Content-Range"] = f"bytes {offset}-{member.size - 1}/{member.size}"
    if request.method == "HEAD":
        return HttpResponse(headers=headers | {"Content-Length": str(member.size - offset)})
    try:
        file = files.path_of(member).open("rb")
    except FileNotFoundError:
        raise Http404 from None
    file.seek(offset)
    response = FileResponse(
        file, as_attachment=True, filename=member.name, status=206 if wanted else 200, headers=headers
    )
    files.note_download(one, member, offset=offset, by=by)
    return response
