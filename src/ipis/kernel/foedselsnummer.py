"""The judgement of identity numbers, for whole columns at a time, by collection year and environment.

PROTECTED: only `kommune`, `tpf` and `synth` may import this module. Rules and their order: docs/spec/pseudonym.md §2.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import NoReturn, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ipis.kernel.byte_rows import all_digits, blocks, byte_rows
from ipis.kernel.environment import Environment
from ipis.kernel.errors import ExtractRefused
from ipis.kernel.identifiers import (
    DIGITS_WIDTH,
    HELD_BACK,
    IDENTITY_LENGTHS,
    Bytes,
    IdentifierType,
    Identities,
    Judgement,
    Reason,
)
from ipis.kernel.modulus import Bits, Years, birth_year, check_digits, duf_check_digits, latest_birth_year

# By length, up to the width of a record's field: whether digits of that length can be an identifier.
_WHOLE_LENGTH = np.isin(np.arange(DIGITS_WIDTH + 1), IDENTITY_LENGTHS)

# Reasons under which valid digits still make a national pseudonym: only their label is wrong.
_PROVED = (Reason.OK, Reason.TYPE_MISMATCH, Reason.TYPE_UNKNOWN)


class Foedselsnummer:
    """One identity number; it shows nothing of itself, and its digits come out by `reveal` only."""

    __slots__ = ("_digits",)

    def __init__(self, digits: str) -> None:
        """Take digits as they stand, judged or not."""
        self._digits = digits

    def reveal(self) -> str:
        """Give the digits."""
        return self._digits

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Foedselsnummer) and self._digits == other._digits

    def __hash__(self) -> int:
        return hash(self._digits)

    def __repr__(self) -> str:
        return "Foedselsnummer(…)"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __copy__(self) -> Self:
        return _carry_nothing()

    def __deepcopy__(self, memo: object) -> Self:
        return _carry_nothing()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        _carry_nothing()


def _carry_nothing() -> NoReturn:
    raise TypeError("an identity number is neither copied nor pickled")


def read_identities(fid: pa.Array, type_id: pa.Array, environment: Environment) -> Identities:
    """Turn two string columns into bytes; what is not 6, 11 or 12 digits is marked by its reason and left behind.

    In test and demo, eleven digits hidden by separators or other numerals are looked through: a real number written
    with a space in it is real.
    """
    strings = _flat_strings(fid)
    lengths, digits = byte_rows(strings, DIGITS_WIDTH)
    known = _WHOLE_LENGTH[np.minimum(lengths, DIGITS_WIDTH)] & all_digits(digits, lengths)
    malformed = np.flatnonzero((lengths > 0) & ~known)
    digits[malformed] = 0
    lengths[malformed] = [_why_malformed(strings[row].as_py(), environment) for row in malformed.tolist()]
    return Identities(_type_codes(type_id), lengths.astype(np.uint8), digits)


def _flat_strings(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return pc.fill_null(column.cast(pa.string()), "")


def _why_malformed(text: str, environment: Environment) -> int:
    if not text.strip():
        return 0
    hidden = environment.synthetic and _hides_real_number(text)
    return HELD_BACK + (Reason.REAL_IN_TEST if hidden else Reason.FORM)


def _hides_real_number(text: str) -> bool:
    numerals = [unicodedata.digit(char, -1) for char in text]
    found = [numeral for numeral in numerals if numeral >= 0]
    if len(found) != 11 or any(char.isalpha() for char in text):
        return False
    return not 81 <= 10 * found[2] + found[3] <= 92


def _type_codes(type_id: pa.Array | pa.ChunkedArray) -> Bytes:
    """Read typeID, with or without its leading zero; what is not in list 9032 becomes 0."""
    lengths, letters = byte_rows(_flat_strings(type_id), 2)
    codes = _TYPE_OF_LETTERS[letters.view(np.uint16)[:, 0]]
    codes[(lengths > 2) | ((lengths == 2) & (letters[:, 1] == 0))] = 0
    return codes


def _spelled_types() -> Bytes:
    """Make the table from the two bytes of a typeID to its code."""
    table = np.zeros(1 << 16, np.uint8)
    for kind in IdentifierType:
        for spelling in (f"{int(kind)}", f"{int(kind):02}"):
            table[np.frombuffer(spelling.encode().ljust(2, b"\0"), np.uint16)[0]] = kind
    return table


_TYPE_OF_LETTERS = _spelled_types()


def judge(identities: Identities, year: int, environment: Environment, *, remainders: str = "before_2032") -> Judgement:
    """Judge identifiers against the collection year and the environment of the key set, the same at both parties."""
    count = len(identities)
    result = Judgement(
        np.zeros(count, np.int8), np.zeros(count, np.int8), np.zeros(count, np.int8), np.zeros(count, np.int16)
    )
    plain = np.empty(count, np.bool_)
    for rows in blocks(count):
        facts = _Facts.of(identities.types[rows], identities.lengths[rows], identities.digits[rows])
        plain[rows] = _judge_plain(facts, result.take(rows), year, remainders, synthetic=environment.synthetic)
    # The few others together: each of their many conditions costs the same for one row as for thousands.
    others = np.flatnonzero(~plain)
    for part in blocks(len(others)):
        few = others[part]
        facts = _Facts.of(identities.types[few], identities.lengths[few], identities.digits[few])
        _judge_others(facts, result, few, year, remainders, synthetic=environment.synthetic)
    return result


def refuse_real_numbers(judgement: Judgement, environment: Environment) -> None:
    """Refuse an extract that holds real numbers although the key set is for test or demo."""
    count = judgement.count(Reason.REAL_IN_TEST)
    if count:
        raise ExtractRefused("numbers.real_in_test", count=count, environment=environment.value)


@dataclass(frozen=True, slots=True)
class _Facts:
    """One block of rows, one contiguous column a fact; `d` is 12 × rows, a digit position a row."""

    types: Bytes
    lengths: Bytes
    d: Bytes

    @classmethod
    def of(cls, types: Bytes, lengths: Bytes, digits: Bytes) -> Self:
        return cls(types, lengths, np.ascontiguousarray(digits[:, :12].T) - np.uint8(ord("0")))

    @property
    def day(self) -> Bytes:
        number: Bytes = self.d[0] * 10 + self.d[1]
        return number

    @property
    def month(self) -> Bytes:
        number: Bytes = self.d[2] * 10 + self.d[3]
        return number

    @property
    def sex(self) -> NDArray[np.int8]:
        """The ninth digit: odd man (1), even woman (2)."""
        sex: NDArray[np.int8] = (np.uint8(2) - (self.d[8] & 1)).astype(np.int8)
        return sex

    def is_type(self, *kinds: IdentifierType) -> Bits:
        found: Bits = self.types == kinds[0]
        for kind in kinds[1:]:
            found |= self.types == kind
        return found


def _judge_plain(facts: _Facts, result: Judgement, year: int, remainders: str, *, synthetic: bool) -> Bits:
    """Fill in the valid numbers of types 1 and 2, in a few passes; tell which rows those are."""
    born, checks, sex = _as_number(facts, year, remainders, synthetic=synthetic)
    valid = (facts.lengths == 11) & checks & (born > 0)
    plain: Bits = valid & (facts.types == IdentifierType.FOEDSELSNUMMER + (facts.d[0] >= 4))
    result.id_class[:] = plain
    result.foedselsaar[:] = born * plain
    result.kjoenn[:] = sex * plain
    return plain


def _as_number(facts: _Facts, year: int, remainders: str, *, synthetic: bool) -> tuple[Years, Bits, NDArray[np.int8]]:
    """Read rows as fødselsnummer or D-number: birth year or 0, check digits, sex or 0."""
    remainder, checks = check_digits(facts.d, remainders)
    day, month = facts.day, facts.month
    day -= (day > 40) * np.uint8(40)
    if synthetic:
        month -= 80
    # A number of the 2032 rule tells no sex.
    return birth_year(facts.d, day, month, year), checks, facts.sex * (remainder == 0)


def _judge_others(
    facts: _Facts, result: Judgement, rows: NDArray[np.intp], year: int, remainders: str, *, synthetic: bool
) -> None:
    """Fill in rows that are not plainly valid numbers of their type."""
    born, checks, sex = _as_number(facts, year, remainders, synthetic=synthetic)
    shapes = _Shapes.of(facts, (facts.lengths == 11) & checks & (born > 0), checks)
    reason, told_born, told_sex = _judge_rest(facts, shapes, year, synthetic=synthetic)
    proved = np.isin(reason, _PROVED) & shapes.valid
    told = reason == Reason.NOT_LINKABLE
    result.reason[rows] = reason
    result.id_class[rows] = proved
    result.foedselsaar[rows] = np.where(told, told_born, born * proved)
    result.kjoenn[rows] = np.where(told, told_sex, sex * proved)


@dataclass(frozen=True, slots=True)
class _Shapes:
    """What rows that are not plainly valid look like."""

    valid: Bits
    checks: Bits
    eleven: Bits
    suffix: Bits
    national: Bits
    fh: Bits

    @classmethod
    def of(cls, facts: _Facts, valid: Bits, checks: Bits) -> Self:
        d, eleven = facts.d, facts.lengths == 11
        national = facts.is_type(IdentifierType.FOEDSELSNUMMER, IdentifierType.D_NUMMER)
        # KOSTRA's endings for a birth date without a number: 00100, 00200, 99999.
        zeros = (d[6] == 0) & (d[7] == 0) & ((d[8] == 1) | (d[8] == 2)) & (d[9] == 0) & (d[10] == 0)
        nines = (d[6:11] == 9).all(axis=0)
        suffix = eleven & (zeros | nines) & (facts.is_type(IdentifierType.BIRTH_DATE) | (national & ~checks))
        return cls(valid, checks, eleven, suffix, national, eleven & checks & (d[0] >= 8))


def _judge_rest(
    facts: _Facts, shapes: _Shapes, year: int, *, synthetic: bool
) -> tuple[NDArray[np.int8], Years, NDArray[np.int8]]:
    """Give reason, birth year and sex of rows that are not plainly valid numbers of their type."""
    born = _birth_year_of_rest(facts, shapes, year, synthetic=synthetic)
    dated = facts.is_type(
        IdentifierType.FOEDSELSNUMMER, IdentifierType.D_NUMMER, IdentifierType.H_NUMMER, IdentifierType.BIRTH_DATE
    )
    conditions = {
        Reason.MISSING: facts.lengths == 0,
        Reason.REAL_IN_TEST: _is_real(facts, shapes) & synthetic,
        Reason.SYNTHETIC_IN_PRODUCTION: _is_synthetic(facts, shapes) & (not synthetic),
        Reason.FORM: _breaks_form(facts, shapes),
        Reason.TYPE_UNKNOWN: facts.types == 0,
        Reason.BIRTH_DATE: dated & (born == 0) & ~shapes.valid & ~shapes.fh,
        Reason.CHECK_DIGITS: shapes.national & ~shapes.checks & ~shapes.suffix,
        Reason.TYPE_MISMATCH: (shapes.valid & ~shapes.suffix) | (shapes.fh & dated),
        Reason.OK: facts.types == IdentifierType.DUF,
    }
    reason = np.select(list(conditions.values()), list(conditions), Reason.NOT_LINKABLE).astype(np.int8)
    held = facts.lengths >= HELD_BACK
    reason[held] = facts.lengths[held] - HELD_BACK
    tells_sex = shapes.eleven & dated & ~(facts.d[6:11] == 9).all(axis=0)
    born[~dated] = 0
    return reason, born, facts.sex * tells_sex


def _birth_year_of_rest(facts: _Facts, shapes: _Shapes, year: int, *, synthetic: bool) -> Years:
    day, month = facts.day, facts.month
    day -= ((day > 40) & shapes.national) * np.uint8(40)
    if synthetic:
        month -= (month > 80) * np.uint8(80)
    month -= ((month > 40) & facts.is_type(IdentifierType.H_NUMMER)) * np.uint8(40)
    numbered = birth_year(facts.d, day, month, year)
    dateless = (facts.lengths == 6) | shapes.suffix
    return np.where(dateless, latest_birth_year(facts.d, day, month, year), numbered)


def _is_real(facts: _Facts, shapes: _Shapes) -> Bits:
    """Tell which rows are, or may be, numbers of living persons: the type says so, or the digits look like it."""
    day, month = facts.day, facts.month
    looks = ((day - np.uint8(1) < 31) | (day - np.uint8(41) < 31)) & (month - np.uint8(1) < 12) & ~shapes.suffix
    real: Bits = shapes.eleven & (shapes.national | looks) & ~(month - np.uint8(81) < 12)
    return real


def _is_synthetic(facts: _Facts, shapes: _Shapes) -> Bits:
    """Tell which rows carry a synthetic month: + 80, + 65, and + 40 unless it is an H-number."""
    month = facts.month
    marked: Bits = (month - np.uint8(81) < 12) | (month - np.uint8(66) < 12)
    marked |= (month - np.uint8(41) < 12) & ~facts.is_type(IdentifierType.H_NUMMER)
    has_date = shapes.eleven | ((facts.lengths == 6) & facts.is_type(IdentifierType.BIRTH_DATE))
    marked &= has_date & ~facts.is_type(IdentifierType.FH_NUMMER, IdentifierType.DUF)
    return marked


def _breaks_form(facts: _Facts, shapes: _Shapes) -> Bits:
    """Tell which rows have the wrong length for their type, or are no H, FH or DUF number by their check digits."""
    duf = facts.is_type(IdentifierType.DUF)
    birth_date = facts.is_type(IdentifierType.BIRTH_DATE)
    right = (facts.lengths == 12) & duf_check_digits(facts.d)
    wrong: Bits = duf & ~right
    wrong |= birth_date & (facts.lengths != 6) & ~shapes.suffix & ~shapes.valid
    wrong |= ~duf & ~birth_date & (facts.types != 0) & ~shapes.eleven
    wrong |= facts.is_type(IdentifierType.FH_NUMMER) & ~shapes.fh & ~shapes.valid
    wrong |= facts.is_type(IdentifierType.H_NUMMER) & ~shapes.checks
    return wrong
