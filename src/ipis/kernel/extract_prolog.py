"""What stands before the root of an XML extract, judged on raw bytes: no parser meets a DOCTYPE or odd encoding."""

from __future__ import annotations

import re

from ipis.kernel.errors import ExtractRefused
from ipis.kernel.extract import Limits

_UTF8_BOM = b"\xef\xbb\xbf"
_OTHER_MARKS = {
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\xfe\xff": "UTF-16",
    b"\xff\xfe": "UTF-16",
    b"\x00\x00\x00<": "UTF-32",
    b"<\x00\x00\x00": "UTF-32",
    b"\x00<": "UTF-16",
    b"<\x00": "UTF-16",
    b"\x4c\x6f\xa7\x94": "EBCDIC",
    b"+/v": "UTF-7",
}
_DECLARED = re.compile(rb"""\A<\?xml[ \t\r\n][^>]*?[ \t\r\n]encoding[ \t\r\n]*=[ \t\r\n]*["']([^"']{1,40})["']""")
_MISC = re.compile(rb"(?:[ \t\r\n]+|<\?.*?\?>|<!--.*?-->)*", re.DOTALL)
_ROOT = re.compile(rb"<[A-Za-z_:\x80-\xff]")


def check(head: bytes, file: str, limits: Limits) -> int:
    """Refuse the first bytes of a file (all, or as many as the prolog may take) that cannot begin an extract.

    Gives the place of the root's start tag.
    """
    if not head:
        raise ExtractRefused("extract.empty", rule="K004", file=file)
    for mark, name in _OTHER_MARKS.items():
        if head.startswith(mark):
            raise ExtractRefused("extract.encoding", rule="K004", file=file, encoding=name)
    body = head.removeprefix(_UTF8_BOM)
    if not body.lstrip(b" \t\r\n").startswith(b"<"):
        raise ExtractRefused("extract.not_xml", rule="K004", file=file)
    declared = _DECLARED.match(body)
    if declared and declared[1].lower() not in {b"utf-8", b"utf8"}:
        raise ExtractRefused("extract.encoding", rule="K004", file=file, encoding=_plain(declared[1]))
    misc = _MISC.match(body)
    root_at = misc.end() if misc else 0
    # Also inside a comment: nobody who writes an extract needs the word there.
    if b"<!DOCTYPE" in body[:root_at].upper() or body[root_at : root_at + 9].upper() == b"<!DOCTYPE":
        raise ExtractRefused("extract.doctype", rule="K004", file=file)
    if not _ROOT.match(body, root_at):
        whole = len(head) < limits.prolog_bytes
        raise ExtractRefused("extract.malformed" if whole else "extract.prolog", rule="K004", file=file, line=1)
    return len(head) - len(body) + root_at


def _plain(name: bytes) -> str:
    return "".join(c for c in name.decode("latin-1") if c.isascii() and (c.isalnum() or c in "-_."))
