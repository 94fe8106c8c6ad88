"""Ports for what the tests start: a port that was given stays ours until this process ends."""

import socket

_held = []


def free_port():
    """Give a port of loopback that nobody else is given, though nobody listens there yet.

    Only asked for and let go, it could be another's before the room that shall have it has started. Bound and not
    listening, it answers nobody, and a server that listens there with SO_REUSEADDR, as ours do, is let in.
    """
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    # After it is bound: the system shares no port among those that say so at once.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _held.append(held)
    return held.getsockname()[1]
