"""What stands in intake is bounded, and a PUT does not count it all: the sum is never less than the disk."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
from dataclasses import replace

import pytest

from ipis.kernel.canonical import sha256
from ipis.kernel.errors import IpisError, TryLater
from ipis.ssb.intake.staging import Staging
from ipis.ssb.intake.tally import Tally

FORK = multiprocessing.get_context("fork")


class NobodyClaims:
    """No forsendelse has been taken."""

    def stands(self, *_):
        return False

    def unclaimed(self, forsendelser):
        return len(forsendelser)


@pytest.fixture
def staging(tmp_path):
    """Room for a thousand bytes, by itself."""
    (tmp_path / "inntak").mkdir()
    return Staging(tmp_path / "inntak", 1 << 30, 1000, 4000)


def put(staging, number, size, stream=None):
    """Put a member of so many bytes in a forsendelse of its own."""
    data = bytes(size)
    return staging.put(
        f"{number:032x}", "data-0001.age", stream or io.BytesIO(data), size, sha256(data), NobodyClaims()
    )


def standing(staging):
    return sum(file.stat().st_size for file in staging.root.glob("*/*"))


def told(staging):
    return int(staging.tally.file.read_text())


@pytest.fixture
def counted(monkeypatch):
    """How often all that stands was counted."""
    times, count = [], Tally._count
    monkeypatch.setattr(Tally, "_count", lambda tally: times.append(1) or count(tally))
    return times


def test_a_put_does_not_count_what_stands(staging, counted):
    for number in range(100):
        put(staging, number, 10)
    assert len(counted) == 1, "only the first, which finds no sum"
    assert told(staging) == standing(staging) == 1000


def test_what_went_makes_room_when_there_would_be_none(staging, counted):
    """What is deleted is not taken off the sum: it is counted anew once the sum says that the folder is full."""
    for number in range(10):
        put(staging, number, 100)
    staging.keep_only(f"{3:032x}", ())
    staging.drop(f"{4:032x}", "data-0001.age")
    counted.clear()
    put(staging, 10, 150)
    put(staging, 11, 50)
    assert (len(counted), told(staging), standing(staging)) == (1, 1000, 1000)
    with pytest.raises(TryLater):
        put(staging, 12, 1)


@pytest.mark.parametrize("spoilt", [b"", b"x" * 21, b"7", None])
def test_a_sum_that_is_lost_is_counted(staging, spoilt):
    """A power cut may leave it empty; it is made again from the disk."""
    put(staging, 1, 900)
    if spoilt is None:
        staging.tally.file.unlink()
    else:
        staging.tally.file.write_bytes(spoilt)
    with pytest.raises(TryLater):
        put(staging, 2, 200)
    put(staging, 3, 100)
    assert told(staging) == standing(staging) == 1000


def test_the_workers_sweep_counts_anew(staging):
    """It runs when the worker starts: a power cut may have lost the newest sums."""
    put(staging, 1, 900)
    staging.tally.file.write_text(f"{0:020d}\n")
    staging.sweep({f"{1:032x}"})
    assert told(staging) == 900


def test_a_member_takes_up_its_room_before_its_bytes_have_come(staging):
    """A slow transfer is counted in full, also by who counts anew meanwhile."""

    class Slow(io.BytesIO):
        def read(self, *size):
            staging.tally.count_anew()
            with pytest.raises(TryLater):
                put(staging, 2, 200)
            return super().read(*size)

    put(staging, 1, 900, Slow(bytes(900)))
    assert standing(staging) == 900


@pytest.mark.parametrize(("stream", "code"), [(b"short", "intake.cut"), (b"x" * 900, "intake.hash")])
def test_what_was_not_stored_leaves_its_room_to_others(staging, stream, code):
    with pytest.raises(IpisError) as caught:
        put(staging, 1, 900, io.BytesIO(stream))
    assert (caught.value.code, standing(staging)) == (code, 0)
    put(staging, 2, 1000)


def test_killed_in_a_transfer_its_rest_counts_until_it_is_swept(staging):
    class Deadly(io.BytesIO):
        def read(self, *_):
            os.kill(os.getpid(), signal.SIGKILL)

    process = FORK.Process(target=put, args=(staging, 1, 900, Deadly()))
    process.start()
    process.join()
    assert (process.exitcode, told(staging), standing(staging)) == (-signal.SIGKILL, 900, 900)
    with pytest.raises(TryLater):
        put(staging, 2, 200)
    put(staging, 1, 100)
    staging.keep_only(f"{1:032x}", ("data-0001.age",))
    put(staging, 2, 900)
    assert standing(staging) == 1000


def test_killed_between_sum_and_file_nothing_is_lost(staging):
    """The sum then says too much, and is counted anew when it matters."""

    def die():
        with staging.tally.adding(900, 1000):
            os.kill(os.getpid(), signal.SIGKILL)

    process = FORK.Process(target=die)
    process.start()
    process.join()
    assert (told(staging), standing(staging)) == (900, 0)
    put(staging, 1, 1000)
    assert told(staging) == 1000


def test_processes_at_once_never_take_more_than_there_is_room_for(staging):
    """Each of four offers half of what there is room for; no bit too much is taken, and none too little."""
    taken = FORK.Queue()

    def offer(which):
        done = 0
        for number in range(50):
            try:
                done += put(staging, which * 50 + number, 10)
            except TryLater:
                assert standing(staging) <= 1000
        taken.put(done)

    processes = [FORK.Process(target=offer, args=(which,)) for which in range(4)]
    for process in processes:
        process.start()
    counts = [taken.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sum(counts) == 100
    assert told(staging) == standing(staging) == 1000


def test_a_larger_bound_holds_at_once(staging):
    put(staging, 1, 1000)
    with pytest.raises(TryLater):
        put(staging, 2, 1)
    put(replace(staging, standing_max_bytes=1001), 2, 1)
