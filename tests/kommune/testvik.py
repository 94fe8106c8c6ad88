"""Testvik's desk: a small extract of synthetic persons, a season pack of its own, a PIN file. Numbers are month + 80."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.demo import demo_domain, demo_orgnr, demo_pin
from ipis.kernel.environment import Environment
from ipis.kernel.sealed import Identity
from ipis.kernel.seasonpack import NAMESPACE, Body, Key, KeyState, Organisation, attach, write_unsigned
from ipis.kernel.signature import SigningKey

KOMMUNE = "0403"
YEAR = 2017
NUMBERS = ("01815012352", "01815024598")


@dataclass(frozen=True)
class Desk:
    """Where Testvik works: its pack, PIN file and keyring, and the keys of the others, which it would not have."""

    folder: Path
    pack: Path
    pin: Path
    keyring: Path
    root: SigningKey
    tpf: Identity
    ssb: Identity
    feedback: Identity

    def seal(self, extract: Path, *more: object, out: str = "testvik.forsendelse") -> list[str]:
        """The arguments of `ipis kommune seal`."""
        plain = [
            "kommune", "seal", extract, "--pack", self.pack, "--contact-email", "faglig@k0403.kommune.test",
            "--contact-phone", "90000000", "--pin-file", self.pin, "--keyring", self.keyring, "--out", self.folder / out,
        ]  # fmt: skip
        return [str(each) for each in (*plain, *more)]


def desk(folder: Path, environment: Environment = Environment.DEMO, year: int = YEAR, version: int = 1) -> Desk:
    folder.mkdir(exist_ok=True)
    root = SigningKey.generate("root", environment)
    identities = [Identity.generate(role, environment) for role in ("tpf", "ssb", "feedback")]
    keys = tuple(Key(each.role, "age", each.recipient.text, each.key_id, KeyState.ACTIVE) for each in identities)
    pack = season_pack(folder / f"iplos-{year}.sesong", root, body(keys, environment, year, version))
    pin = folder / "pin"
    pin.write_text(demo_pin(KOMMUNE) + "\n")
    return Desk(folder, pack, pin, folder / "keyring", root, *identities)


def body(keys, environment=Environment.DEMO, year=YEAR, version=1, **changes) -> Body:
    values = {
        "environment": environment,
        "register": "iplos",
        "year": year,
        "version": version,
        "created_at": datetime(2017, 12, 1, tzinfo=UTC),
        "keys": keys,
        "agreements": {},
        "organisations": {KOMMUNE: Organisation(demo_orgnr(KOMMUNE), demo_domain(KOMMUNE))},
        "successors": {"1601": "5001"},
        "care_units": (),
    }
    return Body(**(values | changes))


def season_pack(path: Path, root: SigningKey, written: Body) -> Path:
    unsigned = path.with_suffix(".unsigned")
    raw = write_unsigned(unsigned, written, DefinitionFolder.packaged("iplos", written.year))
    attach(unsigned, root.sign(raw, NAMESPACE), path)
    return path


def extract(
    folder: Path,
    *,
    numbers: tuple[str, ...] = NUMBERS,
    bruker: tuple[str, ...] | None = None,
    type_id: str = "1",
    vedtak: str = "V1",
    innsending: int = 1,
    year: int = YEAR,
    diagnose: str = "A01",
    name: str = "uttrekk.xml",
) -> Path:
    """Write an extract: each person with one decision and one service."""
    persons = []
    for n, number in enumerate(numbers):
        nr = f"B{n + 1}" if bruker is None else bruker[n]
        persons.append(
            f'<Person brukerNr="{nr}" fid="{number}" typeID="{type_id}" bostedKommuneNr="{KOMMUNE}" bostedBydel="00" '
            f'husstand="1" omsorgBarn="2" boforholdEgnet="1" privatHjelp="2" legeDato="{year}-03-01" individuellPlan="2" '
            f'koordinator="2">'
            f'<Diagnose diagNr="D{n}" kodeverk="1" kode="{diagnose}" dato="{year}-02-01"/>'
            f'<Vedtak vedtakId="{vedtak}-{n}" tjenesteKode="06" soknadDato="{year}-01-10" vedtakDato="{year}-01-20" utfall="1"/>'
            f'<Tjeneste tjenesteId="T{n}" vedtakId="{vedtak}-{n}" kode="06" startDato="{year}-02-01"/>'
            "</Person>"
        )
    header = (
        f'formatVersjon="1.0" aargang="{year}" fraDato="{year}-01-01" tilDato="{year}-12-31" '
        f'uttakTid="{year + 1}-01-02T08:00:00+01:00" kommuneNr="{KOMMUNE}" bydel="00" orgNr="{demo_orgnr(KOMMUNE)}" '
        f'leverandor="L" navnEPJ="N" versjonEPJ="1" versjonUt="1" innsending="{innsending}"'
    )
    counts = " ".join(f'antall{kind}="{len(numbers)}"' for kind in ("Person", "Diagnose", "Vedtak", "Tjeneste"))
    path = folder / name
    path.write_text(
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Uttrekk {header}>{"".join(persons)}<Slutt {counts}/></Uttrekk>\n',
        encoding="utf-8",
    )
    return path
