"""`ipis kommune open`: opens a feedback zip inside the secure zone, once it is proved to answer one's own forsendelse.

Nothing is written before everything has been read. What comes out is readable by this user alone.
"""

from __future__ import annotations

import json
import re
import tomllib
import zlib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyzipper
import typer

from ipis.kernel.errors import LANGUAGES, FeedbackRefused, ParcelRefused
from ipis.kernel.extract import read
from ipis.kernel.receipt import Kind, Receipt, SignedReceipt
from ipis.kernel.secret import Secret
from ipis.kommune import worklist
from ipis.kommune.pin import read_pin
from ipis.kommune.season import load_season
from ipis.lib.storage import measure, write_durably

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ipis.kernel.seasonpack import SeasonPack
    from ipis.kommune.keyring import Keyring, Sealed

_FEILLISTE: Final = "feilliste.csv"
_ABOUT: Final = "om.json"
_OURS: Final = (worklist.NAME, worklist.WORKBOOK)
_READ_FIRST: Final = (
    worklist.NAME, worklist.WORKBOOK, "tilbakemelding.html", "feilliste.xlsx", _FEILLISTE, "kontrolltabeller.csv",
)  # fmt: skip
_TO_CORRECT: Final = {"kritisk", "feil"}
_MOST_FILES: Final = 100
_MOST_BYTES: Final = 512 << 20
_MOST_RECEIPT_BYTES: Final = 1 << 16
_CHUNK: Final = 1 << 20
_MEMBER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", re.ASCII)


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
    findings = worklist.read_findings(members[_FEILLISTE], feedback.name)
    known = None if extract is None else read_identifiers(extract, season, receipt)
    work = worklist.worklist(findings, known)
    lists = {worklist.NAME: worklist.as_csv(work), worklist.WORKBOOK: worklist.as_workbook(work)}
    _write(members | lists, out)
    _tell(members | lists, findings, out, with_persons=known is not None)


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
        contact = pack.collection.addresses["ssb"]
        raise FeedbackRefused("open.not_signed", file=kvittering.name, contact=contact) from error
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


def read_identifiers(extract: Path, pack: SeasonPack, receipt: Receipt) -> pa.Table:
    """Read brukerNr and identifier from the municipality's own extract.

    Raises FeedbackRefused for the extract of another sender or year: its numbers would name the wrong persons.
    """
    own = read(extract, pack.collection.layout)
    its = tuple(own.header.get(name) for name in ("kommuneNr", "bydel", "aargang"))
    if its != (receipt.kommune, receipt.bydel, str(receipt.year)):
        raise FeedbackRefused("open.other_extract", file=extract.name)
    return worklist.identifiers(own)


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
        or len({name.lower() for name in (*names, *_OURS)}) != len(names) + len(_OURS)
        or not all(_MEMBER.fullmatch(name) for name in names)
        or sum(member.file_size for member in members) > _MOST_BYTES
        or _FEILLISTE not in names
    ):
        raise FeedbackRefused("open.unexpected", count=len(names))


def _write(members: Mapping[str, bytes], out: Path) -> None:
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in members.items():
        write_durably(out / name, content)


def _tell(members: Mapping[str, bytes], findings: pa.Table, out: Path, *, with_persons: bool) -> None:
    """Say what each file is for, in the order in which it is read, and what to do next."""
    texts = _texts(_language(members))
    typer.echo(texts["text"]["opened"].format(folder=out))
    listed = _listed(members, texts["file"])
    width = max(map(len, listed))
    for name, about in listed.items():
        typer.echo(f"  {name:{width}}  {about}")
    work, statuses = worklist.standing(findings), findings["status"].to_pylist()
    errors = pc.is_in(work["level"], value_set=pa.array(sorted(_TO_CORRECT)))
    wrong = set(work.filter(errors)["problem"].to_pylist())
    counts = {
        "errors": len(wrong),
        "others": len(set(work["problem"].to_pylist()) - wrong),
        "findings": work.num_rows,
        "persons": len(set(work["brukerNr"].to_pylist()) - {""}),
        "answered": statuses.count("answered"),
        "fixed": statuses.count("fixed"),
    }
    typer.echo(texts["text"]["counts"].format(**counts))
    if work.num_rows and not with_persons:
        typer.echo(texts["text"]["no_extract"])
    step = "correct" if wrong else "look" if work.num_rows else "nothing"
    typer.echo(typer.style(texts["next"][step].format(worklist=worklist.NAME), bold=True))
    if work.num_rows:
        typer.echo(texts["next"]["answer"].format(worklist=worklist.NAME))


def _listed(members: Mapping[str, bytes], about: Mapping[str, str]) -> dict[str, str]:
    """Name the files and what they are for."""
    listed = {name: about[name] for name in _READ_FIRST if name in members}
    rest = sorted(set(members) - {*listed, _ABOUT})
    listed |= {name: about.get(name, about["other"]) for name in rest}
    return listed | {name: about[name] for name in (_ABOUT,) if name in members}


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


def _small(path: Path) -> bytes:
    """Read a receipt or signature; what is longer cannot be one and is cut, so that it does not verify."""
    with path.open("rb") as file:
        return file.read(_MOST_RECEIPT_BYTES + 1)
