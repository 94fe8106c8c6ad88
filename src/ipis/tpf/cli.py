"""`ipis tpf <verb>`: make the room, serve it, work in it, and what its staff do."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ipis.kernel.errors import Misuse
from ipis.kernel.secret import Secret
from ipis.tpf.settings import TpfSettings

if TYPE_CHECKING:
    from types import FrameType

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The trusted pseudonym manager.")

Settings = Annotated[Path, typer.Option("--settings", help="The room's TOML file.")]


@app.command()
def init(settings: Settings) -> None:
    """Make folders, keys and database, or bring an older database up to date; keys that stand are kept."""
    room = _configure(settings)
    from django.core.management import call_command

    from ipis.tpf.bench import ROOT_KEY, make_keys
    from ipis.tpf.desk import Secrets
    from ipis.tpf.keys import make_root_key

    room.make_private_folders("opplasting", "forsendelser", "keys", "web", "public")
    Secrets.make(room.web_secrets)
    make_keys(room)
    if not (room.worker_keys / ROOT_KEY).exists():
        make_root_key(room.worker_keys / ROOT_KEY, room.environment)
    call_command("migrate", verbosity=0, interactive=False)


@app.command()
def serve(settings: Settings) -> None:
    """Serve pages and interfaces until stopped; this process reads no private key."""
    from ipis.lib.web.serve import serve as serve_room
    from ipis.tpf.site import application

    serve_room(application, settings, TpfSettings.load(settings))


@app.command()
def work(settings: Settings, once: Annotated[bool, typer.Option(help="End when nothing is due.")] = False) -> None:
    """Take in, pseudonymise, delete, forward and mail, until stopped."""
    room = _configure(settings)
    from ipis.tpf.bench import Bench
    from ipis.tpf.worker import make_worker

    worker = make_worker(Bench.open(room))

    def stop(_number: int, _frame: FrameType | None) -> None:
        worker.stop.set()

    signal.signal(signal.SIGTERM, stop)
    worker.run(once=once)


@app.command()
def enrol(
    settings: Settings,
    kommune: Annotated[str, typer.Option(help="Four digits.")],
    bydel: Annotated[str, typer.Option(help="Two digits; 00 unless agreed.")],
    year: Annotated[int, typer.Option(help="The collection year.")],
    orgnr: Annotated[str, typer.Option(help="Nine digits; after a merger the successor's.")] = "",
    pin_file: Annotated[Path | None, typer.Option(help="A file that holds the PIN and nothing else.")] = None,
    address: Annotated[str, typer.Option(help="The registered impersonal address.")] = "",
    generation: Annotated[int | None, typer.Option(min=1, help="The PIN's number as SSB printed it.")] = None,
    release_key: Annotated[bool, typer.Option("--release-key", help="Release the enrolled sender key.")] = False,
    release_held: Annotated[bool, typer.Option("--release-held", help="Let held forsendelser go on.")] = False,
) -> None:
    """Enrol a municipality for a year; with --release-key or --release-held, do that instead."""
    room = _configure(settings)
    from ipis.tpf import enrolment
    from ipis.tpf.desk import Secrets
    from ipis.tpf.pin import PinHasher

    login = enrolment.Login(kommune, bydel, year)
    if release_key:
        typer.echo(f"sender key {enrolment.release_key(login)} of {login.party} is released")
    if release_held:
        typer.echo(f"released: {', '.join(enrolment.release_held(login))}")
    if release_key or release_held:
        return
    if not (orgnr and pin_file and address):
        raise Misuse("tpf.enrol_options")
    pins = PinHasher(Secrets.load(room.web_secrets).pepper)
    generation = enrolment.enrol(login, orgnr, _read_pin(pin_file), address, pins, generation)
    typer.echo(f"{login.party} is enrolled for {year}, PIN generation {generation}")


@app.command()
def held(
    settings: Settings,
    again: Annotated[bool, typer.Option("--again", help="First queue again the steps that have failed.")] = False,
) -> None:
    """List what waits for staff or keeps failing: id, municipality, since when, code."""
    _configure(settings)
    from ipis.tpf.held import try_again, waiting

    if again:
        try_again()
    for each in waiting():
        typer.echo(f"{each.identifier}\t{each.party}\t{each.since.isoformat(timespec='seconds')}\t{each.code}")


@app.command()
def audit(settings: Settings) -> None:
    """Walk the audit chain and say whether it is whole."""
    _configure(settings)
    from ipis.kernel.errors import OurFault
    from ipis.tpf.models import Audit

    broken = Audit.first_broken()
    if broken is not None:
        raise OurFault("tpf.audit_broken", event=broken)
    typer.echo(f"the audit chain is whole; its head is {Audit.head()}")


def _read_pin(path: Path) -> Secret:
    try:
        return Secret(path.read_text(encoding="utf-8").strip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise Misuse("tpf.pin_file", file=path.name) from error


def _configure(settings: Path) -> TpfSettings:
    from ipis.tpf.site import configure

    room = TpfSettings.load(settings)
    configure(room)
    return room
