"""Pseudonyms and judgement of identity numbers against the usual loops."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from stdnum.no import fodselsnummer

from bench.numbers import as_strings, synthetic_numbers
from bench.pairs import Result, best
from ipis.kernel.environment import Environment
from ipis.kernel.foedselsnummer import judge, read_identities
from ipis.kernel.identifiers import KEY_SIZE, Reason, pack_identities
from ipis.tpf.keys import RootKey
from ipis.tpf.pseudonymise import NationalKey, Pseudonymiser

OURS, LOOP = 4_000_000, 400_000
VALIDATED, VALIDATED_BY_LOOP = 1_000_000, 40_000
YEAR = 2017


def pseudonyms() -> Iterator[Result]:
    """`ipis-p1` over a column, and a worker's whole step, against an HMAC for each value."""
    root = RootKey(os.urandom(32), Environment.TEST)
    key = NationalKey(root.derive("iplos", "register", 1))
    digits = synthetic_numbers(OURS)
    ids, k = as_strings(digits[:LOOP]), os.urandom(32)

    def loop() -> object:
        return [hmac.new(k, s.encode(), "sha256").digest() for s in ids]

    ours, peer = best(lambda: key.pseudonyms(digits), loop)
    rate = LOOP / peer
    yield Result("pseudonyms `ipis-p1`", "ids/s", OURS / ours, rate, "loop of `hmac.new(…).digest()`", 100)

    records, worker = _identity_records(digits[:VALIDATED]), Pseudonymiser(root, "iplos")
    ours, peer = best(lambda: worker.mapping(records, "0" * 32, YEAR), loop)
    note = "unpack, judge, pseudonymise, mapping table: more than the peer does"
    yield Result("TPF's whole step", "ids/s", VALIDATED / ours, LOOP / peer, "the same loop", None, note)


def validation() -> Iterator[Result]:
    """Read and judge a column of numbers, against python-stdnum."""
    texts = as_strings(synthetic_numbers(VALIDATED))
    texts[::50] = [text[:-1] + str((int(text[-1]) + 1) % 10) for text in texts[::50]]
    fid, kind = pa.array(texts), pa.array(["1"] * len(texts))
    looped = texts[:VALIDATED_BY_LOOP]

    def ours_call() -> object:
        return judge(read_identities(fid, kind, Environment.TEST), YEAR, Environment.TEST)

    verdict = judge(read_identities(fid, kind, Environment.TEST), YEAR, Environment.TEST)
    if verdict.count(Reason.OK) != len(texts) - len(texts[::50]):
        raise AssertionError("the bench judges something else than it means to")
    ours, peer = best(ours_call, lambda: [fodselsnummer.is_valid(text) for text in looped])
    note = "strings to reason, class, sex and birth year; one in fifty wrong (python-stdnum stops at month + 80)"
    yield Result("identity numbers judged", "ids/s", len(texts) / ours, len(looped) / peer, "python-stdnum", 200, note)


def _identity_records(digits: np.ndarray) -> bytes:
    texts = as_strings(digits)
    identities = read_identities(pa.array(texts), pa.array(["1"] * len(texts)), Environment.TEST)
    person_keys = np.frombuffer(os.urandom(len(texts) * KEY_SIZE), np.uint8).reshape(-1, KEY_SIZE)
    return pack_identities(person_keys, identities, np.zeros(len(texts), np.int8)).tobytes()
