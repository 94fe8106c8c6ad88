"""Structured logs to stderr, one JSON object a line; what could identify a person has no way in.

Keys are given by name in the code and values are short: a value that is bytes, long, or looks like an identity
number is replaced by its kind before anything is written.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_IDENTITY_LIKE = re.compile(r"(?<![0-9A-Za-z])\d{6}[ .-]?\d{5,6}(?![0-9A-Za-z])")
_LONGEST = 300


def configure(room: str, level: str = "INFO") -> None:
    """Set logging up for one process of one room."""
    logging.basicConfig(stream=sys.stderr, level=level, format="%(message)s", force=True)
    for chatty in ("httpx2", "httpcore2"):
        # One line for each request, addresses and all, is no news.
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _withhold,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(room=room)
    logging.getLogger("django.request").addFilter(_only_kind)


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """Give the logger of the process."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


def _only_kind(record: logging.LogRecord) -> bool:
    """Leave status and kind of what Django reports: an address may hold a token, an exception a person's value."""
    kind = record.exc_info[0] if record.exc_info else None
    record.msg = "request answered %s %s"
    record.args = (getattr(record, "status_code", ""), kind.__name__ if kind else "")
    record.exc_info = record.exc_text = None
    return True


def _withhold(_logger: object, _method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """Replace values that have no business in a log."""
    for key, value in event.items():
        if isinstance(value, bytes | bytearray | memoryview):
            event[key] = "<bytes withheld>"
        elif isinstance(value, BaseException):
            event[key] = type(value).__name__
        elif isinstance(value, str):
            event[key] = _IDENTITY_LIKE.sub("<number withheld>", value)[:_LONGEST]
    return event
