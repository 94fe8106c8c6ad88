"""Makes the season pack's body at SSB, for the offline root to sign, and joins the root's signature to it.

Two files leave for the signing: the body, which is signed, and beside it (`.members`) the definitions it hashes.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ipis.kernel.collection import load
from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.demo import demo_care_unit, demo_domain, demo_orgnr
from ipis.kernel.environment import Environment
from ipis.kernel.errors import PackRefused
from ipis.kernel.seasonpack import Body, Key, Organisation, attach, write_unsigned
from ipis.kernel.signature import PublicKey
from ipis.lib.storage import write_durably

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ipis.kernel.collection import Collection
    from ipis.kernel.seasonpack import SeasonPack

DEMO_CARE_UNITS: Final = 10
"""Care units that a demo municipality may name (`kernel.demo`)."""
CARE_UNITS: Final = "care_units"
"""The code list of organisation numbers in use (K079–K081)."""
NEEDED_ROLES: Final = ("tpf", "ssb", "feedback", "tpf-receipt", "tpf-forward", "ssb-receipt", "ssb-push")
_MEMBERS = ".members"


@dataclass(frozen=True, slots=True)
class Sources:
    """What a pack is made of."""

    environment: Environment
    definitions: DefinitionFolder
    key_files: Sequence[Path]
    organisations: Path | None
    care_units: Path | None
    version: int
    created_at: datetime
    root: PublicKey | None
    codes: Mapping[str, Path] = field(default_factory=dict)
    """Code lists that the program may not ship or that change by the year: name -> CSV with a column `code`."""


def make_body(sources: Sources, out: Path) -> Body:
    """Write the body to be signed and its members beside it; raises PackRefused for what does not make a pack."""
    definitions = _with_codes(sources)
    collection = load(definitions)
    body = Body(
        environment=sources.environment,
        register=collection.register,
        year=collection.year,
        version=sources.version,
        created_at=sources.created_at,
        keys=_keys(sources),
        agreements={kommune: tuple(sorted(bydeler)) for kommune, bydeler in collection.agreements.items()},
        organisations=_organisations(sources, collection),
        successors=dict(collection.successors),
        care_units=_care_units(sources, collection),
    )
    raw = write_unsigned(out.with_name(out.name + _MEMBERS), body, dict(definitions))
    write_durably(out, raw, mode=0o644)
    return body


def _with_codes(sources: Sources) -> DefinitionFolder:
    """Lay the lists given over the definitions; one that the layout does not know would never be looked into.

    The overview of care units is one of them: the list that rules look into must be the one that was given.
    """
    if not sources.codes and sources.care_units is None:
        return sources.definitions
    shipped = load(sources.definitions)
    for name in sources.codes:
        if name not in shipped.codes and name not in shipped.layout.codes:
            raise PackRefused("ssb.pack_codes", name=name)
    given = {f"codes/{name}.csv": path.read_bytes() for name, path in sources.codes.items()}
    if sources.care_units is not None and CARE_UNITS in shipped.codes and CARE_UNITS not in sources.codes:
        given[f"codes/{CARE_UNITS}.csv"] = _listed(sources.care_units, shipped.codes[CARE_UNITS].column_names)
    return DefinitionFolder.from_members({**sources.definitions, **given}, sources.definitions.origin)


def join_signature(unsigned: Path, armored: bytes, out: Path, root: PublicKey | None) -> SeasonPack:
    """Join the root's signature to the body and write the finished pack; PackRefused where it is not the root's."""
    members = unsigned.with_name(unsigned.name + _MEMBERS)
    if not members.exists():
        raise PackRefused("ssb.pack_members", file=members.name)
    pack = attach(members, armored, out, root)
    out.chmod(0o644)
    return pack


def _keys(sources: Sources) -> tuple[Key, ...]:
    """Read the rooms' public keys; each role exactly where it belongs, and the root among none of them."""
    keys: list[Key] = []
    for path in sources.key_files:
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
            keys += [Key.public_of(entry) for entry in entries]
        except (OSError, ValueError, TypeError) as error:
            raise PackRefused("ssb.pack_keys", file=path.name) from error
    for role in NEEDED_ROLES:
        if sum(key.role == role for key in keys) != 1:
            raise PackRefused("ssb.pack_role", role=role, found=sum(key.role == role for key in keys))
    if sources.root is not None and sources.root.openssh in {key.public for key in keys}:
        # A root that some party's process holds is not offline.
        raise PackRefused("ssb.pack_root_in_use")
    return tuple(keys)


def _organisations(sources: Sources, collection: Collection) -> dict[str, Organisation]:
    """Read who answers for each number, or make it by the demo's rule; each municipality must have one."""
    if sources.organisations is None:
        _demo_only(sources.environment, "--organisations")
        answering = {k: collection.successors.get(k, k) for k in collection.kommuner}
        return {k: Organisation(demo_orgnr(by), demo_domain(by)) for k, by in answering.items()}
    rows = _rows(sources.organisations, {"kommune", "orgnr", "domain"})
    found = {row["kommune"]: Organisation(row["orgnr"], row["domain"]) for row in rows}
    if missing := sorted(set(collection.kommuner) - set(found)):
        raise PackRefused("ssb.pack_organisation", kommune=missing[0], missing=len(missing))
    return {kommune: found[kommune] for kommune in collection.kommuner}


def _care_units(sources: Sources, collection: Collection) -> tuple[str, ...]:
    """Read the overview of organisation numbers in use (L17), or make it by the demo's rule."""
    if sources.care_units is not None:
        return tuple(row["orgnr"] for row in _rows(sources.care_units, {"orgnr"}))
    _demo_only(sources.environment, "--care-units")
    return tuple(demo_care_unit(k, n) for k in collection.kommuner for n in range(DEMO_CARE_UNITS))


def _listed(path: Path, columns: Sequence[str]) -> bytes:
    """Write the overview with the columns of the shipped list; what it does not say is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(path, {"orgnr"}))
    return text.getvalue().encode("utf-8")


def _demo_only(environment: Environment, option: str) -> None:
    if not environment.synthetic:
        raise PackRefused("ssb.pack_demo_rule", option=option)


def _rows(path: Path, columns: set[str]) -> list[dict[str, str]]:
    """Read a CSV with `;` or `,` that has the columns asked for."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PackRefused("ssb.pack_file", file=path.name) from error
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
    if not rows or not columns <= set(rows[0]) or any(None in row.values() for row in rows):
        raise PackRefused("ssb.pack_file", file=path.name)
    return rows
