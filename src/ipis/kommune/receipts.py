"""`ipis kommune receipts`: all receipts so far, R1–R5, each proved by the season pack and by the one that caused it."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from ipis.kernel.calendar import OSLO
from ipis.kernel.errors import ParcelRefused, Refused, TryLater
from ipis.kernel.receipt import ISSUER, Kind, Receipt, SignedReceipt, check_tree
from ipis.kommune.keyring import Keyring
from ipis.kommune.pin import read_pin
from ipis.kommune.receiver import Fields, Receiver
from ipis.kommune.send import Bydel, KeyringFolder, Kommune, Orgnr, PinFile, Url, fetch_season, texts
from ipis.lib.settings import user_language
from ipis.lib.storage import write_durably

if TYPE_CHECKING:
    from ipis.kernel.seasonpack import SeasonPack

_PAUSE: Final = 0.5
_NO_PACK: Final = frozenset({"send.no_pack", "tpf.no_such_pack"})


def register(app: typer.Typer) -> None:
    """Add the verb to the municipality's commands."""
    app.command("receipts")(receipts)


def receipts(
    url: Url,
    kommune: Kommune,
    orgnr: Orgnr,
    out: Annotated[Path, typer.Option(help="The folder that gets the receipts, each with its .sig.")],
    bydel: Bydel = "00",
    pin_file: PinFile = None,
    keyring: KeyringFolder = None,
    wait: Annotated[float, typer.Option(min=0, help="Wait up to so many seconds for all of R1–R5.")] = 0,
) -> None:
    """Fetch all receipts so far, verify them and write them down."""
    ring = Keyring.open(keyring)
    sealed = ring.sealed()
    if not sealed:
        raise TryLater("send.nothing_sealed")
    pin = read_pin(pin_file)
    with Receiver(url, user_language()) as tpf:
        tpf.log_in(Fields(kommune, bydel, orgnr), pin, ring.sender_key(sealed[-1].environment))
        found = _wait_for_all(tpf, wait)
        if not found:
            raise TryLater("send.no_receipt_yet")
        seasons = _seasons(tpf, ring, {(each.receipt.register, each.receipt.year) for each in found})
    signed = [each for each in found if (each.receipt.register, each.receipt.year) in seasons]
    for each in signed:
        prove(each, seasons[each.receipt.register, each.receipt.year], kommune, bydel)
    by_parcel = _by_parcel(signed)
    for own in by_parcel.values():
        check_tree(own)
    _write(by_parcel, out)
    _show(signed)


def _seasons(tpf: Receiver, ring: Keyring, wanted: set[tuple[str, int]]) -> dict[tuple[str, int], SeasonPack]:
    """Fetch each season's pack; one that is no longer there is named on stderr, unless there is no other."""
    found, missing = {}, None
    for register_name, year in sorted(wanted):
        try:
            found[register_name, year] = fetch_season(tpf, ring, register_name, year)
        except Refused as error:
            if error.code not in _NO_PACK:
                raise
            missing = error
            Console(stderr=True, highlight=False, soft_wrap=True).print(
                texts()["skipped"].format(register=register_name, year=year), style="yellow"
            )
    if missing is not None and not found:
        raise missing
    return found


def prove(signed: SignedReceipt, season: SeasonPack, kommune: str, bydel: str) -> Receipt:
    """Prove that a receipt is its issuer's and one's own; raises ParcelRefused."""
    issuer = ISSUER[signed.receipt.kind]
    receipt = signed.verify(season.signing_keys(f"{issuer}-receipt"), season.environment)
    if (receipt.kommune, receipt.bydel) != (kommune, bydel):
        raise ParcelRefused("send.receipt_differs")
    return receipt


def _wait_for_all(tpf: Receiver, seconds: float) -> list[SignedReceipt]:
    """Ask until the newest forsendelse has every kind, or the time is over."""
    give_up_at, pause = time.monotonic() + seconds, threading.Event()
    while True:
        signed = tpf.receipts()
        own = _by_parcel(signed)
        newest = max((each.receipt for each in signed), key=lambda one: (one.year, one.sequence), default=None)
        kinds = {each.receipt.kind for each in own[newest.forsendelse]} if newest else set()
        if kinds == set(Kind) or time.monotonic() >= give_up_at:
            return signed
        pause.wait(min(_PAUSE, max(0.0, give_up_at - time.monotonic())))


def _by_parcel(signed: list[SignedReceipt]) -> dict[str, list[SignedReceipt]]:
    found = defaultdict(list)
    for each in signed:
        found[each.receipt.forsendelse].append(each)
    return found


def _write(by_parcel: dict[str, list[SignedReceipt]], out: Path) -> None:
    """Write `R1.json`, or `<id>.R1.json` where there are several forsendelser; a later R4 gets a number."""
    out.mkdir(parents=True, exist_ok=True)
    for own in by_parcel.values():
        seen: dict[Kind, int] = defaultdict(int)
        for signed in own:
            receipt = signed.receipt
            seen[receipt.kind] += 1
            name = receipt.file_name if len(by_parcel) > 1 else f"{receipt.kind}.json"
            if seen[receipt.kind] > 1:
                name = name.replace(".json", f"-{seen[receipt.kind]}.json")
            write_durably(out / name, signed.data, mode=0o644)
            write_durably(out / f"{name}.sig", signed.signature, mode=0o644)


def _show(signed: list[SignedReceipt]) -> None:
    said, table = texts(), Table(box=None, pad_edge=False)
    for heading in said["headings"]:
        table.add_column(heading, no_wrap=True)
    for each in signed:
        receipt = each.receipt
        at = receipt.at.astimezone(OSLO).strftime("%Y-%m-%d %H:%M")
        what = f"{receipt.kind} {said[receipt.kind]}"
        table.add_row(receipt.forsendelse[:8], str(receipt.sequence), what, at, each.short_code)
    Console(highlight=False).print(table)
