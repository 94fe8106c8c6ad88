"""Kinds of personal identifiers, what can be wrong with one, and the 32-byte record in which they travel to TPF.

What is known of a person from the identifier alone leaves as a `Judgement`; the digits themselves never do.
Format: docs/spec/pseudonym.md §1, §2 and §5.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

RECORD_SIZE = 32
KEY_SIZE = 16
DIGITS_WIDTH = 14
HELD_BACK = 128
"""Added to a reason where the length would stand: the sender holds the value back and says why."""

IDENTITY_LENGTHS = (6, 11, 12)


class IdentifierType(IntEnum):
    """Code list 9032, the kinds of personal identifier."""

    FOEDSELSNUMMER = 1
    D_NUMMER = 2
    H_NUMMER = 3
    BIRTH_DATE = 9
    DUF = 10
    FH_NUMMER = 12


class Reason(IntEnum):
    """What the judgement of an identifier came to; the codes are part of the format."""

    OK = 0
    MISSING = 1
    FORM = 2
    CHECK_DIGITS = 3
    BIRTH_DATE = 4
    TYPE_UNKNOWN = 5
    TYPE_MISMATCH = 6
    NOT_LINKABLE = 7
    SYNTHETIC_IN_PRODUCTION = 8
    REAL_IN_TEST = 9

    @property
    def text(self) -> str:
        """Give the name that stands in the column `id_reason`."""
        return self.name.lower()


class IdentifierClass(IntEnum):
    """Whether a person can be followed from year to year and between municipalities."""

    UNLINKABLE = 0
    NATIONAL = 1

    @property
    def text(self) -> str:
        """Give the name that stands in the column `id_class`."""
        return self.name.lower()


RULE_OF_REASON: dict[Reason, tuple[str, ...]] = {
    Reason.OK: (),
    Reason.MISSING: ("K020",),
    Reason.FORM: ("K021",),
    Reason.CHECK_DIGITS: ("K022",),
    Reason.BIRTH_DATE: ("K023",),
    Reason.TYPE_UNKNOWN: ("K025",),
    Reason.TYPE_MISMATCH: ("K025",),
    Reason.NOT_LINKABLE: ("K024",),
    Reason.SYNTHETIC_IN_PRODUCTION: ("K026",),
    # No finding: one real number in a demo refuses the whole extract (numbers.real_in_test).
    Reason.REAL_IN_TEST: (),
}
"""The checks of the catalogue that a reason stands for."""

FIELD_OF_REASON: dict[Reason, str] = {
    Reason.OK: "",
    Reason.MISSING: "fid",
    Reason.FORM: "fid",
    Reason.CHECK_DIGITS: "fid",
    Reason.BIRTH_DATE: "fid",
    Reason.TYPE_UNKNOWN: "typeID",
    Reason.TYPE_MISMATCH: "typeID",
    Reason.NOT_LINKABLE: "typeID",
    Reason.SYNTHETIC_IN_PRODUCTION: "fid",
    Reason.REAL_IN_TEST: "fid",
}
"""The one field of Person to correct."""

MAPPING_SCHEMA: pa.Schema = pa.schema(
    [
        pa.field("person_key", pa.binary(KEY_SIZE), nullable=False),
        pa.field("pseudonym", pa.binary(16), nullable=False),
        pa.field("id_class", pa.string(), nullable=False),
        pa.field("key_version", pa.int16(), nullable=False),
        pa.field("kjoenn", pa.string()),
        pa.field("foedselsaar", pa.int16()),
        pa.field("id_reason", pa.string(), nullable=False),
    ]
)
"""Columns of the mapping that TPF hands SSB."""


@dataclass(frozen=True, slots=True, repr=False)
class Identities:
    """A column of identifiers as bytes: `types` (n), `lengths` (n) and `digits` (n × 14 ASCII, filled up with zero)."""

    types: Bytes
    lengths: Bytes
    digits: Bytes

    def __len__(self) -> int:
        return len(self.types)

    def __repr__(self) -> str:
        return f"Identities({len(self)})"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What identifiers tell, an element a row: reason, class, sex (0 unknown, 1 man, 2 woman), birth year (or 0)."""

    reason: NDArray[np.int8]
    id_class: NDArray[np.int8]
    kjoenn: NDArray[np.int8]
    foedselsaar: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.reason)

    def count(self, reason: Reason) -> int:
        """Count the rows with one reason."""
        return int(np.count_nonzero(self.reason == reason))

    def columns(self) -> dict[str, pa.Array]:
        """Give kjoenn, foedselsaar, id_class and id_reason as the Arrow columns that validation is supplied with."""
        return {
            "kjoenn": _spell(["1", "2"], self.kjoenn - 1, absent=self.kjoenn == 0),
            "foedselsaar": pa.array(self.foedselsaar, mask=self.foedselsaar == 0),
            "id_class": _spell([each.text for each in IdentifierClass], self.id_class),
            "id_reason": _spell([each.text for each in Reason], self.reason),
        }

    def take(self, rows: NDArray[np.intp] | slice) -> Self:
        """Give the judgement of some rows, in the order asked for; a slice gives a view."""
        return type(self)(self.reason[rows], self.id_class[rows], self.kjoenn[rows], self.foedselsaar[rows])


def _spell(words: list[str], codes: NDArray[np.int8], absent: NDArray[np.bool_] | None = None) -> pa.Array:
    indices = pa.array(codes, mask=absent)
    return pa.DictionaryArray.from_arrays(indices, pa.array(words)).cast(pa.string())


def pack_identities(person_keys: Bytes, identities: Identities, reason: NDArray[np.int8]) -> Bytes:
    """Lay identities out as the 32-byte records of the identity part (n × 32), in the order given.

    A row whose `reason` is form, synthetic_in_production or real_in_test travels as that reason alone.
    """
    records = np.zeros((len(identities), RECORD_SIZE), np.uint8)
    held = np.isin(reason, (Reason.FORM, Reason.SYNTHETIC_IN_PRODUCTION, Reason.REAL_IN_TEST))
    records[:, :KEY_SIZE] = person_keys
    records[:, 16] = identities.types
    records[:, 17] = np.where(held, HELD_BACK + reason.astype(np.uint8), identities.lengths)
    records[:, 18:] = np.where(held[:, None], 0, identities.digits)
    return records


def unpack_identities(content: bytes | memoryview) -> tuple[Bytes, Identities]:
    """Read 32-byte records strictly into person keys (n × 16) and identities.

    Raises ValueError, without any content, when a record breaks docs/spec/pseudonym.md §1.
    """
    if len(content) % RECORD_SIZE:
        raise ValueError("an identity part is a whole number of 32-byte records")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD_SIZE)
    types, lengths, digits = records[:, 16], records[:, 17], records[:, 18:]
    if not np.isin(types, [0, *IdentifierType]).all():
        raise ValueError("a record has a type outside list 9032")
    held = [HELD_BACK + reason for reason in Reason if reason not in {Reason.OK, Reason.MISSING}]
    if not np.isin(lengths, [0, *IDENTITY_LENGTHS, *held]).all():
        raise ValueError("a record has a length that no identifier has")
    visible = np.where(lengths < HELD_BACK, lengths, 0)
    inside = np.arange(DIGITS_WIDTH, dtype=np.uint8) < visible[:, None]
    if not np.where(inside, (digits >= ord("0")) & (digits <= ord("9")), digits == 0).all():
        raise ValueError("a record has a byte that is no digit, or filling that is not zero")
    return records[:, :KEY_SIZE], Identities(types, lengths, digits)
