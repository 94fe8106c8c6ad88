"""What the child process is asked to do in the tests: good work, greed, idling, death and a bug."""

import os

import pyarrow as pa

from ipis.kernel.errors import ParcelRefused


def add(a, b):
    return a + b


def process_id():
    return os.getpid()


def eat():
    kept = []
    while True:
        kept.append(bytes(10_000_000))


def eat_in_arrow():
    return pa.allocate_buffer(64 << 30).size


def eat_behind_a_refusal():
    try:
        bytes(64 << 30)
    except MemoryError as error:
        raise ParcelRefused("parcel.parquet", part="x") from error


def spin():
    while True:
        pass


def die():
    os._exit(3)


def bug():
    raise ValueError("01815012352")


def refuse():
    raise ParcelRefused("parcel.parquet", part="data-0001.age")


def wait_for_ever():
    import threading

    threading.Event().wait()


def die_at_start(*_):
    os._exit(3)
