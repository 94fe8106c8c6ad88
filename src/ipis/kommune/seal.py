"""`ipis kommune seal`: from an extract to a sealed forsendelse, inside the secure zone.

Refuses what `check` refuses, and whatever would carry an identity number to anyone but TPF.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import TimeElapsedColumn

from ipis.kernel.contact import Contact, contact_faults
from ipis.kernel.errors import ExtractRefused, Misuse, PackRefused, Refused
from ipis.kernel.forsendelse import Facts, Limits, read_container
from ipis.kernel.forsendelse import pack as pack_forsendelse
from ipis.kernel.header import Header
from ipis.kernel.seasonpack import SeasonPack
from ipis.kommune import precheck
from ipis.kommune.answers import Answer, Kept, keep_known, read_answers, refuse_identity_numbers
from ipis.kommune.extract import PERSON
from ipis.kommune.keyring import Keyring, Sealed
from ipis.kommune.pin import draw_feedback_code, read_pin
from ipis.kommune.progress import bars
from ipis.kommune.sealing import Prepared, prepare
from ipis.kommune.season import load_season
from ipis.lib.settings import speak
from ipis.lib.storage import flush_folder
from ipis.validation.catalogue import Level
from ipis.validation.findings import Report

_HIGHEST_SEQUENCE = 9999
_PHONE_LENGTH = 20
_EMAIL_LENGTH = 254
_SHOWN_LINES = 20


class Language(StrEnum):
    """The language of receipt mails and feedback."""

    NB = "nb"
    NN = "nn"
    EN = "en"


def register(app: typer.Typer) -> None:
    """Add the verb to the municipality's commands."""
    app.command("seal")(seal)


def seal(
    extract: Annotated[Path, typer.Argument(help="The XML, or a folder with <record>.csv|parquet.")],
    pack: Annotated[Path, typer.Option(help="The season pack.")],
    contact_email: Annotated[str, typer.Option(help="E-mail of the person with professional responsibility.")],
    out: Annotated[Path, typer.Option(help="The file to write, *.forsendelse.")],
    contact_phone: Annotated[str | None, typer.Option(help="Telephone, preferably mobile.")] = None,
    language: Annotated[
        Language | None, typer.Option(help="Language of mails and feedback, and of messages here.", show_default="nb")
    ] = None,
    pin_file: Annotated[Path | None, typer.Option(help="A file with the PIN; without it the program asks.")] = None,
    keyring: Annotated[Path | None, typer.Option(help="The folder of the keyring.")] = None,
    sequence: Annotated[
        int | None, typer.Option(min=1, max=_HIGHEST_SEQUENCE, help="Only to override the keyring's own count.")
    ] = None,
    max_part_size: Annotated[int | None, typer.Option(min=1, help="Largest sealed part, in bytes.")] = None,
    max_file_size: Annotated[int | None, typer.Option(min=1, help="Largest file, in bytes.")] = None,
    feedback_code: Annotated[
        bool, typer.Option("--feedback-code", help="Close the feedback with PIN + a code kept in the keyring.")
    ] = False,
    answers: Annotated[
        Path | None,
        typer.Option(
            help="A worklist.csv in which svar (riktig) and begrunnelse are filled.", exists=True, dir_okay=False
        ),
    ] = None,
) -> None:
    """Check an extract and seal it to TPF and SSB."""
    if language is not None:
        speak(language.value)
    if out.is_dir() or not out.parent.is_dir():
        raise Misuse("seal.out", file=out)
    season, ring = load_season(pack, keyring)
    contact = Contact(
        email=_printable(contact_email, _EMAIL_LENGTH, "--contact-email"),
        phone=None if contact_phone is None else _printable(contact_phone, _PHONE_LENGTH, "--contact-phone"),
        pin=read_pin(pin_file, season.collection.pin),
        feedback_code=draw_feedback_code() if feedback_code else None,
        language=(language or Language.NB).value,
    )
    wish = Wish(contact, out, sequence, Limits(max_part_size, max_file_size))
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    _warn_of_contact(contact, season, console)
    written = () if answers is None else read_answers(answers)
    with bars(TimeElapsedColumn()) as shown:
        reading = shown.add_task("extract", total=None)
        checked = _check(extract, season, lambda done, whole: shown.update(reading, completed=done, total=whole))
        levels = _refuse_critical(checked.report)
        kept = _kept(written, checked, season, "" if answers is None else answers.name)
        prepared = prepare(checked.clear, season.collection.layout, kept.answers)
        sealing = shown.add_task("forsendelse", total=None)
        files, sealed = seal_prepared(
            prepared, season, ring, wish, lambda done, whole: shown.update(sealing, completed=done, total=whole)
        )
    if answers is not None:
        _tell_answers(kept, contact.language, console)
    console.print(
        _SEALED[contact.language].format(id=sealed.forsendelse, number=sealed.sequence, faults=levels["feil"])
    )
    for path in files:
        typer.echo(str(path))


_SEALED = {
    "nb": "Forsendelse {id}, innsending nr. {number} ({faults} funn bør rettes)",
    "nn": "Forsendelse {id}, innsending nr. {number} ({faults} funn bør rettast)",
    "en": "Parcel {id}, submission no. {number} (findings to correct: {faults})",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller asks for beside the extract."""

    contact: Contact
    out: Path
    sequence: int | None
    limits: Limits


def seal_prepared(
    prepared: Prepared,
    season: SeasonPack,
    ring: Keyring,
    wish: Wish,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Path], Sealed]:
    """Pack, seal and sign what has been prepared, and note it in the keyring; gives the files and the entry."""
    header = prepared.header
    key = ring.sender_key(season.environment)
    ring.note_signer(header.kommune, header.bydel, key)
    out = wish.out
    with ring.locked(), tempfile.TemporaryDirectory(prefix=".forsegling-", dir=out.parent) as folder:
        newest = ring.newest(season, header.kommune, header.bydel)
        facts = Facts(
            environment=season.environment,
            forsendelse=secrets.token_hex(16),
            register=season.register,
            year=season.year,
            kommune=header.kommune,
            bydel=header.bydel,
            orgnr=header.orgnr,
            sequence=wish.sequence or _next_sequence(header, newest),
            replaces=None if newest is None else newest.forsendelse,
            created_at=datetime.now(UTC),
            program=_program(),
            pack_version=season.version,
            sender=key.public.fingerprint,
        )
        written = pack_forsendelse(
            facts, prepared.rows, wish.contact, season.recipients, key, Path(folder) / out.name, wish.limits, progress
        )
        sealed = _entry(facts, read_container(written[0]).manifest_sha256, wish.contact)
        # The keyring first: an entry without a file harms nobody, a file without its entry can never be answered.
        ring.add(sealed)
        files = [path.replace(out.with_name(path.name)) for path in written]
        flush_folder(out.parent)
    return files, sealed


@cache
def _program() -> str:
    """Name the program and its version; the package's metadata takes longer to read than a manifest to sign."""
    return f"ipis {version('ipis')}"


def _check(extract: Path, season: SeasonPack, progress: Callable[[int, int], None]) -> precheck.Checked:
    """Read and judge the extract as `check` does; one of a later year meets last year's key (K002)."""
    try:
        return precheck.run(extract, season, progress=progress)
    except ExtractRefused as error:
        if error.code != "extract.year" or int(str(error.params["found"])) < season.year:
            raise
        key, year = season.active_key("tpf").key_id, error.params["found"]
        raise PackRefused("seasonpack.key_not_valid", rule="K002", key=key, year=year) from error


def _kept(written: Sequence[Answer], checked: precheck.Checked, season: SeasonPack, file: str) -> Kept:
    """Refuse answers that name a person by number, and keep those about this extract."""
    tables = checked.clear.extract.tables
    refuse_identity_numbers(written, tables[PERSON]["fid"], file)
    return keep_known(written, tables, season)


def _tell_answers(kept: Kept, language: str, console: Console) -> None:
    """Say how many answers travel, and on which lines those stand that do not."""
    lines = ", ".join(map(str, kept.left_out[:_SHOWN_LINES])) + (" …" if len(kept.left_out) > _SHOWN_LINES else "")
    code = "answers.left_out" if kept.left_out else "answers.sealed"
    told = Refused(code, sealed=len(kept.answers), left_out=len(kept.left_out), lines=lines)
    text = told.render(language)
    console.print(f"{text.found[0].upper()}{text.found[1:]}. {text.do[0].upper()}{text.do[1:]}.")


def _refuse_critical(report: Report) -> dict[str, int]:
    """Refuse what `check` refuses; level feil does not stop it (L16, L17). Gives the counts by level."""
    findings = report.findings
    if report.refused:
        rules = [rule for rule in findings.count_by_rule() if findings.texts.rules[rule].level is Level.KRITISK]
        raise ExtractRefused("seal.critical", rule=rules[0], rules=", ".join(rules))
    return findings.count_by_level()


def _next_sequence(header: Header, newest: Sealed | None) -> int:
    """Take the extract's own number or one more than the newest, whichever is greater."""
    found = max(header.innsending, 1 if newest is None else newest.sequence + 1)
    if found > _HIGHEST_SEQUENCE:
        raise Misuse("seal.sequence", most=_HIGHEST_SEQUENCE)
    return found


def _entry(facts: Facts, manifest_sha256: str, contact: Contact) -> Sealed:
    return Sealed(
        forsendelse=facts.forsendelse,
        environment=facts.environment,
        register=facts.register,
        year=facts.year,
        kommune=facts.kommune,
        bydel=facts.bydel,
        sequence=facts.sequence,
        manifest_sha256=manifest_sha256,
        sealed_at=facts.created_at,
        feedback_code=contact.feedback_code,
    )


def _warn_of_contact(contact: Contact, season: SeasonPack, console: Console) -> None:
    """Say what is wrong with the contact: the catalogue lets it pass (K016, K017), and mails then go elsewhere."""
    for rule in contact_faults(contact, season.collection.contact):
        text = Refused("seal.contact_email" if rule == "K016" else "seal.contact_phone", rule=rule).render(
            contact.language
        )
        console.print(f"{rule}: {text.found}; {text.do}", style="yellow")


def _printable(text: str, longest: int, option: str) -> str:
    if not 1 <= len(text.strip()) <= longest or not text.isprintable():
        raise Misuse("seal.option", option=option, most=longest)
    return text.strip()
