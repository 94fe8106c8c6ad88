"""`ipis kommune fetch`: brings the feedback home from the portal, outside the secure zone, and proves that it is SSB's.

A zip takes its name only when a receipt R4 signed by SSB states its name, SHA-256 and size; else nothing is left.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.progress import DownloadColumn

from ipis.kernel.errors import FeedbackRefused, Misuse, ParcelRefused, TryLater
from ipis.kernel.push import names_of
from ipis.kernel.receipt import Kind, SignedReceipt
from ipis.kernel.seasonpack import SeasonPack
from ipis.kernel.secret import Secret
from ipis.kommune.device import Device
from ipis.kommune.portal import Listed, Portal
from ipis.kommune.progress import bars
from ipis.kommune.settings import KommuneSettings
from ipis.lib.storage import flush_folder, measure, write_durably

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 15.0


def register(app: typer.Typer) -> None:
    """Add the verb to the municipality's commands."""
    app.command("fetch")(fetch)


def fetch(
    url: Annotated[str, typer.Option(help="The portal's address.")],
    user: Annotated[str, typer.Option(help="The user name: the municipality's registered address.")],
    pack: Annotated[Path, typer.Option(help="The season pack.", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Option(help="The folder that gets zip, receipt and signature.")],
    password_file: Annotated[
        Path | None, typer.Option(help="A file with the password; without it the program asks.")
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Wait up to so many seconds for a file that nobody has fetched.")
    ] = 0,
) -> None:
    """Fetch the feedback that SSB has put up, with its receipt R4, and verify both."""
    season = SeasonPack.load(pack, trusted_root=KommuneSettings.load().trusted_root)
    password = _password(password_file)
    with Portal(url, season.environment) as portal:
        done = Errand(portal, season, out, user, password, Device.of(url, user)).run(wait)
    for path in done.fetched:
        typer.echo(str(path))
    if done.standing:
        typer.echo(f"{done.standing} already there", err=True)


@dataclass
class Done:
    """What an errand brought home: new zips, and how many stood there already."""

    fetched: list[Path]
    standing: int = 0


@dataclass
class Errand:
    """One run of `fetch`: look, bring home what is missing, look again while there is time."""

    portal: Portal
    season: SeasonPack
    out: Path
    user: str
    password: Secret
    device: Device

    def run(self, wait: float) -> Done:
        """Fetch all that is missing; with `wait`, until something came that nobody had confirmed before.

        Raises TryLater when there is nothing to fetch, FeedbackRefused for what is not proved to be SSB's.
        """
        self.out.mkdir(mode=0o700, parents=True, exist_ok=True)
        give_up_at, pause, done, logged_in = time.monotonic() + wait, _FIRST_PAUSE, Done([]), False
        while True:
            try:
                if not logged_in:
                    self.portal.log_in(self.user, self.password.reveal(), self.device)
                    logged_in = True
                new = self._round(self.portal.files(), done)
                if new or (wait == 0 and (done.fetched or done.standing)):
                    return done
                trouble = TryLater("fetch.nothing", register=self.season.collection.title["nb"])
            except TryLater as error:
                trouble, logged_in = error, logged_in and error.code != "fetch.session"
            left = give_up_at - time.monotonic()
            if left <= 0:
                if done.fetched and trouble.code == "fetch.nothing":
                    return done
                raise trouble
            Event().wait(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _round(self, listed: Iterable[Listed], done: Done) -> bool:
        """Bring home what is missing of one listing; tells whether any of it was new to everybody."""
        new, refused, standing = False, None, 0
        for one in listed:
            try:
                if self._stands(one):
                    standing += 1
                else:
                    done.fetched.append(bring(self.portal, self.season, one, self.out))
                    new = new or not one.confirmed
                if not one.confirmed:
                    self.portal.confirm(one)
            except FeedbackRefused as error:
                refused = refused or error
        done.standing = standing
        if refused:
            raise refused
        return new

    def _stands(self, one: Listed) -> bool:
        """Tell whether the very zip stands there with its receipt; raises FeedbackRefused when another has its name."""
        path = self.out / one.name
        if not path.exists():
            return False
        if measure(path).sha256 != one.sha256:
            raise FeedbackRefused("fetch.stands", name=one.name)
        return all((self.out / name).exists() for name in names_of(one.name))


def bring(portal: Portal, season: SeasonPack, one: Listed, out: Path) -> Path:
    """Bring home one zip with receipt and signature; gives the zip's path, the last of the three to appear."""
    names = names_of(one.name)
    signed = SignedReceipt(portal.small(one, names[1]), portal.small(one, names[2]))
    check_receipt(signed, season, one)
    _refuse_others(out, {names[1]: signed.data, names[2]: signed.signature})
    part = out / f".{one.name}.part"
    try:
        resumed = part.exists()
        _download(portal, one, part)
        if resumed and measure(part).sha256 != one.sha256:
            part.unlink()  # what an earlier run left was not the beginning of this file
            _download(portal, one, part)
        if measure(part).sha256 != one.sha256:
            raise FeedbackRefused("fetch.differs", name=one.name, contact=_contact(season))
    except FeedbackRefused:
        part.unlink(missing_ok=True)
        raise
    write_durably(out / names[2], signed.signature)
    write_durably(out / names[1], signed.data)
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(out / one.name)
    flush_folder(out)
    return out / one.name


def check_receipt(signed: SignedReceipt, season: SeasonPack, one: Listed) -> None:
    """Refuse a receipt that SSB has not signed, that is no R4, or that names another zip."""
    try:
        receipt = signed.verify(season.signing_keys("ssb-receipt"), season.environment)
    except ParcelRefused as error:
        raise FeedbackRefused("fetch.not_signed", name=one.name, contact=_contact(season)) from error
    named = tuple(receipt.details.get(key) for key in ("zip", "zip_sha256", "zip_size"))
    if receipt.kind is not Kind.R4 or named != (one.name, one.sha256, one.size):
        raise FeedbackRefused("fetch.other_zip", name=one.name, contact=_contact(season))


def _contact(season: SeasonPack) -> str:
    """Give the register's address for whoever meets what may not be SSB's."""
    return season.collection.addresses["ssb"]


def _refuse_others(out: Path, files: dict[str, bytes]) -> None:
    """Refuse to overwrite a file of the same name that says something else."""
    for name, content in files.items():
        path = out / name
        if path.exists() and path.read_bytes() != content:
            raise FeedbackRefused("fetch.stands", name=name)


def _download(portal: Portal, one: Listed, part: Path) -> None:
    with bars(DownloadColumn()) as shown:
        task = shown.add_task(one.name, total=one.size)
        portal.download(one, part, lambda have: shown.update(task, completed=have))


def _password(path: Path | None) -> Secret:
    if path is None:
        return Secret(str(typer.prompt("Passord", hide_input=True, err=True)))
    try:
        return Secret(path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r"))
    except (OSError, UnicodeDecodeError):
        raise Misuse("fetch.password_file", file=path.name) from None
