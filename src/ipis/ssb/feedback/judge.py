"""Judges a delivery: every rule that runs at SSB, what its findings leave in, and the control tables of that.

Findings are kept beside the register, by row number: what brukerNr a row has is asked of `lokal` each time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ipis.lib.storage import durable
from ipis.ssb.feedback.about_delivery import judge_delivery
from ipis.ssb.feedback.feilliste import STORED, Keyed, make_feilliste
from ipis.ssb.feedback.models import Tilbakemelding
from ipis.ssb.intake.contact import contact_of
from ipis.ssb.packs import pack_of
from ipis.ssb.register.deliveries import deliveries_as_of, lokal_keys, open_tables, previous_delivery
from ipis.ssb.register.objects import ObjectStore
from ipis.ssb.tables.compare import ControlTable, Sides, compare
from ipis.ssb.tables.compute import Counted, compute_many, findings_of, outcomes_of
from ipis.ssb.tables.definition import load_tables
from ipis.validation import rulebook
from ipis.validation.effects import apply
from ipis.validation.findings import Findings
from ipis.validation.run import run

if TYPE_CHECKING:
    from pathlib import Path

    from ipis.kernel.sealed import Identity
    from ipis.kernel.seasonpack import SeasonPack
    from ipis.ssb.register.models import Delivery
    from ipis.ssb.settings import SsbSettings


@dataclass(frozen=True, slots=True)
class Judged:
    """A delivery as judged: the findings its municipality is told of (STORED), the control tables of what counts."""

    findings: pa.Table
    cells: pa.Table

    @property
    def verdicts_sha256(self) -> str:
        """Hash which findings there are, whatever their wording: tells whether a changed rule changed anything."""
        columns = [self.findings[name].to_pylist() for name in ("rule", "record", "row", "field")]
        return hashlib.sha256(repr(sorted(zip(*columns, strict=True), key=repr)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges deliveries in the light of the pack of their year, in the language of their municipality."""

    settings: SsbSettings
    identity: Identity
    """The feedback worker's: a delivery is judged by its sealed contact too."""

    @property
    def store(self) -> ObjectStore:
        """Give the register's objects."""
        return ObjectStore(self.settings.objects)

    def judge(self, delivery: Delivery, pack: SeasonPack, language: str) -> Judged:
        """Run the rules over a delivery and tabulate what they leave in."""
        collection = pack.collection
        tables = open_tables(delivery, self.store)
        earlier = last_years(delivery)
        last_year = None if earlier is None else open_tables(earlier, self.store)
        of_records = run(collection, tables, at="S", last_year=last_year, header=delivery.header).findings
        counted = apply(tables, of_records, collection)
        contact = contact_of(delivery.forsendelse, self.settings, self.identity)
        of_delivery = judge_delivery(delivery, contact, collection)
        findings = Findings(pa.concat_tables([of_records.table, of_delivery]), of_records.texts)
        outcomes = outcomes_of(tables, of_records.table, counted)
        told = findings_of(findings.table, of_records.texts.rules)
        (cells,) = compute_many(collection, [Counted(counted, delivery.header, outcomes, told)])
        return Judged(_told_to_kommune(findings, pack, delivery.sequence, language), cells)

    def feilliste(self, delivery: Delivery, judged: Judged, pack: SeasonPack, language: str) -> pa.Table:
        """Compare with the delivery before; findings that were never kept (its feedback failed) are made anew."""
        before = previous_delivery(delivery)
        if before is None:
            return make_feilliste(self._keyed(delivery, judged.findings, pack), None)
        kept = self.kept_findings(before)
        earlier = self.judge(before, pack, language).findings if kept is None else kept
        return make_feilliste(self._keyed(delivery, judged.findings, pack), self._keyed(before, earlier, pack))

    def control_tables(self, delivery: Delivery, judged: Judged, pack: SeasonPack) -> tuple[ControlTable, ...]:
        """Put the tables beside last year's; the nation's column is empty until a year is published."""
        beside: dict[str, pa.Table] = {}
        for name, other in (("last_year", last_years(delivery)), ("previous", previous_delivery(delivery))):
            if other is not None:
                beside[name] = self.judge(other, pack_of(self.settings, other.register, other.year), "nb").cells
        return compare(load_tables(pack.collection), Sides(judged.cells, **beside))

    def keep_findings(self, delivery: Delivery, revision: int, findings: pa.Table) -> None:
        """Keep findings durably, for the comparison with the next delivery."""
        path = self._findings_path(delivery, revision)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with durable(path) as file:
            pq.write_table(findings, file, compression="zstd")

    def kept_findings(self, delivery: Delivery) -> pa.Table | None:
        """Read the findings kept with the newest tilbakemelding of a delivery, or None."""
        newest = Tilbakemelding.objects.filter(delivery=delivery).order_by("-revision").first()
        path = None if newest is None else self._findings_path(delivery, newest.revision)
        return None if path is None or not path.exists() else pq.read_table(path)

    def _keyed(self, delivery: Delivery, findings: pa.Table, pack: SeasonPack) -> Keyed:
        records = pack.collection.layout.records
        named = [name for name in pc.unique(findings["record"]).to_pylist() if name in records]
        return Keyed(findings, {name: lokal_keys(delivery, self.store, name, records[name].id_field) for name in named})

    def _findings_path(self, delivery: Delivery, revision: int) -> Path:
        return self.settings.data / "funn" / delivery.forsendelse / f"{revision:04d}.parquet"


def last_years(delivery: Delivery) -> Delivery | None:
    """Give the sender's newest delivery of the year before, as it stood when this one was loaded."""
    rows = deliveries_as_of(delivery.year - 1, delivery.loaded_at, register=delivery.register)
    return next((row for row in rows if (row.kommune, row.bydel) == (delivery.kommune, delivery.bydel)), None)


def _told_to_kommune(findings: Findings, pack: SeasonPack, sequence: int, language: str) -> pa.Table:
    """Write findings as they are kept; those of rules for SSB's staff alone are left out (K028, K029, K081)."""
    rules, told = rulebook.of(pack.collection).rules, findings.table
    of = [rules[name] for name in told["rule"].to_pylist()]
    stored = pa.table(
        {
            "rule": told["rule"],
            "level": pa.array([rule.level.value for rule in of], pa.string()),
            "effect": pa.array([rule.effect.value for rule in of], pa.string()),
            "record": told["record"],
            "row": told["row"],
            "field": told["field"],
            "value": told["value"],
            **dict(zip(("found", "expected", "do"), findings.parts(language), strict=True)),
            "first_seen": pa.repeat(pa.scalar(sequence, pa.int32()), told.num_rows),
        },
        schema=STORED,
    )
    return stored.filter(pa.array([rule.audience == "kommune" for rule in of], pa.bool_()))
