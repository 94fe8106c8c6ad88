"""A mail relay of the tests: a real SMTP listener on loopback, which hands what it takes to its keeper."""

from aiosmtpd.controller import Controller
from tests.ports import free_port

_HANGS_AFTER_SECONDS = 120


class Relay(Controller):
    """Listens on a free port between `start` and `stop`; it has a name of its own, for a machine's may be long to look up."""

    def __init__(self, keeper):
        where = {"hostname": "127.0.0.1", "port": free_port(), "server_hostname": "localhost"}
        super().__init__(keeper, **where, ready_timeout=_HANGS_AFTER_SECONDS)
