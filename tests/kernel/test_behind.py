"""Writing behind: every byte in order, faults of the sink told, memory bounded."""

import threading

import pytest

from ipis.kernel.behind import BLOCK, WriteBehind


class Sink:
    def __init__(self, fails_at=None):
        self.blocks = []
        self.fails_at = fails_at

    def write(self, data):
        if len(self.blocks) == self.fails_at:
            raise OSError(28, "no space left")
        self.blocks.append(data)
        return len(data)


def test_every_byte_arrives_in_order_before_the_block_is_left():
    sink, pieces = Sink(), [bytes([n]) * (BLOCK // 3 + n) for n in range(40)]
    with WriteBehind(sink) as behind:
        assert [behind.write(piece) for piece in pieces] == [len(piece) for piece in pieces]
        behind.flush()
    assert b"".join(sink.blocks) == b"".join(pieces)


def test_a_full_disk_is_told_and_stops_the_writer_soon():
    behind = WriteBehind(Sink(fails_at=1))
    with pytest.raises(OSError, match="no space"), behind:
        for _ in range(1_000):
            behind.write(bytes(BLOCK))
    assert behind.fault is not None


def test_a_fault_in_the_last_block_is_told_too():
    with pytest.raises(OSError, match="no space"), WriteBehind(Sink(fails_at=0)) as behind:
        behind.write(b"the only bytes")


def test_the_thread_is_gone_when_the_maker_fails():
    before = threading.active_count()
    with pytest.raises(ValueError, match="maker"), WriteBehind(Sink()) as behind:
        behind.write(b"half")
        raise ValueError("maker")
    assert threading.active_count() == before


def test_the_maker_waits_for_a_slow_sink_instead_of_filling_memory():
    gate = threading.Event()

    class Slow(Sink):
        def write(self, data):
            gate.wait(120)
            return super().write(data)

    sink, written = Slow(), []

    def make(behind):
        for n in range(40):
            behind.write(bytes(BLOCK))
            written.append(n)

    with WriteBehind(sink) as behind:
        maker = threading.Thread(target=make, args=(behind,))
        maker.start()
        maker.join(0.3)
        assert maker.is_alive()
        assert len(written) < 12
        gate.set()
        maker.join(120)
    assert len(b"".join(sink.blocks)) == 40 * BLOCK
