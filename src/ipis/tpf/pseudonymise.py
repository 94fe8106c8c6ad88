"""From identity records to pseudonyms, `ipis-p1`: whole columns in memory, nothing dropped and nothing passed through.

Format: docs/spec/pseudonym.md. Identities exist here in a worker's memory only.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Self

import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from ipis.kernel.environment import Environment
from ipis.kernel.foedselsnummer import judge
from ipis.kernel.identifiers import (
    KEY_SIZE,
    MAPPING_SCHEMA,
    RECORD_SIZE,
    Bytes,
    IdentifierClass,
    unpack_identities,
)
from ipis.tpf.keys import RootKey, load_root_key

BLOCK_SIZE = 16
NATIONAL_PURPOSE = "register"
KEY_CHECK_SIZE = 3

_PREFIX = np.frombuffer(b"\x0b".ljust(BLOCK_SIZE, b"\x00"), np.uint8)
_DIGITS_IN_BLOCK = np.dtype({"names": ["digits"], "formats": ["V11"], "offsets": [4], "itemsize": BLOCK_SIZE})
# 512 KiB of blocks: they stay in the processor's cache between the XOR and the encryption.
_BLOCKS_AT_A_TIME = 32_768
_FORSENDELSE_ID = re.compile(r"[0-9a-f]{32}")


class NationalKey:
    """The key of national pseudonyms of one register and version; it shows and carries nothing."""

    __slots__ = ("_cipher", "_mask", "key_check_value")

    def __init__(self, key: bytes) -> None:
        """Take the derived 32 bytes."""
        self._cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - independent blocks: equality must be kept
        self._mask = np.tile(_first_subkey(self._cipher) ^ _PREFIX, _BLOCKS_AT_A_TIME)
        check = CMAC(algorithms.AES(key))
        check.update(bytes(BLOCK_SIZE))
        self.key_check_value = check.finalize()[:KEY_CHECK_SIZE].hex()

    def __repr__(self) -> str:
        return "<NationalKey>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key does not travel")

    def pseudonyms(self, digits: Bytes) -> Bytes:
        """Give the pseudonyms (n × 16) of valid numbers (n × 11 ASCII or wider, the rest ignored).

        The caller has judged every row: a null or a 12-digit value would make a pseudonym that looks valid.
        """
        count = len(digits)
        result = _room_for(count)
        # Eleven bytes as one element: numpy then copies them at once instead of looping over each row.
        numbers = np.ascontiguousarray(digits).view(f"V{digits.shape[1]}")[:, 0]
        blocks = np.zeros(min(count, _BLOCKS_AT_A_TIME), _DIGITS_IN_BLOCK)
        encryptor = self._cipher.encryptor()
        for start in range(0, count, _BLOCKS_AT_A_TIME):
            part = numbers[start : start + _BLOCKS_AT_A_TIME].astype("V11")
            blocks["digits"][: len(part)] = part
            masked = blocks[: len(part)].view(np.uint8) ^ self._mask[: len(part) * BLOCK_SIZE]
            encryptor.update_into(masked.data, result[start * BLOCK_SIZE :].data)
        return result[: count * BLOCK_SIZE].reshape(count, BLOCK_SIZE)


def _room_for(count: int) -> Bytes:
    # update_into asks for one block less a byte more than it writes.
    return np.empty(count * BLOCK_SIZE + BLOCK_SIZE - 1, np.uint8)


def _first_subkey(cipher: Cipher[modes.ECB]) -> Bytes:
    """Make CMAC's K1: the encryption of zeros, doubled in GF(2^128) (NIST SP 800-38B §6.1)."""
    zeros = int.from_bytes(cipher.encryptor().update(bytes(BLOCK_SIZE)), "big")
    doubled = (zeros << 1) & ((1 << 128) - 1) ^ (0x87 if zeros >> 127 else 0)
    return np.frombuffer(doubled.to_bytes(BLOCK_SIZE, "big"), np.uint8).copy()


def unlinkable_pseudonyms(key: bytes, person_keys: Bytes) -> Bytes:
    """Encrypt random person keys (n × 16) under the forsendelse's own key."""
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - as above
    result = _room_for(len(person_keys))
    encryptor.update_into(np.ascontiguousarray(person_keys).reshape(-1).data, result.data)
    return result[: len(person_keys) * BLOCK_SIZE].reshape(-1, BLOCK_SIZE)


class Pseudonymiser:
    """Makes the mapping of a forsendelse; one object a register, key version and environment."""

    __slots__ = ("_national", "_root", "environment", "register", "version")

    def __init__(self, root: RootKey, register: str, version: int = 1) -> None:
        """Derive the national key once."""
        self._root = root
        self.environment = root.environment
        self.register = register
        self.version = version
        self._national = NationalKey(root.derive(register, NATIONAL_PURPOSE, version))

    @classmethod
    def load(cls, path: Path, environment: Environment, register: str, version: int = 1) -> Self:
        """Open the key file of the environment; a file of another role or environment refuses."""
        return cls(load_root_key(path, environment), register, version)

    def __repr__(self) -> str:
        return f"<Pseudonymiser {self.register} {self.version} {self.environment}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key does not travel")

    @property
    def key_check_value(self) -> str:
        """Give the 3 bytes, in hex, by which SSB sees that the key is still the same."""
        return self._national.key_check_value

    def mapping(self, identities: bytes | memoryview, forsendelse_id: str, year: int) -> pa.Table:
        """Turn the records of an identity part into the rows of the mapping, in the same order.

        `forsendelse_id` is 32 lower-case hexadecimal characters. Raises ValueError when a record breaks the format.
        """
        return self.mappings([(identities, forsendelse_id)], year)[0]

    def mappings(self, parts: Sequence[tuple[bytes | memoryview, str]], year: int) -> list[pa.Table]:
        """Do as `mapping` for several forsendelser (records, id): all numbers are judged and encrypted in one pass."""
        if not all(_FORSENDELSE_ID.fullmatch(forsendelse_id) for _, forsendelse_id in parts):
            raise ValueError("a forsendelse id is 32 lower-case hexadecimal characters")
        # Each by itself: joined, the end of one and the beginning of the next could look like a record.
        if any(len(records) % RECORD_SIZE for records, _ in parts):
            raise ValueError("an identity part is a whole number of 32-byte records")
        person_keys, people = unpack_identities(b"".join(records for records, _ in parts))
        judgement = judge(people, year, self.environment)
        national = judgement.id_class == IdentifierClass.NATIONAL
        pseudonyms = np.empty((len(people), BLOCK_SIZE), np.uint8)
        pseudonyms[national] = self._national.pseudonyms(people.digits[national])
        sizes = [len(records) // RECORD_SIZE for records, _ in parts]
        starts = [0, *itertools.accumulate(sizes)]
        for start, size, (_, forsendelse_id) in zip(starts, sizes, parts, strict=False):
            own_key = self._root.derive(self.register, forsendelse_id, self.version)
            rows = start + np.flatnonzero(~national[start : start + size])
            pseudonyms[rows] = unlinkable_pseudonyms(own_key, person_keys[rows])
        columns = {
            "person_key": _fixed_binary(person_keys, KEY_SIZE),
            "pseudonym": _fixed_binary(pseudonyms, BLOCK_SIZE),
            "key_version": pa.array(np.full(len(people), self.version, np.int16)),
            **judgement.columns(),
        }
        whole = pa.table([columns[name] for name in MAPPING_SCHEMA.names], schema=MAPPING_SCHEMA)
        return [whole.slice(start, size) for start, size in zip(starts, sizes, strict=False)]


def _fixed_binary(matrix: Bytes, width: int) -> pa.Array:
    content = pa.py_buffer(np.ascontiguousarray(matrix))
    return pa.Array.from_buffers(pa.binary(width), len(matrix), [None, content])
