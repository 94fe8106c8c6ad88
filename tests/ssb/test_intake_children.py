"""Children of intake: as many at once as there are, each within limits of its own, and no more than are needed."""

from __future__ import annotations

import os
import time
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


def meet(folder: Path, name: str) -> int:
    """Come to a place and wait there until two have come."""
    (folder / name).touch()
    until = time.monotonic() + 60
    while len(list(folder.iterdir())) < 2:
        assert time.monotonic() < until, "the other never came"
        time.sleep(0.01)
    return os.getpid()


def test_two_calls_run_at_once_in_two_processes(children, tmp_path):
    with ThreadPoolExecutor(2) as threads:
        assert len(set(threads.map(lambda name: children.run(meet, tmp_path, name), "ab"))) == 2


def test_a_third_call_waits_for_one_that_is_idle(children):
    with ThreadPoolExecutor(6) as threads:
        assert len(set(threads.map(lambda _: children.run(os.getpid), range(12)))) <= 2


def too_much() -> int:
    return len(bytearray(1 << 30))


def test_a_breach_replaces_its_own_child_only(children, tmp_path):
    with ThreadPoolExecutor(2) as threads:
        before = set(threads.map(lambda name: children.run(meet, tmp_path, name), "ab"))
    with pytest.raises(ParcelRefused):
        children.run(too_much)
    for file in tmp_path.iterdir():
        file.unlink()
    with ThreadPoolExecutor(2) as threads:
        after = set(threads.map(lambda name: children.run(meet, tmp_path, name), "ab"))
    assert (len(after), len(after & before)) == (2, 1)


def test_all_end_with_the_block(tmp_path):
    with Children(2, memory_bytes=400 << 20) as children, ThreadPoolExecutor(2) as threads:
        pids = list(threads.map(lambda name: children.run(meet, tmp_path, name), "ab"))
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
