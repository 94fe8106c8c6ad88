"""`ipis ssb …`: init, serve, work, pack, enrol, revalidate, staff. The help texts are what an operator reads."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from ipis.kernel.errors import Misuse, Refused
from ipis.kernel.secret import Secret
from ipis.ssb.settings import SsbSettings
from ipis.ssb.work import Role

app = typer.Typer(help="Statistics Norway: intake, register, validation, feedback.", no_args_is_help=True)

SettingsFile = Annotated[Path, typer.Option("--settings", help="Settings file of the room (TOML).")]
Year = Annotated[int, typer.Option("--year", help="Collection year.")]


@app.command()
def init(settings: SettingsFile) -> None:
    """Make folders, keys and database; what stands already is left as it is."""
    from ipis.ssb.keys import make_missing

    room = SsbSettings.load(settings)
    made = make_missing(room)
    _configure(room)
    _migrate()
    typer.echo(f"made {', '.join(made) or 'nothing new'}; public keys in {room.public / 'keys.json'}")


@app.command()
def serve(settings: SettingsFile) -> None:
    """Serve intake, the public page and the staff page until told to stop."""
    from ipis.lib.web.serve import serve as run_server
    from ipis.ssb.site import application

    run_server(application, settings, SsbSettings.load(settings))


@app.command()
def work(
    settings: SettingsFile,
    once: Annotated[bool, typer.Option("--once", help="Until nothing is due, then stop.")] = False,
    only: Annotated[
        Role | None, typer.Option("--only", help="One role; without it all, as processes of their own.")
    ] = None,
) -> None:
    """Work on what has come in: load, post receipts, write mails, make feedback."""
    from ipis.ssb import work as workers

    room = SsbSettings.load(settings)
    if only is None:
        workers.run_both(settings, once=once)
        return
    _configure(room)
    workers.run_role(room, only, settings, once=once)


@app.command()
def pack(
    settings: SettingsFile,
    out: Annotated[Path, typer.Option("--out", help="The body to be signed; with --attach the finished season pack.")],
    unsigned: Annotated[Path | None, typer.Argument(help="With --attach: the body that was signed.")] = None,
    year: Annotated[int | None, typer.Option("--year", help="Collection year.")] = None,
    register: Annotated[str, typer.Option("--collection", help="Register.")] = "iplos",
    keys: Annotated[list[Path] | None, typer.Option("--keys", help="A room's public/keys.json; give each.")] = None,
    definitions: Annotated[
        Path | None, typer.Option("--definitions", help="Definition folder; else the packaged.")
    ] = None,
    organisations: Annotated[
        Path | None, typer.Option("--organisations", help="CSV kommune,orgnr,domain; in demo and test made by rule.")
    ] = None,
    care_units: Annotated[
        Path | None,
        typer.Option("--care-units", help="CSV with orgnr of units in use; in demo and test made by rule."),
    ] = None,
    codes: Annotated[
        list[str] | None,
        typer.Option("--codes", help="NAME=FILE: a code list that may not be shipped, such as icpc2; give each."),
    ] = None,
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="Else one more than the pack in place.")
    ] = None,
    root: Annotated[str | None, typer.Option("--root", help="The root's public key, `ssh-ed25519 …`.")] = None,
    attach: Annotated[Path | None, typer.Option("--attach", help="The root's signature over the body.")] = None,
) -> None:
    """Make the season pack's body for the root to sign (`ssh-keygen -Y sign -n ipis-keys@v1`), or join the two."""
    from ipis.kernel.definitions import DefinitionFolder
    from ipis.kernel.signature import PublicKey
    from ipis.ssb import pack as packing

    room = SsbSettings.load(settings)
    trusted = PublicKey.parse(root or room.trusted_root) if root or room.trusted_root else None
    if attach is not None:
        if unsigned is None:
            raise Misuse("ssb.pack_usage")
        done = packing.join_signature(unsigned, attach.read_bytes(), out, trusted)
        typer.echo(f"{done.register} {done.year} version {done.version}, root {done.root.fingerprint}")
        return
    if year is None or not keys:
        raise Misuse("ssb.pack_usage")
    folder = DefinitionFolder.from_path(definitions) if definitions else DefinitionFolder.packaged(register, year)
    sources = packing.Sources(
        environment=room.environment,
        definitions=folder,
        key_files=keys,
        organisations=organisations,
        care_units=care_units,
        version=version or _next_version(room, register, year),
        created_at=room.business_clock().now(),
        root=trusted,
        codes=dict(_code_list(text) for text in codes or ()),
    )
    body = packing.make_body(sources, out)
    typer.echo(f"sign {out} in the namespace ipis-keys@v1: {body.register} {body.year} version {body.version}")


@app.command()
def enrol(
    settings: SettingsFile,
    kommune: Annotated[str, typer.Option("--kommune", help="Municipality, 4 digits.")],
    orgnr: Annotated[str, typer.Option("--orgnr", help="Organisation number, 9 digits.")],
    year: Year,
    address: Annotated[str, typer.Option("--address", help="Registered impersonal mail address.")],
    bydel: Annotated[str, typer.Option("--bydel", help="District; 00 unless agreed.")] = "00",
    pin_file: Annotated[
        Path | None, typer.Option("--pin-file", help="File with the PIN; else it is asked for.")
    ] = None,
    generation: Annotated[
        int | None, typer.Option("--generation", min=1, help="The PIN's number, the same as at TPF; else one more.")
    ] = None,
) -> None:
    """Store the issued PIN, sealed at once to the feedback worker, and the registered address."""
    from ipis.kernel.sealed import Recipient
    from ipis.ssb.keys import feedback_recipient

    room = SsbSettings.load(settings)
    _configure(room)
    from ipis.ssb.register import enrolment

    whom = enrolment.Enrolled(year=year, kommune=kommune, bydel=bydel, orgnr=orgnr, address=address)
    recipient = Recipient(feedback_recipient(room))
    at = room.business_clock().now()
    generation = enrolment.enrol(whom, _read_pin(pin_file), recipient=recipient, at=at, generation=generation)
    typer.echo(f"{kommune} {bydel} {year}: PIN generation {generation}")


@app.command()
def revalidate(
    settings: SettingsFile,
    year: Year,
    register: Annotated[str, typer.Option("--collection", help="Register.")] = "iplos",
    kommune: Annotated[list[str] | None, typer.Option("--kommune", help="Only this one; give each.")] = None,
) -> None:
    """Run the rules of the season pack in place over what is stored; new feedback only where a verdict changed."""
    room = SsbSettings.load(settings)
    _configure(room)
    from django.db import transaction

    from ipis.ssb.packs import pack_of
    from ipis.ssb.register.deliveries import REVALIDATE, deliveries_as_of
    from ipis.ssb.register.models import Job

    pack_of(room, register, year)
    with transaction.atomic():
        chosen = [
            delivery
            for delivery in deliveries_as_of(year, room.business_clock().now(), register=register)
            if not kommune or delivery.kommune in kommune
        ]
        unknown = sorted(set(kommune or ()) - {delivery.kommune for delivery in chosen})
        if unknown:
            raise Refused("ssb.revalidate_none", kommune=", ".join(unknown), register=register, year=year)
        for delivery in chosen:
            Job.again(REVALIDATE, delivery.forsendelse)
    of = f"of {register} {year}"
    many = f"{len(chosen)} {'delivery' if len(chosen) == 1 else 'deliveries'} {of} queued"
    typer.echo(many if chosen else f"no delivery {of} has been loaded; nothing queued")


@app.command()
def staff(
    settings: SettingsFile, user: Annotated[str, typer.Option("--user", help="User name of the staff page.")]
) -> None:
    """Make a user of the staff page, or give one a new password; it is asked for."""
    room = SsbSettings.load(settings)
    _configure(room)
    from django.contrib.auth.models import User

    account, _ = User.objects.get_or_create(username=user)
    account.set_password(_ask("password: "))
    account.save()
    typer.echo(f"{user} may log in")


def _configure(room: SsbSettings) -> None:
    if not room.keys.is_dir():
        raise Misuse("ssb.not_initialised", folder=str(room.data))
    from ipis.ssb.site import configure

    configure(room)


def _migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)


def _next_version(room: SsbSettings, register: str, year: int) -> int:
    """Give one more than the version in place: a version never goes down."""
    from ipis.ssb.packs import packs

    versions = [pack.version for pack, _ in packs(room) if (pack.register, pack.year) == (register, year)]
    return max(versions, default=0) + 1


def _code_list(text: str) -> tuple[str, Path]:
    """Read NAME=FILE."""
    name, _, file = text.partition("=")
    path = Path(file)
    if not name or not file or not path.is_file():
        raise Misuse("ssb.pack_codes_option", option=text)
    return name, path


def _read_pin(path: Path | None) -> Secret:
    text = (path.read_text(encoding="utf-8") if path else _ask("PIN: ")).strip()
    if not 1 <= len(text) <= 100 or not text.isprintable():
        raise Refused("ssb.enrol_field", field="pin")
    return Secret(text)


def _ask(what: str) -> str:
    """Ask without echo, or read a line where nobody sits at a terminal."""
    return getpass.getpass(what) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
