"""Ports for what the tests start: a port that was given stays ours until this process ends."""

import socket

_held = []


def free_port():
    """Give a port of loopback that nobody else is given, though nobody listens there yet.

    Only asked for and let go, it could be another's before the room that shall have it has started. Bound and not
    listening, it answers nobody, and a server that listens there with SO_REUSEADDR, as ours do, is let in.
    """
    return _hold(0)


def free_neighbours(count):
    """Give the first of so many free ports in a row, held as one is."""
    for first in range(20_000, 30_000, count):
        try:
            for port in range(first, first + count):
                _hold(port)
        except OSError:
            continue
        return first
    raise AssertionError("no free ports in a row")


def _hold(port):
    held = socket.socket()
    _held.append(held)
    held.bind(("127.0.0.1", port))
    # After it is bound: the system shares no port among those that say so at once.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return held.getsockname()[1]
