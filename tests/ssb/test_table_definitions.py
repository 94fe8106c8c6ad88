"""Tables and indicators are read strictly: what is wrong is named with its file, line and column, and nothing is half loaded."""

from dataclasses import replace
from functools import cache

import pytest
from tests.ssb.tables_drawn import collection

from ipis.kernel.collection import DefinitionFolder
from ipis.kernel.errors import LANGUAGES, DefinitionRefused
from ipis.ssb.tables.conditions import Conditions
from ipis.ssb.tables.definition import read_tables
from ipis.ssb.tables.indicator_definition import read_indicators
from ipis.ssb.tables.nation_definition import read_nation_tables

TABLE = """\
- id: T90
  title: {nb: a, nn: a, en: a}
  record: tjeneste
  where: loepende and enhet = 'hours'
  keys:
    - {column: kode, label: {nb: k, nn: k, en: k}, codes: service_types}
    - {column: alder, label: {nb: k, nn: k, en: k}, bands: [0, 18]}
  measures:
    - {id: n, count: rows, label: {nb: n, nn: n, en: n}}
    - {id: p, percentile: timer, at: 0.9, decimals: 1, label: {nb: n, nn: n, en: n}}
    - {id: d, distinct: person, per: {record: person, count: rows, where: har_langtid}, label: {nb: n, nn: n, en: n}}
"""
INDICATOR = """\
- id: N90
  title: {nb: a, nn: a, en: a}
  unit: {nb: a, nn: a, en: a}
  factor: 100
  numerator: {record: person, count: rows, where: har_langtid}
  denominator: {population: [age_80_89]}
  groups: [[{id: g, where: alder > 3, population: [age_80_89], label: {nb: k, nn: k, en: k}}]]
- id: N91
  title: {nb: a, nn: a, en: a}
  parts: [{id: p, label: {nb: a, nn: a, en: a}, unit: {nb: a, nn: a, en: a}, numerator: {record: person, count: rows}}]
"""
LOOKUP = """\
- published: nasjon_tjeneste
  record: tjeneste
  key: kode
  columns:
    - {name: a, mean: timer}
    - {name: b, count: rows, across: {at: 0.5, factor: 10}}
"""
FAMILY = """\
- id: T91
  title: {nb: a, nn: a, en: a}
  record: vurdering
  keys: [{family: F, label: {nb: k, nn: k, en: k}}]
  measures: [{id: n, share: verdi is null, label: {nb: n, nn: n, en: n}}]
"""


@cache
def shipped():
    """Load the newest year, and what its conditions can name, once for all examples."""
    year = collection()
    return year, Conditions.of(year)


def folder(**files):
    """Give the newest year with these files in place of its tables and indicators."""
    year = shipped()[0]
    kept = {name: content for name, content in year.folder.items() if not name.startswith(("tables/", "indicators/"))}
    own = {name.replace("__", "/") + ".yaml": text.encode() for name, text in files.items()}
    return replace(year, folder=DefinitionFolder.from_members(kept | own))


def of_tables(of):
    """Read the folder's control tables."""
    return read_tables(of, shipped()[1])


def of_indicators(of):
    """Read the folder's indicators."""
    return tuple(read_indicators(of, shipped()[1]))


def of_nation(of):
    """Read what rules look up in the nation."""
    return read_nation_tables(of, shipped()[1])


def refused(read, **files):
    """Give the error that reading raises."""
    with pytest.raises(DefinitionRefused) as caught:
        read(folder(**files))
    return caught.value


def test_what_is_right_is_read():
    """The examples below differ from these in one place each."""
    (table,) = of_tables(folder(tables__a=TABLE))
    assert [measure.counts for measure in table.measures] == [True, False, False]
    assert len(of_indicators(folder(indicators__a=INDICATOR))) == 2
    assert of_nation(folder(tables__a=LOOKUP))[0].columns[1].across.at == 0.5
    assert of_tables(folder(tables__a=TABLE + LOOKUP))[0].id == "T90"
    assert len(of_tables(folder(tables__a=FAMILY))[0].keys[0].values) == 17
    assert of_tables(folder()) == of_indicators(folder()) == of_nation(folder()) == ()


@pytest.mark.parametrize(
    ("there", "instead", "code", "line"),
    [
        ("- id: T90", "- [", "tables.yaml", 3),
        ("record: tjeneste", "record: hest", "rules.record", 3),
        ("where: loepende", "where: lopende", "rules.field", 4),
        ("where: loepende", "where: loepende -- and", "rules.comment", 4),
        ("where: loepende", "where: select(kode) and", "rules.word", 4),
        ("where: loepende", "where: timer", "rules.type", 4),
        ("and enhet = 'hours'", "and enhet = 1", "rules.type", 4),
        ("column: kode", "column: kode2", "rules.field", 6),
        ("column: alder", "column: kode", "tables.type", 7),
        ("codes: service_types", "codes: ingen", "tables.codes", 6),
        ("codes: service_types", "codes: {list: service_types, column: hest, is: [hours]}", "rules.field", 6),
        ("codes: service_types", "codes: service_types, months: true", "tables.value", 6),
        (", codes: service_types", "", "tables.value", 6),
        ("{column: kode,", "{", "tables.missing", 6),
        ("codes: service_types", "records: false", "tables.value", 6),
        ("codes: service_types", "values: [{code: a, label: {nb: a, nn: a, en: a}}, {code: a, label: {nb: a, nn: a, en: a}}]", "tables.value", 6),
        ("bands: [0, 18]", "bands: [18, 0]", "tables.value", 7),
        ("bands: [0, 18]", "bands: [a]", "tables.value", 7),
        ("bands: [0, 18]", "bands: 0", "tables.value", 7),
        ("bands: [0, 18]", "bands: [0, 18], total: 1", "tables.value", 7),
        ("count: rows, label", "count: money, label", "tables.value", 9),
        ("count: rows, label", "label", "tables.kind", 9),
        ("count: rows, label", "count: rows, sum: timer, label", "tables.kind", 9),
        ("percentile: timer", "percentile: kode", "tables.type", 10),
        ("at: 0.9", "at: 9", "tables.value", 10),
        ("at: 0.9, ", "", "tables.missing", 10),
        ("count: rows, label", "count: rows, at: 0.9, label", "tables.key", 9),
        ("decimals: 1", "decimals: one", "tables.value", 10),
        ("distinct: person, per", "mean: timer, per", "tables.value", 11),
        ("per: {record: person", "per: {record: hest", "rules.record", 11),
        ("id: d", "id: n", "tables.value", 9),
        ("  title: {nb: a, nn: a, en: a}", "  title: {nb: a, nn: a}", "tables.languages", 2),
        ("  title: {nb: a, nn: a, en: a}", "  title: {nb: a, nn: a, en: 3}", "tables.value", 2),
        ("  title", "  nation: ja\n  title", "tables.value", 2),
        ("  title", "  compares: nothing\n  title", "tables.value", 2),
        ("  title", "  hest: 1\n  title", "tables.key", 2),
        ("  record: tjeneste\n", "", "tables.missing", 1),
    ],
)  # fmt: skip
def test_a_slip_in_a_table_is_named_with_its_place(there, instead, code, line):
    """A statistician finds it without asking anybody."""
    assert there in TABLE
    error = refused(of_tables, tables__slip=TABLE.replace(there, instead, 1))
    assert (error.code, error.params["file"], error.params["line"]) == (code, "tables/slip.yaml", line)
    assert all(
        "{" not in part for language in LANGUAGES for part in (error.render(language).found, error.render(language).do)
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: b", "tables.value"),
        ("- 3", "tables.value"),
        ("\t", "tables.yaml"),
        (TABLE + TABLE, "tables.twice"),
        (LOOKUP.replace("published: nasjon_tjeneste", "published: x") + "  more: 1", "tables.key"),
        (LOOKUP + LOOKUP, "tables.twice"),
        (LOOKUP.replace("record: tjeneste", "record: hest"), "rules.record"),
        (LOOKUP.replace("count: rows", "mean: timer"), "tables.value"),
        (FAMILY.replace("family: F", "family: G"), "rules.family"),
        (FAMILY.replace("keys: [", "keys: [{column: dato, months: true, label: {nb: k, nn: k, en: k}}, {family: F, label: {nb: k, nn: k, en: k}}, "), "tables.value"),
    ],
)  # fmt: skip
def test_what_is_no_table_at_all_is_refused(text, code):
    """A file that is no list, a doubled id, two keys that both go through several values."""

    def both(of):
        return of_tables(of), of_nation(of)

    assert refused(both, tables__a=text).code == code


def test_a_file_that_is_not_utf_8_is_refused():
    """Latin letters of another encoding would become other labels."""
    kept = dict(collection().folder.items())
    kept["tables/z.yaml"] = TABLE.replace("nb: a", "nb: \u00e5").encode("latin-1")
    with pytest.raises(DefinitionRefused) as caught:
        of_tables(replace(shipped()[0], folder=DefinitionFolder.from_members(kept)))
    assert caught.value.code == "tables.yaml"


@pytest.mark.parametrize(
    ("there", "instead", "code"),
    [
        ("factor: 100", "factor: many", "tables.value"),
        ("numerator: {record: person, count: rows, where: har_langtid}", "numerator: {record: hest, count: rows}", "rules.record"),
        ("numerator: {record: person, count: rows, where: har_langtid}", "numerator: {record: post, count: rows}", "rules.record"),
        ("population: [age_80_89]}", "population: [age_7]}", "tables.value"),
        ("population: [age_80_89]}", "population: [age_80_89], count: rows}", "tables.key"),
        ("where: alder > 3", "where: alder > '3'", "rules.type"),
        ("  unit: {nb: a, nn: a, en: a}\n", "", "tables.missing"),
        ("parts: [", "factor: 1\n  parts: [", "tables.value"),
        ("id: N91", "id: N90", "tables.twice"),
    ],
)  # fmt: skip
def test_a_slip_in_an_indicator_is_named_with_its_place(there, instead, code):
    """Indicators are read as strictly as tables."""
    assert there in INDICATOR
    error = refused(of_indicators, indicators__slip=INDICATOR.replace(there, instead, 1))
    assert error.code == code
    assert error.params["file"] == "indicators/slip.yaml"
