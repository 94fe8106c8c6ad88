"""Opens a feedback zip inside the secure zone: proves that it answers one's own forsendelse, makes the worklist."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import pyzipper
import typer

from ipis.kernel.errors import FeedbackRefused, ParcelRefused
from ipis.kernel.extract import read
from ipis.kernel.receipt import Kind, Receipt, SignedReceipt
from ipis.kernel.seasonpack import SeasonPack
from ipis.kernel.secret import Secret
from ipis.kommune.keyring import Keyring
from ipis.kommune.pin import read_pin
from ipis.kommune.settings import KommuneSettings
from ipis.lib.storage import measure, write_durably

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST_FILES: Final = 100
_MOST_BYTES: Final = 2 << 30
_MEMBER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", re.ASCII)
_SHOWN_AS_TEXT: Final = re.compile(r"'(?=[=+\-@\t\r\n'])")
_FEILLISTE: Final = "feilliste.csv"
WORKLIST: Final = "worklist.csv"
WORK_COLUMNS: Final = (
    "status", "level", "rule", "record", "brukerNr", "fid", "id", "field", "value", "message", "first_seen",
)  # fmt: skip


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
    settings = KommuneSettings.load()
    season, ring = SeasonPack.load(pack, settings.trusted_root), Keyring.open(keyring, settings)
    receipt = prove(feedback, season, ring)
    sent = ring.find(receipt.forsendelse)
    code = "" if sent is None or sent.feedback_code is None else sent.feedback_code.reveal()
    pin = read_pin(pin_file, season.collection.pin)
    opened = write_out(unpack(feedback, Secret(pin.reveal() + code)), out, extract, season)
    for path in opened.files:
        typer.echo(str(path))
    typer.echo(f"{opened.standing} funn å se på, {opened.fixed} rettet; begynn med {WORKLIST}", err=True)


@dataclass(frozen=True, slots=True)
class Opened:
    """What came out: the files, and how many findings stand."""

    files: tuple[Path, ...]
    standing: int
    fixed: int


def prove(feedback: Path, pack: SeasonPack, keyring: Keyring) -> Receipt:
    """Verify R4 beside the zip: signed by SSB, of this zip, for a forsendelse of one's own keyring."""
    kvittering, signature = (feedback.with_name(feedback.name + end) for end in (".kvittering", ".kvittering.sig"))
    for path in (feedback, kvittering, signature):
        if not path.is_file():
            raise FeedbackRefused("open.missing", file=path.name)
    signed = SignedReceipt(kvittering.read_bytes(), signature.read_bytes())
    try:
        receipt = signed.verify(pack.signing_keys("ssb-receipt"), pack.environment)
    except ParcelRefused as error:
        raise FeedbackRefused("open.not_signed", file=kvittering.name) from error
    if receipt.kind is not Kind.R4 or receipt.details.get("zip_sha256") != measure(feedback).sha256:
        raise FeedbackRefused("open.other_zip", file=feedback.name)
    sent = keyring.find(receipt.forsendelse)
    if sent is None or sent.manifest_sha256 != receipt.manifest_sha256:
        raise FeedbackRefused("open.not_ours", forsendelse=receipt.forsendelse)
    return receipt


def unpack(feedback: Path, password: Secret) -> dict[str, bytes]:
    """Open the zip with the password and give its files; nothing is written."""
    try:
        with pyzipper.AESZipFile(feedback) as archive:
            members = archive.infolist()
            _check_members(members)
            archive.setpassword(password.reveal().encode())
            return {member.filename: archive.read(member) for member in members}
    except RuntimeError:
        # What pyzipper raises for a wrong password; its text is not passed on.
        raise FeedbackRefused("open.wrong_pin") from None
    except (pyzipper.BadZipFile, OSError, EOFError, ValueError) as error:
        raise FeedbackRefused("open.damaged", file=feedback.name) from error


def write_out(files: Mapping[str, bytes], out: Path, extract: Path | None, pack: SeasonPack) -> Opened:
    """Write the files and the worklist into a folder that this user alone can read."""
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    findings = list(_rows(files))
    standing = [row for row in findings if row["status"] != "fixed"]
    worklist = _worklist(standing, {} if extract is None else _identifiers(extract, pack))
    written = dict(files) | {WORKLIST: worklist}
    for name, content in written.items():
        write_durably(out / name, content)
    return Opened(tuple(out / name for name in written), len(standing), len(findings) - len(standing))


def _check_members(members: list[pyzipper.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if (
        len(names) > _MOST_FILES
        or len(set(names)) != len(names)
        or not all(_MEMBER.fullmatch(name) for name in names)
        or sum(member.file_size for member in members) > _MOST_BYTES
        or _FEILLISTE not in names
    ):
        raise FeedbackRefused("open.unexpected", count=len(names))


def _rows(files: Mapping[str, bytes]) -> Iterator[dict[str, str]]:
    text = io.StringIO(files[_FEILLISTE].decode("utf-8-sig"), newline="")
    for row in csv.DictReader(text, delimiter=";"):
        yield {
            name: _SHOWN_AS_TEXT.sub("", value, count=1) if value[:1] == "'" else value for name, value in row.items()
        }


def _identifiers(extract: Path, pack: SeasonPack) -> dict[str, str]:
    """Read brukerNr -> identifier from the municipality's own extract; the first person of a doubled brukerNr."""
    person = read(extract, pack.collection.layout).tables["person"]
    pairs = zip(person["brukerNr"].to_pylist(), person["fid"].to_pylist(), strict=True)
    known: dict[str, str] = {}
    for bruker, fid in pairs:
        if bruker is not None:
            known.setdefault(bruker, fid or "")
    return known


def _worklist(standing: list[dict[str, str]], identifiers: Mapping[str, str]) -> bytes:
    """Write what is to be done, person by person, with the number the caseworker looks the person up by."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(WORK_COLUMNS)
    for row in sorted(standing, key=lambda row: (row["brukerNr"] == "", row["brukerNr"], row["rule"], row["id"])):
        with_person = row | {"fid": identifiers.get(row["brukerNr"], "")}
        writer.writerow([_inert(with_person[column]) for column in WORK_COLUMNS])
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _inert(value: str) -> str:
    """Mark what a spreadsheet would run, so that it shows it."""
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "'")) else value
