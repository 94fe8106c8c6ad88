"""`ipis filsluse <verb>`: make the room, serve it, work in it, give a municipality its account."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ipis.filsluse.settings import FilsluseSettings
from ipis.lib.storage import write_durably

if TYPE_CHECKING:
    from types import FrameType

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The file portal on the internet.")

Settings = Annotated[Path, typer.Option("--settings", help="The room's TOML file.")]


@app.command()
def init(settings: Settings) -> None:
    """Make folders and database, or bring an older database up to date; the portal has no keys."""
    room = _configure(settings)
    room.make_private_folders(room.files.name, room.public.name)
    _migrate()
    write_durably(room.public / "keys.json", b"[]\n", mode=0o644)


@app.command()
def serve(settings: Settings) -> None:
    """Serve the pages and interfaces until stopped."""
    from ipis.filsluse.site import application
    from ipis.lib.web.serve import serve as serve_room

    serve_room(application, settings, FilsluseSettings.load(settings))


@app.command()
def work(settings: Settings, once: Annotated[bool, typer.Option(help="End when nothing is due.")] = False) -> None:
    """Send mails, answer requests for passwords, erase what is over, until stopped."""
    _configure(settings)
    from ipis.filsluse.worker import make_worker

    worker = make_worker()

    def stop(_number: int, _frame: FrameType | None) -> None:
        worker.stop.set()

    signal.signal(signal.SIGTERM, stop)
    worker.run(once=once)


@app.command()
def account(
    settings: Settings,
    kommune: Annotated[str, typer.Option(help="Four digits.")],
    user: Annotated[str, typer.Option(help="The impersonal address, usually postmottak@…; it becomes the user name.")],
) -> None:
    """Give a municipality its account and mail the new user; the same again sends the mail again."""
    _configure(settings)
    from ipis.filsluse.accounts import make_account

    made = make_account(kommune, user)
    typer.echo(f"account of {made.kommune} is open; the mail to the new user is on its way")


def _configure(settings: Path) -> FilsluseSettings:
    from ipis.filsluse.site import configure

    room = FilsluseSettings.load(settings)
    configure(room)
    return room


def _migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
