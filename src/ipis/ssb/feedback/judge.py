"""Judges deliveries, many in one run: every rule that runs at SSB, and what its findings leave in.

Each delivery is judged as if it were alone; what one run saves is the start of every scan. Which rules look at what
others delivered is said by the rules (`scope: register`), and what they find goes to SSB's staff alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ipis.ssb.feedback.about_delivery import judge_delivery
from ipis.ssb.feedback.beside import beside_many
from ipis.ssb.feedback.feilliste import STORED, Keyed, make_feilliste
from ipis.ssb.feedback.kept import Kept
from ipis.ssb.intake.contact import contact_of
from ipis.ssb.packs import packs
from ipis.ssb.register.answers import answers_of
from ipis.ssb.register.deliveries import joined_tables, key_tables, lokal, open_tables, shown_keys
from ipis.ssb.register.objects import ObjectStore
from ipis.ssb.register.supplied import RegisterView
from ipis.ssb.tables.batch import Counted
from ipis.ssb.tables.compute import findings_of, outcomes_of
from ipis.ssb.tables.nation import Nation, last_published
from ipis.validation import rulebook
from ipis.validation.effects import apply
from ipis.validation.findings import Findings
from ipis.validation.run import Content, run_many

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ipis.kernel.sealed import Identity
    from ipis.kernel.seasonpack import SeasonPack
    from ipis.ssb.feedback.beside import Beside
    from ipis.ssb.register.models import Delivery
    from ipis.ssb.settings import SsbSettings
    from ipis.validation.catalogue import Rule
    from ipis.validation.findings import Texts

_KOMMUNE = "kommune"


@dataclass(frozen=True, slots=True)
class Judged:
    """A delivery as judged: the findings its municipality is told of, those for staff (STORED), and what counts."""

    delivery: Delivery
    tables: Mapping[str, pa.Table]
    """As it was delivered."""
    beside: Beside
    findings: pa.Table
    staff: pa.Table
    counted: Counted

    @property
    def verdicts_sha256(self) -> str:
        """Hash which findings there are, whatever their wording: tells whether a changed rule changed anything."""
        columns = [self.findings[name].cast(pa.string()).fill_null("-") for name in ("rule", "record", "row", "field")]
        lines = pc.binary_join_element_wise(*columns, "\x1f").combine_chunks()
        return hashlib.sha256("\n".join(sorted(lines.to_pylist())).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges deliveries of one collection year in the light of its pack, each in the language of its municipality."""

    settings: SsbSettings
    identity: Identity
    """The feedback worker's: a delivery is judged by its sealed contact too."""
    register: RegisterView = field(default_factory=RegisterView)

    @property
    def store(self) -> ObjectStore:
        """Give the register's objects."""
        return ObjectStore(self.settings.objects)

    @property
    def kept(self) -> Kept:
        """Give what is kept of earlier judgements."""
        return Kept.of(self.settings)

    def judge(self, delivery: Delivery, pack: SeasonPack, language: str) -> Judged:
        """Judge one delivery."""
        return self.judge_many([delivery], pack, [language])[0]

    def judge_many(self, deliveries: Sequence[Delivery], pack: SeasonPack, languages: Sequence[str]) -> list[Judged]:
        """Run the rules over deliveries of the pack's year; `languages` are those of their municipalities."""
        if not deliveries:
            return []
        collection = pack.collection
        beside = beside_many(deliveries, self._successors(pack))
        tables = [open_tables(delivery, self.store) for delivery in deliveries]
        supplied = self.register.supply(deliveries, tables, self.store, collection)
        contents = [
            Content(its, delivery.header, self._joined(each.last_years))
            for its, delivery, each in zip(supplied, deliveries, beside, strict=True)
        ]
        nation = self.nation(pack)
        reports = run_many(collection, contents, at="S", nation=None if nation is None else nation.lookups)
        found, counted = [], []
        for delivery, its, report in zip(deliveries, tables, reports, strict=True):
            contact = contact_of(delivery.forsendelse, self.settings, self.identity)
            about = judge_delivery(delivery, contact, collection)
            all_of = pa.concat_tables([report.findings.table, about])
            left = apply(its, report.findings, collection)
            outcomes = outcomes_of(its, report.findings.table, left)
            told = findings_of(all_of, report.findings.texts.rules)
            found.append(all_of)
            counted.append(Counted(left, delivery.header, outcomes, told))
        stored = _as_stored(found, deliveries, languages, reports[0].findings.texts)
        told_rules = _told(rulebook.of(collection).rules)
        return [
            Judged(delivery, given, each, *_parted(its, told_rules), count)
            for delivery, given, each, its, count in zip(deliveries, tables, beside, stored, counted, strict=True)
        ]

    def feilliste(self, judged: Judged, pack: SeasonPack, language: str) -> pa.Table:
        """Compare with the delivery before; findings that were never kept (its feedback failed) are made anew."""
        delivery, layout = judged.delivery, pack.collection.layout
        answers = answers_of(delivery, self.store, layout, judged.beside.predecessors)
        now = self._keyed(delivery, judged.tables, judged.findings, pack)
        before = judged.beside.previous
        if before is None:
            return make_feilliste(now, None, answers)
        kept = self.kept.findings(before)
        earlier = self.judge(before, pack, language).findings if kept is None else kept
        keyed = self._keyed(before, key_tables(before, self.store, layout), earlier, pack)
        return make_feilliste(now, keyed, answers)

    def _joined(self, deliveries: Sequence[Delivery]) -> Mapping[str, pa.Table] | None:
        return joined_tables([open_tables(one, self.store) for one in deliveries]) if deliveries else None

    def nation(self, pack: SeasonPack) -> Nation | None:
        """Give the nation as last published, of the pack's year or the newest before."""
        return last_published(self.store, pack.register, pack.year)

    def _successors(self, pack: SeasonPack) -> Mapping[str, str]:
        """Name what municipalities became since the year before a pack's, by that year's own list."""
        for other, _ in packs(self.settings):
            if (other.register, other.year) == (pack.register, pack.year - 1):
                return other.collection.successors
        return {}

    def _keyed(self, delivery: Delivery, tables: Mapping[str, pa.Table], findings: pa.Table, pack: SeasonPack) -> Keyed:
        """Put the sender's own keys beside findings of a delivery with these tables."""
        id_fields = {name: record.id_field for name, record in pack.collection.layout.records.items()}
        named = {name: tables[name] for name in pc.unique(findings["record"]).to_pylist() if name in id_fields}
        rows = {name: _pointed_at(table, findings, name) for name, table in named.items()}
        keys, rules = shown_keys(rows, id_fields, lokal(delivery, self.store)), rulebook.of(pack.collection).rules
        return Keyed(findings, keys, {name: (rule.problem.name, rule.problem.by) for name, rule in rules.items()})


def _pointed_at(table: pa.Table, findings: pa.Table, record: str) -> pa.Table:
    """Keep the rows of a record that findings are about: only their keys are shown."""
    rows = findings.filter(pc.equal(findings["record"], record))["row"]
    return table.filter(pc.is_in(table["_row"], value_set=pc.unique(rows).drop_null()))


def _as_stored(
    found: Sequence[pa.Table], deliveries: Sequence[Delivery], languages: Sequence[str], texts: Texts
) -> list[pa.Table]:
    """Write the findings of many deliveries as they are kept, all messages of one language at a time."""
    stored: dict[int, pa.Table] = {}
    for language in dict.fromkeys(languages):
        places = [place for place, its in enumerate(languages) if its == language]
        lengths = [found[place].num_rows for place in places]
        sequences = np.repeat(np.array([deliveries[place].sequence for place in places], np.int32), lengths)
        whole = _written(Findings(pa.concat_tables([found[place] for place in places]), texts), sequences, language)
        starts = np.cumsum([0, *lengths])
        for place, start, length in zip(places, starts, lengths, strict=False):
            stored[place] = whole.slice(int(start), length)
    return [stored[place] for place in range(len(found))]


def _written(findings: Findings, sequences: NDArray[np.int32], language: str) -> pa.Table:
    told, rules = findings.table.combine_chunks(), findings.texts.rules
    at = pc.index_in(told["rule"], value_set=pa.array(list(rules), pa.string()))
    levels = pa.array([rule.level.value for rule in rules.values()], pa.string())
    effects = pa.array([rule.effect.value for rule in rules.values()], pa.string())
    columns = {
        "rule": told["rule"],
        "level": levels.take(at),
        "effect": effects.take(at),
        **{name: told[name] for name in ("record", "row", "field", "value")},
        **dict(zip(("found", "expected", "do"), findings.parts(language), strict=True)),
        "first_seen": pa.array(sequences),
    }
    return pa.table(columns, schema=STORED)


def _parted(stored: pa.Table, told: pa.Array) -> tuple[pa.Table, pa.Table]:
    """Part what the municipality is told from what is for SSB's staff alone (K028, K029)."""
    of_kommune = pc.is_in(stored["rule"], value_set=told)
    return stored.filter(of_kommune), stored.filter(pc.invert(of_kommune))


def _told(rules: Mapping[str, Rule]) -> pa.Array:
    return pa.array([rule.id for rule in rules.values() if rule.audience == _KOMMUNE], pa.string())
