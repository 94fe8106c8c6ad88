"""Sets a season up: root key, parties, season pack, municipalities, clocks; says where everything is in `up.json`."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, time
from functools import partial
from typing import TYPE_CHECKING

from ipis.kernel.calendar import OSLO, next_working_day
from ipis.kernel.collection import DefinitionFolder, load
from ipis.kernel.demo import demo_address, demo_orgnr, demo_pin
from ipis.kernel.environment import Environment
from ipis.kernel.seasonpack import SeasonPack
from ipis.kernel.signature import SigningKey
from ipis.lib.storage import write_durably
from ipis.local.mailbox import Mailbox
from ipis.local.parties import ROOMS, Party, make_parties, turn_clocks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ipis.kernel.collection import Collection

_REGISTER = "iplos"
"""Whose packaged years a season is made of, unless a folder of definitions is named."""
_FIRST_HOUR = time(10, 0)


@dataclass(frozen=True, slots=True)
class Municipality:
    """A demo municipality: its login fields, its PIN file and its user at the portal."""

    kommune: str
    answers: str
    """The number that answers for it now: after a merger or renumbering the successor's (architecture §2.4)."""
    folder: Path
    bydel: str = "00"

    @property
    def orgnr(self) -> str:
        """Give the organisation number made by rule, of the municipality that answers."""
        return demo_orgnr(self.answers)

    @property
    def user(self) -> str:
        """Give the registered impersonal address, which is the portal's user name (L17 §4.1)."""
        return demo_address(self.answers)

    @property
    def pin_file(self) -> Path:
        """Give the file that holds the PIN."""
        return self.folder / "pin"

    @property
    def login(self) -> list[str]:
        """Give the four fields as command line options."""
        fields = ["--kommune", self.kommune, "--bydel", self.bydel, "--orgnr", self.orgnr]
        return [*fields, "--pin-file", str(self.pin_file)]


@dataclass
class Season:
    """One running season in a folder."""

    folder: Path
    collection: Collection
    parties: dict[str, Party]
    mailbox: Mailbox
    municipalities: list[Municipality]

    @property
    def pack(self) -> Path:
        """Give the signed season pack as SSB publishes it."""
        return self.folder / f"{self.collection.register}-{self.collection.year}.sesong"

    @property
    def allowed_signers(self) -> Path:
        """Give the file by which ssh-keygen knows every party's signatures."""
        return self.folder / "allowed_signers"

    def start(self) -> None:
        """Start the mail listener and every party's processes, and wait until all answer."""
        self.mailbox.start()
        for party in self.parties.values():
            party.start("serve")
            party.start("work")
        for party in self.parties.values():
            party.wait_until_ready()

    def stop(self) -> None:
        """End every process, then the mail listener."""
        for party in self.parties.values():
            party.stop()
        self.mailbox.stop()

    def enrol(self) -> None:
        """Enrol each municipality at TPF and SSB and make its portal account (which mails the new user)."""
        for one in self.municipalities:
            _write_pin(one)
            fields = ["--kommune", one.kommune, "--bydel", one.bydel, "--orgnr", one.orgnr]
            fields += ["--year", str(self.collection.year), "--pin-file", str(one.pin_file), "--address", one.user]
            account = ["--kommune", one.answers, "--user", one.user]
            _side_by_side(
                partial(self.parties["tpf"].run, "enrol", *fields),
                partial(self.parties["ssb"].run, "enrol", *fields),
                partial(self.parties["filsluse"].run, "account", *account),
            )

    def turn_clocks(self, to: datetime) -> None:
        """Turn every party's clock."""
        turn_clocks(self.folder, to)

    def describe(self) -> Path:
        """Write `up.json`: where everything is."""
        ssb, tpf = self.parties["ssb"].folder, self.parties["tpf"].folder
        facts = {
            "year": self.collection.year,
            "urls": {room: party.url for room, party in self.parties.items()},
            "pack": str(self.pack),
            "allowed_signers": str(self.allowed_signers),
            "clock": str(self.folder),
            "settings": {room: str(self.parties[room].settings) for room in ("tpf", "ssb", "filsluse")},
            "age_identities": {
                "tpf": str(tpf / "keys" / "tpf.age"),
                "ssb": str(ssb / "keys" / "ssb.age"),
                "feedback": str(ssb / "keys" / "feedback.age"),
            },
            "municipalities": [
                {
                    "kommune": one.kommune,
                    "bydel": one.bydel,
                    "orgnr": one.orgnr,
                    "pin_file": str(one.pin_file),
                    "user": one.user,
                }
                for one in self.municipalities
            ],
        }
        path = self.folder / "up.json"
        write_durably(path, (json.dumps(facts, indent=2) + "\n").encode())
        return path


def prepare(
    folder: Path, year: int, kommuner: Sequence[str], base_port: int | None, definitions: Path | None = None
) -> Season:
    """Lay everything out in an empty or earlier folder: settings, keys, databases, pack signed by the offline root."""
    folder = folder.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Whoever waits for it must not take an earlier run's for this one's.
    (folder / "up.json").unlink(missing_ok=True)
    source = DefinitionFolder.from_path(definitions) if definitions else DefinitionFolder.packaged(_REGISTER, year)
    parties, mail_port = make_parties(folder, base_port)
    collection = load(source)
    season = Season(
        folder=folder,
        collection=collection,
        parties=parties,
        mailbox=Mailbox(folder / "mail", mail_port),
        municipalities=[
            Municipality(kommune, collection.successors.get(kommune, kommune), folder / f"kommune-{kommune}")
            for kommune in kommuner
        ],
    )
    _write_settings(season, mail_port)
    _side_by_side(*(partial(parties[room].run, "init") for room in ROOMS))
    _publish_pack(season, definitions)
    season.turn_clocks(first_working_hour(season.collection))
    return season


def first_working_hour(collection: Collection) -> datetime:
    """Give 10:00 on the first working day of the window."""
    opens = collection.window.opens_at.astimezone(OSLO)
    day = next_working_day(opens.date().fromordinal(opens.date().toordinal() - 1))
    return datetime.combine(day, _FIRST_HOUR, OSLO)


def _write_settings(season: Season, mail_port: int) -> None:
    urls = {room: party.url for room, party in season.parties.items()}
    mails = {"tpf": "tpf@tpf.test", "ssb": "iplos@ssb.test", "filsluse": "filsluse@ssb.test"}
    own: dict[str, dict[str, object]] = {
        "tpf": {"pack": season.pack, "ssb_url": urls["ssb"]},
        "ssb": {"pack": season.pack, "tpf_url": urls["tpf"], "filsluse_url": urls["filsluse"]},
        "filsluse": {"pack": season.pack},
    }
    for room, party in season.parties.items():
        party.write_settings(
            {
                "environment": Environment.DEMO.value,
                "data": party.folder,
                "listen": f"127.0.0.1:{party.port}",
                "public_url": party.url,
                "smtp_host": "127.0.0.1",
                "smtp_port": mail_port,
                "mail_from": mails[room],
                "clock": party.clock,
                **own[room],
            }
        )


def _publish_pack(season: Season, definitions: Path | None) -> None:
    """Make the pack's body at SSB, sign it with the offline root, join the two, put the pack where parties read it."""
    root = _root_key(season.folder / "root")
    unsigned, signature = season.folder / "root" / "pack.unsigned", season.folder / "root" / "pack.sig"
    public = [str(season.parties[room].folder / "public" / "keys.json") for room in ("tpf", "ssb")]
    keys = [word for path in public for word in ("--keys", path)]
    where = ["--definitions", str(definitions)] if definitions else []
    what = ["--collection", season.collection.register, "--year", str(season.collection.year)]
    season.parties["ssb"].run("pack", *what, *keys, *where, "--root", root.public.openssh, "--out", str(unsigned))
    write_durably(signature, root.sign(unsigned.read_bytes(), "ipis-keys@v1"))
    season.parties["ssb"].run("pack", "--attach", str(signature), str(unsigned), "--out", str(season.pack))
    signers = SeasonPack.load(season.pack, trusted_root=root.public).allowed_signers()
    write_durably(season.allowed_signers, signers.encode("ascii"), mode=0o644)


def _root_key(folder: Path) -> SigningKey:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "root.key"
    if path.exists():
        return SigningKey.load(path, "root", Environment.DEMO)
    key = SigningKey.generate("root", Environment.DEMO)
    key.save(path)
    return key


def _side_by_side(*runs: Callable[[], None]) -> None:
    """Run what does not wait for each other at the same time; raises the first error when all have ended."""
    with ThreadPoolExecutor(len(runs)) as pool:
        for done in [pool.submit(run) for run in runs]:
            done.result()


def _write_pin(municipality: Municipality) -> None:
    municipality.folder.mkdir(mode=0o700, exist_ok=True)
    municipality.pin_file.touch(mode=0o600)
    municipality.pin_file.write_text(demo_pin(municipality.answers) + "\n", encoding="ascii")
