"""`ipis kommune send`: brings sealed files to TPF over any number of broken lines, and proves the receipt R1."""

from __future__ import annotations

import json
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import DownloadColumn, TransferSpeedColumn

from ipis.kernel.errors import Misuse, ParcelRefused, TryLater
from ipis.kernel.forsendelse import Container, read_container
from ipis.kernel.receipt import Kind, SignedReceipt
from ipis.kernel.seasonpack import SeasonPack
from ipis.kommune.keyring import Keyring
from ipis.kommune.pin import read_pin
from ipis.kommune.progress import bars
from ipis.kommune.receiver import Fields, Receiver, State
from ipis.kommune.settings import KommuneSettings
from ipis.lib.settings import user_language
from ipis.lib.storage import write_durably

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipis.kernel.environment import Environment

_R1_SECONDS: Final = 120.0
_JUDGEMENT_SECONDS: Final = 10.0
_GLANCE: Final = 2
Url = Annotated[str, typer.Option(help="The address of the pseudonym manager (TPF).")]
Kommune = Annotated[str, typer.Option(help="Municipality number of the collection year, four digits.")]
Bydel = Annotated[str, typer.Option(help="District, 00 unless agreed.")]
Orgnr = Annotated[str, typer.Option(help="The municipality's organisation number; after a merger the successor's.")]
PinFile = Annotated[Path | None, typer.Option(help="A file with the PIN; without it the program asks.")]
KeyringFolder = Annotated[Path | None, typer.Option("--keyring", help="The keyring that sealed the file.")]


def register(app: typer.Typer) -> None:
    """Add the verb to the municipality's commands."""
    app.command("send")(send)


def send(
    files: Annotated[list[Path], typer.Argument(help="Sealed files; all files of a split forsendelse, in any order.")],
    url: Url,
    kommune: Kommune,
    orgnr: Orgnr,
    bydel: Bydel = "00",
    pin_file: PinFile = None,
    keyring: KeyringFolder = None,
    receipt: Annotated[Path | None, typer.Option(help="Where R1 is written; its signature beside it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")] = False,
) -> None:
    """Send sealed files and wait for the signed receipt R1."""
    parcels = group(files)
    ring = Keyring.open(keyring)
    pin = read_pin(pin_file)
    told = []
    with Receiver(url, user_language()) as tpf:
        tpf.log_in(Fields(kommune, bydel, orgnr), pin, ring.sender_key(parcels[0].environment))
        for parcel in parcels:
            state = _deliver(tpf, parcel, quiet=as_json)
            signed = proved_receipts(tpf, ring, parcel)
            path = _write(signed, parcel, receipt, alone=len(parcels) == 1)
            told.append(_tell(signed, path, as_json=as_json))
            _await_judgement(tpf, parcel, state)
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))


@dataclass(frozen=True, slots=True)
class Parcel:
    """A forsendelse on disk: the container of each of its files that was named."""

    containers: tuple[tuple[Path, Container], ...]

    @property
    def first(self) -> Container:
        """Give a container; the manifest is the same in all."""
        return self.containers[0][1]

    @property
    def id(self) -> str:
        """Give the id."""
        return self.first.manifest.facts.forsendelse

    @property
    def environment(self) -> Environment:
        """Give the environment."""
        return self.first.manifest.facts.environment


def group(files: Iterable[Path]) -> list[Parcel]:
    """Read the files strictly and put those of one forsendelse together; files of two environments are refused."""
    found: dict[tuple[str, str], list[tuple[Path, Container]]] = {}
    for path in files:
        if not path.is_file():
            raise Misuse("send.no_file", file=path.name)
        container = read_container(path)
        found.setdefault((container.manifest.facts.forsendelse, container.manifest_sha256), []).append(
            (path, container)
        )
    parcels = [Parcel(tuple(containers)) for containers in found.values()]
    if len({parcel.environment for parcel in parcels}) != 1:
        raise Misuse("send.environments")
    return parcels


def _deliver(tpf: Receiver, parcel: Parcel, *, quiet: bool) -> State:
    """Announce, upload what TPF has not yet, and wait until it is receipted or refused."""
    state = tpf.announce(parcel.first.manifest_bytes, parcel.first.signature)
    if state.state != "wanted":
        return _or_raise(state)
    places = _upload(tpf, parcel, quiet=quiet)
    give_up_at = time.monotonic() + _R1_SECONDS
    for place in places:
        state = tpf.state(place, _GLANCE)
        while state.state == "stored" and time.monotonic() < give_up_at:
            state = tpf.state(place, _GLANCE)
        _or_raise(state)
    state = tpf.state(f"/api/v1/forsendelser/{parcel.id}", 0) if state.state != "stored" else state
    if state.state == "arriving":
        files = parcel.first.manifest.files
        raise TryLater("send.files_missing", found=len(places), expected=files)
    if "R1" not in state.receipts:
        raise TryLater("send.no_receipt_yet")
    return _or_raise(state)


def _upload(tpf: Receiver, parcel: Parcel, *, quiet: bool) -> list[str]:
    places = []
    with bars(DownloadColumn(), TransferSpeedColumn(), quiet=quiet) as shown:
        for path, _ in parcel.containers:
            task = shown.add_task(path.name, total=path.stat().st_size)
            places.append(tpf.upload(path, lambda done, task=task: shown.update(task, completed=done)))  # type: ignore[misc]  # mypy cannot infer a lambda's default
    return places


def texts() -> dict[str, Any]:
    """Give the words of `send` and `receipts` in the user's language."""
    source = Path(__file__).parent / "templates" / "send.toml"
    said: dict[str, Any] = tomllib.loads(source.read_text(encoding="utf-8"))[user_language()]
    return said


def _or_raise(state: State) -> State:
    """Pass a state on, unless TPF has refused."""
    if state.problem is not None and state.state in ("refused", "rejected", "closed"):
        raise state.problem
    return state


def _await_judgement(tpf: Receiver, parcel: Parcel, state: State) -> None:
    """Look a little longer, so that a forsendelse held for staff or refused on opening is told here and now."""
    give_up_at = time.monotonic() + _JUDGEMENT_SECONDS
    while state.state == "received" and time.monotonic() < give_up_at:
        state = tpf.state(f"/api/v1/forsendelser/{parcel.id}", _GLANCE)
    _or_raise(state)
    if state.state == "held":
        raise TryLater("send.held", forsendelse=parcel.id)


def proved_receipts(tpf: Receiver, ring: Keyring, parcel: Parcel) -> SignedReceipt:
    """Fetch R1 and prove that it is TPF's, by the season pack, and of exactly this manifest."""
    facts = parcel.first.manifest.facts
    season = fetch_season(tpf, ring, facts.register, facts.year)
    for signed in tpf.receipts(parcel.id):
        if signed.receipt.kind is not Kind.R1:
            continue
        receipt = signed.verify(season.signing_keys("tpf-receipt"), facts.environment)
        if (receipt.forsendelse, receipt.manifest_sha256) != (parcel.id, parcel.first.manifest_sha256):
            raise ParcelRefused("send.receipt_differs")
        return signed
    raise TryLater("send.no_receipt_yet")


def fetch_season(tpf: Receiver, ring: Keyring, register_name: str, year: int) -> SeasonPack:
    """Fetch the mirrored season pack and trust it as the keyring does."""
    with tempfile.TemporaryDirectory(prefix="ipis-") as folder:
        path = Path(folder) / f"{register_name}-{year}.sesong"
        path.write_bytes(tpf.season_pack(register_name, year))
        season = SeasonPack.load(path, trusted_root=KommuneSettings.load().trusted_root)
    ring.trust(season)
    return season


def _write(signed: SignedReceipt, parcel: Parcel, wish: Path | None, *, alone: bool) -> Path:
    """Write R1 and its signature: where asked for, else beside the file that was sent."""
    first = parcel.containers[0][0]
    path = wish or first.with_name(f"{first.name}.R1.json")
    if wish is not None and not alone:
        path = wish.with_name(signed.receipt.file_name)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, signed.data, mode=0o644)
    write_durably(path.with_name(f"{path.name}.sig"), signed.signature, mode=0o644)
    return path


def _tell(signed: SignedReceipt, path: Path, *, as_json: bool) -> dict[str, object]:
    receipt = signed.receipt
    if not as_json:
        console = Console(highlight=False, soft_wrap=True)
        said = texts()
        words = {"forsendelse": receipt.forsendelse, "sequence": receipt.sequence, "path": path}
        console.print(said["received"].format_map(words), style="bold")
        console.print(said[receipt.phase])
        console.print(said["receipt"].format_map({**words, "code": signed.short_code}))
    return {
        "forsendelse": receipt.forsendelse,
        "sequence": receipt.sequence,
        "phase": receipt.phase,
        "code": signed.short_code,
        "receipt": str(path),
    }
