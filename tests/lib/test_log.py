"""Logs: what could identify a person has no way in."""

import json
import logging

import pytest
import structlog

from ipis.lib.log import configure, get_logger


@pytest.fixture(autouse=True)
def the_process_s_own_logging():
    """Leave the process as it was: the tests that come after have no captured stream to write to."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # Taken away first: what is set up by force closes what stood before.
    root.handlers[:] = []
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_values_that_could_identify_are_withheld(capsys):
    """Bytes, exceptions and numbers that look like an identity number are replaced by their kind."""
    configure("kiosk")
    get_logger().info(
        "tried", body=b"01815012352", cause=ValueError("01815012352"), note="is 01815012352 or 018150 12352 there", n=3
    )
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert "01815012352" not in json.dumps(line)
    assert "018150" not in json.dumps(line)
    assert (line["body"], line["cause"], line["n"]) == ("<bytes withheld>", "ValueError", 3)
    assert line["room"] == "kiosk"


def test_a_long_value_is_cut(capsys):
    """A log line is no place for a document."""
    configure("kiosk")
    get_logger().info("long", text="x" * 5000)
    assert len(json.loads(capsys.readouterr().err.splitlines()[-1])["text"]) <= 300


def test_a_number_at_the_cut_is_withheld_whole(capsys):
    """Cut first, its beginning would look like no number."""
    configure("kiosk")
    get_logger().info("long", text="x" * 289 + " 01815012352")
    assert "018150" not in capsys.readouterr().err
