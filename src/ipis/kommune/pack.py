"""`ipis kommune pack`: fetches the season pack of the year from SSB's page or its mirror, and verifies it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ipis.kernel.errors import PackRefused
from ipis.kommune.receiver import Receiver
from ipis.kommune.season import load_season
from ipis.lib.settings import user_language
from ipis.lib.storage import write_durably


def register(app: typer.Typer) -> None:
    """Add the verb to the municipality's commands."""
    app.command("pack")(pack)


def pack(
    url: Annotated[str, typer.Option(help="The address of SSB's public page, or of its mirror at TPF.")],
    collection: Annotated[str, typer.Option(help="The register, as iplos.")],
    year: Annotated[int, typer.Option(help="The collection year.")],
    out: Annotated[Path, typer.Option(help="The file that gets the pack, FILE.sesong.")],
    keyring: Annotated[Path | None, typer.Option(help="The keyring that remembers the root and the version.")] = None,
) -> None:
    """Fetch and verify the season pack; nothing is written that was not verified."""
    with Receiver(url, user_language()) as page:
        content = page.season_pack(collection, year)
    with tempfile.TemporaryDirectory(prefix="ipis-") as folder:
        fetched = Path(folder) / f"{collection}-{year}.sesong"
        fetched.write_bytes(content)
        season, _ = load_season(fetched, keyring)
    if (season.register, season.year) != (collection, year):
        raise PackRefused("send.other_pack", found=f"{season.register}-{season.year}", expected=f"{collection}-{year}")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_durably(out, content, mode=0o644)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(f"{out}: {season.register} {season.year}, versjon {season.version}, miljø {season.environment}")
