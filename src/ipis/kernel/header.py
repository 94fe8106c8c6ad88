"""The header of an extract against its collection year: the refusals K004–K008 and K010, the same for all parties."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from ipis.kernel.collection import Collection
from ipis.kernel.errors import ExtractRefused
from ipis.kernel.layout import Field, Kind
from ipis.kernel.organisation import is_orgnr


@dataclass(frozen=True, slots=True)
class Header:
    """Who extracted what and when; every part has its form and fits the year."""

    kommune: str
    bydel: str
    orgnr: str
    year: int
    begins_on: date
    ends_on: date
    extracted_at: datetime
    innsending: int


def judge_header(
    written: Mapping[str, str | None],
    collection: Collection,
    *,
    agreements: Mapping[str, frozenset[str]] | None = None,
    organisations: Mapping[str, str] | None = None,
) -> Header:
    """Parse the header as written and refuse one that does not fit the year; raises `ExtractRefused` with its K-rule.

    Agreements (municipality -> districts) and organisations (municipality -> the number that answers for it; after a
    merger that is the successor's) come from the season pack. Without them the collection's own agreements hold, and
    any valid number.
    """
    given = {name: _value(field, written.get(name)) for name, field in collection.layout.header.fields.items()}
    if given["formatVersjon"] != collection.layout.format:
        found, wanted = given["formatVersjon"], collection.layout.format
        raise ExtractRefused("extract.format", rule="K004", found=found, wanted=wanted)
    _judge_year(given, collection)
    kommune, bydel, orgnr = given["kommuneNr"], given["bydel"], given["orgNr"]
    if kommune not in collection.kommuner:
        raise ExtractRefused("extract.kommune", rule="K007", kommune=kommune, year=collection.year)
    agreed = (collection.agreements if agreements is None else agreements).get(kommune, frozenset())
    if bydel != collection.no_bydel and bydel not in agreed:
        raise ExtractRefused("extract.bydel", rule="K008", bydel=bydel, kommune=kommune)
    if organisations is not None and organisations.get(kommune) != orgnr:
        wanted = organisations.get(kommune, "–")
        raise ExtractRefused("extract.orgnr", rule="K010", orgnr=orgnr, kommune=kommune, wanted=wanted)
    return Header(
        kommune=kommune,
        bydel=bydel,
        orgnr=orgnr,
        year=int(given["aargang"]),
        begins_on=date.fromisoformat(given["fraDato"]),
        ends_on=date.fromisoformat(given["tilDato"]),
        extracted_at=datetime.fromisoformat(given["uttakTid"]),
        innsending=int(given["innsending"]),
    )


def _judge_year(given: Mapping[str, str], collection: Collection) -> None:
    year = collection.year
    if int(given["aargang"]) != year:
        raise ExtractRefused("extract.year", rule="K005", found=given["aargang"], year=year)
    begins, ends = given["fraDato"], given["tilDato"]
    if (begins, ends) != (collection.begins_on.isoformat(), collection.ends_on.isoformat()):
        raise ExtractRefused("extract.period", rule="K006", begins=begins, ends=ends, year=year)


def _value(field: Field, text: str | None) -> str:
    """Give the text of a header field that has its form; what the layout does not require may be empty."""
    if text is None:
        if field.required:
            raise ExtractRefused("extract.header_missing", rule="K004", field=field.name)
        return ""
    if field.check == "orgnr" and not is_orgnr(text):
        raise ExtractRefused("extract.orgnr_form", rule="K010")
    if not _has_form(field, text):
        raise ExtractRefused("extract.header_form", rule="K004", field=field.name, label=field.label["nb"])
    return text


def _has_form(field: Field, text: str) -> bool:
    if len(text) > field.length or (field.pattern is not None and not re.fullmatch(field.pattern, text)):
        return False
    if field.kind is Kind.INT:
        return text.isascii() and text.isdigit() and (field.minimum is None or int(text) >= field.minimum)
    if field.kind is Kind.DATE:
        return len(text) == field.length and _parses(date.fromisoformat, text)
    if field.kind is Kind.DATETIME:
        return _parses(datetime.fromisoformat, text) and datetime.fromisoformat(text).tzinfo is not None
    return True


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
