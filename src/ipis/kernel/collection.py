"""A collection year as data: windows, contact, PIN, password, receipts, addresses, code lists and layout.

`load` is the only reader of a definition folder; one with an unknown or missing key is refused.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ipis.kernel import layout_file
from ipis.kernel.calendar import Window
from ipis.kernel.definitions import DefinitionFolder, packaged_years
from ipis.kernel.errors import LANGUAGES, DefinitionRefused
from ipis.kernel.layout import Layout
from ipis.kernel.toml_file import Written

__all__ = [
    "NEEDED",
    "Collection",
    "ContactRules",
    "DefinitionFolder",
    "PasswordRules",
    "load",
    "packaged",
    "packaged_years",
]

_COLLECTION_FILE = "collection.toml"
_LAYOUT_FILE = "layout.toml"
NEEDED = (_COLLECTION_FILE, _LAYOUT_FILE, "codes/kommuner.csv", "codes/successors.csv")
"""What every folder to collect by holds."""
_STRICT = ConfigDict(extra="forbid", strict=False)
_NUMBERS = re.compile(r"^(?:valid_(?:from|to)|age_\w+|population|total)$")


class ReceiptAfter(StrEnum):
    """What must have happened before the receipt mail says that the data are in."""

    ARRIVED = "arrived"
    """The data have arrived at Statistics Norway (L16)."""
    LOADED = "loaded"
    """The data have arrived and are loaded into the register (L17)."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Receipt:
    """When the receipt mail goes out: the hour in Oslo on the first working day after."""

    hour: int
    after: ReceiptAfter


@dataclass(frozen=True, slots=True, config=_STRICT)
class EmailRule:
    """What the contact's e-mail address must look like."""

    required: bool
    pattern: str


@dataclass(frozen=True, slots=True, config=_STRICT)
class PhoneRule:
    """Whether the contact's telephone is asked for, and what it must look like."""

    asked: bool
    required: bool
    prefer: str
    pattern: str
    mobile_pattern: str


@dataclass(frozen=True, slots=True, config=_STRICT)
class ContactRules:
    """The contact fields of the year (K016, K017)."""

    email: EmailRule
    phone: PhoneRule


@dataclass(frozen=True, slots=True, config=_STRICT)
class PinForm:
    """The form of the PIN of the KOSTRA letter."""

    pattern: str
    minimum_length: int
    maximum_length: int


@dataclass(frozen=True, slots=True, config=_STRICT)
class PasswordRules:
    """The floor for portal passwords (L17 §4.2) and how long a password link lives."""

    minimum_length: int
    letters: int
    digits: int
    unlike_username: bool
    link_minutes: int


@dataclass(frozen=True, slots=True, config=_STRICT)
class Feedback:
    """When feedback is available: `at_once`, or from a day on; and the day that the letter announces."""

    available: str | date
    announced_from_on: date


@dataclass(frozen=True, slots=True, config=_STRICT)
class Publication:
    """The days of the preliminary and the final publication."""

    preliminary_on: date
    final_on: date


@dataclass(frozen=True, slots=True, config=_STRICT)
class Versions:
    """Versions of format, module and guide, and the day from which the year's key can be fetched."""

    format: str
    module: str
    guide: str
    new_key_from_on: date


@dataclass(frozen=True, slots=True, config=_STRICT)
class Population:
    """Where the inhabitants per municipality stand, of which day, in which age groups."""

    file: str
    reference_on: date
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True, config=_STRICT)
class Limits:
    """Quota of distinct identities (architecture §2.4) and days of keeping (§2.6, §3)."""

    quota_minimum: int
    quota_share: float
    keep_lokal_days: int
    keep_identities_days: int


@dataclass(frozen=True, slots=True, config=_STRICT)
class _Windows:
    zone: str
    opens_at: datetime
    closes_at: datetime
    corrections_until: datetime


@dataclass(frozen=True, slots=True, config=_STRICT)
class _Bydel:
    none: str
    agreements: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True, config=_STRICT)
class _Minimum:
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, config=_STRICT)
class _File:
    """`collection.toml` as written."""

    register: str
    year: int
    name: Mapping[str, str]
    window: _Windows
    receipt: Receipt
    feedback: Feedback
    publication: Publication
    contact: ContactRules
    pin: PinForm
    password: PasswordRules
    versions: Versions
    addresses: Mapping[str, str]
    minimum: _Minimum
    bydel: _Bydel
    population: Population
    limits: Limits
    switches: Mapping[str, bool]
    title: Mapping[str, str] | None = None


_FILE = TypeAdapter(_File)


@plain_dataclass(frozen=True, slots=True)
class Collection:
    """One collection year; `kommuner` are valid in it, `codes` hold each code list as a table.

    `title` is what people call the register, whatever the year: "IPLOS"; where none is written, `register` in capitals.
    A code list with `valid_from` and `valid_to` has a second table `<name>_valid` with the codes of this year.
    """

    register: str
    year: int
    name: Mapping[str, str]
    title: Mapping[str, str]
    window: Window
    receipt: Receipt
    feedback: Feedback
    publication: Publication
    contact: ContactRules
    pin: PinForm
    password: PasswordRules
    versions: Versions
    addresses: Mapping[str, str]
    minimum_fields: tuple[str, ...]
    no_bydel: str
    agreements: Mapping[str, frozenset[str]]
    population: Population
    limits: Limits
    switches: Mapping[str, bool]
    kommuner: Mapping[str, str]
    successors: Mapping[str, str]
    layout: Layout
    codes: Mapping[str, pa.Table]
    folder: DefinitionFolder

    @property
    def begins_on(self) -> date:
        """Give the first day of the collection year."""
        return date(self.year, 1, 1)

    @property
    def ends_on(self) -> date:
        """Give the last day of the collection year."""
        return date(self.year, 12, 31)

    def code_values(self, codes: str | tuple[str, ...]) -> tuple[str, ...]:
        """Give the values of a code list, named or written in the layout."""
        return codes if isinstance(codes, tuple) else tuple(self.codes[codes]["code"].to_pylist())

    def inhabitants(self) -> pa.Table:
        """Give the inhabitants per municipality on the reference day: kommune, a column per age group, total, basis."""
        return _table(self.folder.require(self.population.file), self.population.file)


def packaged(register: str, year: int) -> Collection:
    """Load a collection year that the program carries."""
    return load(DefinitionFolder.packaged(register, year))


def load(folder: DefinitionFolder) -> Collection:
    """Read a collection year from its folder; raises `DefinitionRefused` with the file and place of what is wrong."""
    for needed in NEEDED:
        folder.require(needed)
    collection = load_any(folder)
    if next(iter(collection.layout.records), None) != "person":
        _written(folder, _LAYOUT_FILE).refuse("layout.first_person", tuple(collection.layout.records)[:1])
    return collection


def load_any(folder: DefinitionFolder) -> Collection:
    """Read any register's definitions, as a rule author has them: no person and no municipalities are needed."""
    written = _read_file(folder)
    layout = layout_file.parse(folder.require(_LAYOUT_FILE), f"{folder.origin}/{_LAYOUT_FILE}")
    codes = code_lists(folder, written.year)
    layout_file.require_lists(layout, codes, _written(folder, _LAYOUT_FILE))
    _require_code_columns(layout, codes)
    layout_file.require_rules(layout, _written(folder, _LAYOUT_FILE))
    return Collection(
        register=written.register,
        year=written.year,
        name=written.name,
        title=dict.fromkeys(LANGUAGES, written.register.upper()) | dict(written.title or {}),
        window=_window(written.window, folder),
        receipt=written.receipt,
        feedback=written.feedback,
        publication=written.publication,
        contact=written.contact,
        pin=written.pin,
        password=written.password,
        versions=written.versions,
        addresses=written.addresses,
        minimum_fields=written.minimum.fields,
        no_bydel=written.bydel.none,
        agreements=written.bydel.agreements,
        population=written.population,
        limits=written.limits,
        switches=written.switches,
        kommuner=_pairs(codes, "kommuner", "code", "label_nb", kind="kommune"),
        successors=_pairs(codes, "successors", "code", "successor"),
        layout=layout,
        codes=codes,
        folder=folder,
    )


def _written(folder: DefinitionFolder, member: str) -> Written:
    return Written.decode(folder.require(member), f"{folder.origin}/{member}")


def _read_file(folder: DefinitionFolder) -> _File:
    written = _written(folder, _COLLECTION_FILE)
    try:
        return _FILE.validate_python(written.tables())
    except ValidationError as error:
        written.refuse_complaint(error, _File)


def _window(written: _Windows, folder: DefinitionFolder) -> Window:
    """Give the local times of the file their zone."""
    try:
        zone = ZoneInfo(written.zone)
    except (KeyError, ValueError, OSError):
        _written(folder, _COLLECTION_FILE).refuse("collection.zone", ("window", "zone"))
    instants = (written.opens_at, written.closes_at, written.corrections_until)
    try:
        return Window(*(at if at.tzinfo else at.replace(tzinfo=zone) for at in instants))
    except ValueError:
        _written(folder, _COLLECTION_FILE).refuse("collection.window", ("window",))


def code_lists(folder: DefinitionFolder, year: int) -> dict[str, pa.Table]:
    """Read `codes/*.csv`; of a list with years of validity also what is valid in the year, as `<name>_valid`."""
    lists: dict[str, pa.Table] = {}
    for member, data in folder.under("codes/", ".csv").items():
        name = member.removeprefix("codes/").removesuffix(".csv")
        table = _table(data, member)
        lists[name] = table
        if {"valid_from", "valid_to"} <= set(table.column_names):
            begun = pc.less_equal(table["valid_from"], year)
            lasting = pc.greater_equal(pc.coalesce(table["valid_to"], year), year)
            lists[f"{name}_valid"] = table.filter(pc.and_(begun, lasting))
    return lists


def _require_code_columns(layout: Layout, codes: Mapping[str, pa.Table]) -> None:
    """Refuse a list that a field takes its values from and that has no column of them."""
    named = {each.codes for _, each in layout.every_field() if isinstance(each.codes, str)}
    for name in sorted(named & codes.keys()):
        if "code" not in codes[name].column_names:
            raise DefinitionRefused("collection.no_code", file=f"codes/{name.removesuffix('_valid')}.csv", line=1)


def _table(data: bytes, member: str) -> pa.Table:
    """Read a CSV of ours: texts as strings, years and counts as numbers, empty cells as nulls."""
    names = _heading(data, member)
    types: dict[str, Any] = {name: pa.int64() if _NUMBERS.match(name) else pa.string() for name in names}
    options = pa_csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True)
    try:
        # In one thread, Arrow tells the row.
        return pa_csv.read_csv(io.BytesIO(data), pa_csv.ReadOptions(use_threads=False), convert_options=options)
    except pa.ArrowInvalid as error:
        row = re.search(r"Row #(\d+)", str(error))
        raise DefinitionRefused("collection.csv", file=member, line=int(row[1]) if row else 1) from None


def _heading(data: bytes, member: str) -> list[str]:
    """Give the names of the columns, each of which stands once."""
    try:
        names = next(csv.reader([re.split(r"[\r\n]", data.decode("utf-8-sig"), maxsplit=1)[0]]), [])
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DefinitionRefused("collection.csv", file=member, line=line) from None
    except csv.Error:
        raise DefinitionRefused("collection.csv", file=member, line=1) from None
    for name, count in Counter(names).items():
        if name and count > 1:
            raise DefinitionRefused("collection.doubled_column", file=member, line=1, name=name)
    return names


def _pairs(codes: Mapping[str, pa.Table], name: str, key: str, value: str, *, kind: str = "") -> dict[str, str]:
    """Give two columns of a code list as pairs, of one kind of row; a list that is not such a one has none."""
    table = codes.get(name)
    if table is None or not {key, value, *(["kind"] if kind else [])} <= set(table.column_names):
        return {}
    if kind:
        table = table.filter(pc.equal(table["kind"], kind))
    return dict(zip(table[key].to_pylist(), table[value].to_pylist(), strict=True))
