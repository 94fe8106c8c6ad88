"""Opens a forsendelse and lays it out as a delivery; runs in a child process with limits, since Parquet metadata lie.

Data and mapping are opened with the intake key, proved whole and equal in their person keys, scanned for identity
numbers, joined, and written under SSB's own layer. `contact.age` stays sealed: this process has no key for it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from ipis.kernel import leak, opening
from ipis.kernel.answers import SVAR, as_read
from ipis.kernel.collection import load as load_collection
from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.environment import Environment
from ipis.kernel.errors import ParcelRefused
from ipis.kernel.manifest import Facts, Manifest, Part
from ipis.kernel.parquet import write_parquet
from ipis.kernel.rows import LOKAL
from ipis.kernel.sealed import Identity, load_identity, open_bytes, open_to_file
from ipis.ssb.intake.join import join
from ipis.ssb.layer import LayerKey
from ipis.ssb.register.answer_rows import kept_answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import Layout
    from ipis.kernel.parts import Header

_IN_MEMORY: Final = 8 << 20
"""Bytes of a sealed part that is opened in memory; a larger one is opened into the staging folder."""


@dataclass(frozen=True, slots=True)
class Task:
    """What the child is told: paths and texts only, so that it travels; keys are read by the child itself."""

    definitions: Mapping[str, bytes]
    manifest: bytes
    members: Path
    """The folder of the sealed members; strangers may have put more into it."""
    mapping: tuple[str, ...]
    """The names of the mapping parts that TPF signed for, in order; the data parts are those of the manifest."""
    staging: Path
    """A private, empty folder for what is opened; the parent deletes it."""
    out: Path
    """A private, empty folder for the delivery's files."""
    identity_file: Path
    identity_role: str
    layer_file: Path
    environment: Environment
    key_version: int


@dataclass(frozen=True, slots=True)
class Opened:
    """What the child found; the tables themselves lie in `out`."""

    rows: dict[str, int]
    content_sha256: str
    answers: int
    """How many answers the municipality gave."""


def ready() -> bool:
    """Do nothing, in the child: its libraries are loaded before the first forsendelse comes."""
    return True


def open_forsendelse(task: Task) -> Opened:
    """Open, prove, join and write; raises ParcelRefused for anything that is not as it must be."""
    collection = _collection(tuple(task.definitions.items()))
    manifest = Manifest.parse(task.manifest)
    facts, layout = manifest.facts, collection.layout
    identity = load_identity(task.identity_file, task.identity_role, task.environment)
    delivered = opening.join_data(
        [_data_part(task, part, facts, layout, identity) for part in manifest.by_role("data")], layout
    )
    mapping = opening.join_mapping(_mapping_parts(task, facts, identity), delivered.commitment)
    _refuse_leaks(delivered.tables, delivered.lokal, delivered.answers)
    layer = LayerKey.load(task.layer_file, task.environment)
    tables = join(delivered.tables, mapping, layer, year=facts.year, key_version=task.key_version)
    files = {**tables, LOKAL: delivered.lokal}
    if delivered.answers is not None:
        files[SVAR] = kept_answers(delivered.answers, tables, delivered.lokal, layout)
    for name, table in files.items():
        (task.out / f"{name}.parquet").write_bytes(memoryview(write_parquet(table, dictionary=False)))
    answers = 0 if delivered.answers is None else delivered.answers.num_rows
    return Opened({name: table.num_rows for name, table in tables.items()}, delivered.content_sha256, answers)


@lru_cache(maxsize=4)
def _collection(definitions: tuple[tuple[str, bytes], ...]) -> Collection:
    """Read definitions once for all deliveries of a year: a child serves many, and reading takes as long as opening."""
    return load_collection(DefinitionFolder.from_members(dict(definitions)))


def _data_part(task: Task, part: Part, facts: Facts, layout: Layout, identity: Identity) -> opening.DataPart:
    opening.check_key(part.key_id, identity, part.name)
    with _opened(task, part.name, identity) as clear:
        return opening.read_data_part(clear, part, facts, layout)


def _mapping_parts(task: Task, facts: Facts, identity: Identity) -> list[tuple[Header, pa.Table]]:
    total = len(task.mapping)
    return [_mapping_part(task, name, (k, total), facts, identity) for k, name in enumerate(task.mapping, 1)]


def _mapping_part(
    task: Task, name: str, place: tuple[int, int], facts: Facts, identity: Identity
) -> tuple[Header, pa.Table]:
    with _opened(task, name, identity) as clear:
        return opening.read_mapping_part(clear, place, facts, part=name)


@contextmanager
def _opened(task: Task, name: str, identity: Identity) -> Iterator[bytes | Path]:
    """Open a part: in memory if it is small, so that what most senders send never lies in clear on a disk."""
    sealed = task.members / name
    if sealed.stat().st_size <= _IN_MEMORY:
        yield open_bytes(sealed.read_bytes(), identity, part=name)
        return
    staged = open_to_file(sealed, identity, task.staging / name, part=name)
    try:
        yield staged
    finally:
        staged.unlink()


def _refuse_leaks(tables: Mapping[str, pa.Table], lokal: pa.Table, answers: pa.Table | None) -> None:
    """Refuse the whole, naming record and column, when a column holds what looks like identity numbers.

    In the text of an answer one is enough: the municipality's module lets none through.
    """
    for found in () if answers is None else leak.scan(as_read(answers)):
        if found.hits:
            raise ParcelRefused("intake.leak", record=SVAR, column=found.column, hits=found.hits)
    for record, table in {**tables, LOKAL: lokal}.items():
        for found in leak.leaking(leak.scan(table)):
            raise ParcelRefused("intake.leak", record=record, column=found.column, hits=found.hits)
