"""Children of intake: as many at once as there are, each within limits of its own, and no more than are needed."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ipis.kernel.errors import ParcelRefused
from ipis.ssb.intake.children import Children


@pytest.fixture
def children():
    with Children(2, memory_bytes=400 << 20) as children:
        yield children


def test_with_little_to_do_one_child_does_it_all(children):
    first = children.run(os.getpid)
    assert first != os.getpid()
    assert [children.run(os.getpid) for _ in range(3)] == [first] * 3


def meet(place: Path, end: int) -> int:
    """Come to one end of a pipe, which opens when somebody has come to the other; die when nobody comes."""
    signal.alarm(60)
    os.close(os.open(place, end))
    signal.alarm(0)
    return os.getpid()


@pytest.fixture
def two_that_meet(tmp_path):
    """Let two calls run that need each other; gives the processes that they ran in."""
    place = tmp_path / "place"
    os.mkfifo(place)

    def run(children):
        with ThreadPoolExecutor(2) as threads:
            return set(threads.map(lambda end: children.run(meet, place, end), (os.O_RDONLY, os.O_WRONLY)))

    return run


def test_two_calls_run_at_once_in_two_processes(children, two_that_meet):
    assert len(two_that_meet(children)) == 2


def test_a_third_call_waits_for_one_that_is_idle(children):
    with ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(lambda _: children.run(os.getpid), range(12)))) <= 2


def too_much() -> int:
    return len(bytearray(1 << 30))


def test_a_breach_replaces_its_own_child_only(children, two_that_meet):
    before = two_that_meet(children)
    with pytest.raises(ParcelRefused):
        children.run(too_much)
    after = two_that_meet(children)
    assert (len(after), len(after & before)) == (2, 1)


def test_all_end_with_the_block(two_that_meet):
    with Children(2, memory_bytes=400 << 20) as children:
        pids = two_that_meet(children)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
