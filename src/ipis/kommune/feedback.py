"""`ipis kommune open`: opens a feedback zip inside the secure zone, once it is proved to answer one's own forsendelse.

Nothing is written before everything has been read. What comes out is readable by this user alone.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
import zlib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import pyzipper
import typer

from ipis.kernel.errors import LANGUAGES, FeedbackRefused, ParcelRefused
from ipis.kernel.extract import read
from ipis.kernel.receipt import Kind, Receipt, SignedReceipt
from ipis.kernel.secret import Secret
from ipis.kommune.pin import read_pin
from ipis.kommune.season import load_season
from ipis.lib.storage import measure, write_durably

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ipis.kernel.seasonpack import SeasonPack
    from ipis.kommune.keyring import Keyring, Sealed

WORKLIST: Final = "worklist.csv"
WORK_COLUMNS: Final = (
    "brukerNr", "fid", "level", "record", "id", "field", "value", "found", "expected", "do", "status", "rule",
    "first_seen",
)  # fmt: skip
"""The worklist's columns: whom it is about, then what, then where it comes from."""
_FEILLISTE: Final = "feilliste.csv"
_ABOUT: Final = "om.json"
_READ_FIRST: Final = (WORKLIST, "tilbakemelding.html", "feilliste.xlsx", _FEILLISTE)
_LEVELS: Final = ("kritisk", "feil", "advarsel", "info")
_TO_CORRECT: Final = {"kritisk", "feil"}
_MOST_FILES: Final = 100
_MOST_BYTES: Final = 512 << 20
_MOST_RECEIPT_BYTES: Final = 1 << 16
_CHUNK: Final = 1 << 20
_MEMBER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", re.ASCII)
_RUNS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
_MARKED: Final = re.compile(r"'(?=[=+\-@\t\r\n'])")


def register(app: typer.Typer) -> None:
    """Add the verb to the municipality's commands."""
    app.command("open")(open_feedback)


def open_feedback(
    feedback: Annotated[Path, typer.Argument(help="The zip from the portal, its .kvittering and .sig beside it.")],
    pack: Annotated[Path, typer.Option(help="The season pack.", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Option(help="The folder that gets lists, tables and the page.")],
    pin_file: Annotated[Path | None, typer.Option(help="A file with the PIN; without it the program asks.")] = None,
    keyring: Annotated[Path | None, typer.Option(help="The keyring's folder.")] = None,
    extract: Annotated[
        Path | None, typer.Option(help="The extract that was sent: adds persons to the worklist.")
    ] = None,
) -> None:
    """Open the feedback inside the secure zone, with the PIN used at the submission."""
    season, ring = load_season(pack, keyring)
    receipt, sent = prove(feedback, season, ring)
    members = unpack(feedback, _passwords(read_pin(pin_file, season.collection.pin), sent.feedback_code))
    findings = read_findings(members[_FEILLISTE], feedback.name)
    identifiers = None if extract is None else read_identifiers(extract, season, receipt)
    worklist = write_worklist(findings, identifiers or {})
    _write(members | {WORKLIST: worklist}, out)
    _tell(members, findings, out, with_persons=identifiers is not None)


def prove(feedback: Path, pack: SeasonPack, keyring: Keyring) -> tuple[Receipt, Sealed]:
    """Verify R4 beside the zip: signed by SSB, of this zip, for a forsendelse of one's own keyring; gives both."""
    kvittering, signature = (feedback.with_name(feedback.name + end) for end in (".kvittering", ".kvittering.sig"))
    for path in (feedback, kvittering, signature):
        if not path.is_file():
            raise FeedbackRefused("open.missing", file=path.name)
    signed = SignedReceipt(_small(kvittering), _small(signature))
    try:
        receipt = signed.verify(pack.signing_keys("ssb-receipt"), pack.environment)
    except ParcelRefused as error:
        raise FeedbackRefused("open.not_signed", file=kvittering.name) from error
    if receipt.kind is not Kind.R4 or receipt.details.get("zip_sha256") != measure(feedback).sha256:
        raise FeedbackRefused("open.other_zip", file=feedback.name)
    sent = keyring.find(receipt.forsendelse)
    if sent is None or sent.manifest_sha256 != receipt.manifest_sha256:
        raise FeedbackRefused("open.not_ours", forsendelse=receipt.forsendelse)
    return receipt, sent


def unpack(feedback: Path, passwords: Iterable[Secret]) -> dict[str, bytes]:
    """Open the zip with the first password that fits and give its files; nothing is written."""
    try:
        with pyzipper.AESZipFile(feedback) as archive:
            members = archive.infolist()
            _check_members(members)
            for password in passwords:
                archive.setpassword(password.reveal().encode())
                opened = _members(archive, members)
                if opened is not None:
                    return opened
    except (pyzipper.BadZipFile, OSError, EOFError, ValueError) as error:
        raise FeedbackRefused("open.damaged", file=feedback.name) from error
    raise FeedbackRefused("open.wrong_pin")


def read_findings(feilliste: bytes, name: str) -> list[dict[str, str]]:
    """Read the feilliste of the zip named, the marks against spreadsheets taken off."""
    try:
        text = io.StringIO(feilliste.decode("utf-8-sig"), newline="")
        header, *rows = csv.reader(text, delimiter=";", strict=True)
        named = [dict(zip(header, map(_unmarked, row), strict=True)) for row in rows]
    except (ValueError, csv.Error) as error:
        raise FeedbackRefused("open.damaged", file=name) from error
    if not set(WORK_COLUMNS) - {"fid"} <= set(header):
        raise FeedbackRefused("open.damaged", file=name)
    return named


def read_identifiers(extract: Path, pack: SeasonPack, receipt: Receipt) -> dict[str, str]:
    """Read brukerNr -> identifier from the municipality's own extract; a doubled brukerNr gives all that bear it.

    Raises FeedbackRefused for the extract of another sender or year: its numbers would name the wrong persons.
    """
    own = read(extract, pack.collection.layout)
    its = tuple(own.header.get(name) for name in ("kommuneNr", "bydel", "aargang"))
    if its != (receipt.kommune, receipt.bydel, str(receipt.year)):
        raise FeedbackRefused("open.other_extract", file=extract.name)
    known: dict[str, list[str]] = {}
    person = own.tables["person"]
    for bruker, fid in zip(person["brukerNr"].to_pylist(), person["fid"].to_pylist(), strict=True):
        if bruker is not None and fid:
            known.setdefault(bruker, []).append(fid)
    return {bruker: " / ".join(dict.fromkeys(fids)) for bruker, fids in known.items()}


def write_worklist(findings: Sequence[Mapping[str, str]], identifiers: Mapping[str, str]) -> bytes:
    """Write what is to be looked at: person by person, whoever has the weightiest finding first."""
    standing = _standing(findings)
    heaviest: dict[str, int] = {}
    for row in standing:
        heaviest[row["brukerNr"]] = min(_weight(row), heaviest.get(row["brukerNr"], len(_LEVELS)))
    standing.sort(key=lambda row: (_weight(row), row["rule"], row["record"], row["id"]))
    standing.sort(key=lambda row: (heaviest[row["brukerNr"]], row["brukerNr"]))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(WORK_COLUMNS)
    for row in standing:
        with_person = {**row, "fid": identifiers.get(row["brukerNr"], "")}
        writer.writerow([_marked(with_person[column]) for column in WORK_COLUMNS])
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _passwords(pin: Secret, code: Secret | None) -> list[Secret]:
    """List what may close the zip: PIN and code, or the PIN alone where SSB could not open the code's contact."""
    return [pin] if code is None else [Secret(pin.reveal() + code.reveal()), pin]


def _members(archive: pyzipper.AESZipFile, members: list[pyzipper.ZipInfo]) -> dict[str, bytes] | None:
    """Read every member, or None where the password does not fit: the zip itself was proved whole before."""
    try:
        return {member.filename: _inflate(archive, member) for member in members}
    except (RuntimeError, pyzipper.BadZipFile, zlib.error):
        return None


def _inflate(archive: pyzipper.AESZipFile, member: pyzipper.ZipInfo) -> bytes:
    """Read one member in chunks: reading all at once would inflate more than it says before it is cut."""
    with archive.open(member) as file:
        return b"".join(iter(lambda: file.read(_CHUNK), b""))


def _check_members(members: list[pyzipper.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if (
        len(names) > _MOST_FILES
        or len({name.lower() for name in (*names, WORKLIST)}) != len(names) + 1
        or not all(_MEMBER.fullmatch(name) for name in names)
        or sum(member.file_size for member in members) > _MOST_BYTES
        or _FEILLISTE not in names
    ):
        raise FeedbackRefused("open.unexpected", count=len(names))


def _write(members: Mapping[str, bytes], out: Path) -> None:
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in members.items():
        write_durably(out / name, content)


def _tell(
    members: Mapping[str, bytes], findings: Sequence[Mapping[str, str]], out: Path, *, with_persons: bool
) -> None:
    """Say what each file is for, in the order in which it is read, and what to do next."""
    texts = _texts(_language(members))
    typer.echo(texts["text"]["opened"].format(folder=out))
    names = [name for name in _READ_FIRST if name in members or name == WORKLIST]
    names += sorted(set(members) - {*names, _ABOUT}) + [name for name in (_ABOUT,) if name in members]
    width = max(map(len, names))
    for name in names:
        typer.echo(f"  {name:{width}}  {texts['file'].get(name, texts['file']['table'])}")
    standing = _standing(findings)
    errors = sum(row["level"] in _TO_CORRECT for row in standing)
    typer.echo(
        texts["text"]["counts"].format(
            errors=errors,
            others=len(standing) - errors,
            persons=len({row["brukerNr"] for row in standing} - {""}),
            fixed=len(findings) - len(standing),
        )
    )
    if standing and not with_persons:
        typer.echo(texts["text"]["no_extract"])
    step = "correct" if errors else "look" if standing else "nothing"
    typer.echo(typer.style(texts["next"][step].format(worklist=WORKLIST), bold=True))


def _language(members: Mapping[str, bytes]) -> str:
    """Give the language in which the feedback is written."""
    try:
        found = json.loads(members.get(_ABOUT, b"{}")).get("language")
    except (ValueError, AttributeError, RecursionError):
        found = None
    return found if found in LANGUAGES else LANGUAGES[0]


def _texts(language: str) -> dict[str, dict[str, str]]:
    source = files("ipis.kommune").joinpath("templates", "open.toml").read_text(encoding="utf-8")
    return {
        section: {key: text[language] for key, text in keys.items()} for section, keys in tomllib.loads(source).items()
    }


def _standing(findings: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    return [row for row in findings if row["status"] != "fixed"]


def _weight(row: Mapping[str, str]) -> int:
    return _LEVELS.index(row["level"]) if row["level"] in _LEVELS else len(_LEVELS)


def _unmarked(value: str) -> str:
    """Take off the mark that SSB put before what a spreadsheet would run."""
    return value[1:] if _MARKED.match(value) else value


def _marked(value: str) -> str:
    """Mark what a spreadsheet would run, so that it shows it."""
    return f"'{value}" if value.startswith(_RUNS) else value


def _small(path: Path) -> bytes:
    """Read a receipt or signature; what is longer cannot be one and is cut, so that it does not verify."""
    with path.open("rb") as file:
        return file.read(_MOST_RECEIPT_BYTES + 1)
