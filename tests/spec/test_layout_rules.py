"""What is wrong with one field by itself, drawn: record, field, what stands there (- for nothing), and the rule it breaks."""

from functools import cache

import pyarrow.compute as pc
import pytest

from ipis.kernel.collection import packaged
from ipis.validation import examples, rulebook
from ipis.validation.run import Content, run_many

COLLECTION = packaged("iplos", 2017)

DRAWN = """
person      brukerNr             -                       K018
person      brukerNr             123456789012345678901   L001
person      bostedKommuneNr      -                       K030
person      bostedKommuneNr      5001                    K030
person      bostedBydel          -                       L003
person      bostedBydel          1                       K033
person      husstand             8                       K037
person      privatHjelpTimer     mye                     L004
person      privatHjelpTimer     169                     K045
person      legeDato             2017-02-30              L002
person      dodsDato             31.12.2017              L002
diagnose    diagNr               -                       L006
diagnose    kodeverk             3                       L007
diagnose    kode                 p70                     K046
diagnose    brukerNr             -                       L005
vedtak      vedtakId             -                       L006
vedtak      tjenesteKode         29                      L007
vedtak      utfall               -                       L003
vedtak      utfall               6                       L007
vedtak      klage                x                       L008
tjeneste    tjenesteId           -                       L006
tjeneste    kode                 10                      K059
tjeneste    startDato            -                       K061
tjeneste    startDato            i_fjor                  L009
tjeneste    sluttDato            2017-13-01              L002
tjeneste    timerUke             1e3                     L004
tjeneste    timerUke             169                     K069
tjeneste    minutterUke          60                      K071
tjeneste    dognUke              8                       L010
tjeneste    orgNr                974760674               K078
tjeneste    boligBemanning       4                       L008
tjeneste    avlastningRullerende 1                       L011
stopp       fraDato              -                       L003
vurdering   dato                 -                       K093
vurdering   dato                 vinter                  K093
vurdering   F12                  6                       K092
deltakelse  kulturMottar         4                       K100
"""
ROWS = [line.split() for line in DRAWN.strip().split("\n")]


@cache
def reports():
    """Judge each drawn value as a delivery of one row."""
    records = COLLECTION.layout.records
    contents = []
    for record, field, value, _ in ROWS:
        rows = {"person": [{}], record: [{field: None if value == "-" else value}]}
        tables = {name: examples.table(each, rows.get(name, [])) for name, each in records.items()}
        contents.append(Content(tables, {}, None))
    return run_many(COLLECTION, contents, at="M")


@pytest.mark.parametrize("place", range(len(ROWS)), ids=[" ".join(row) for row in ROWS])
def test_a_fault_of_a_field_is_one_finding_of_its_rule(place):
    """One value has one fault: no other rule of the layout speaks of the same field."""
    record, field, _, rule = ROWS[place]
    table = reports()[place].findings.table
    here = pc.and_(pc.equal(table["record"], record), pc.equal(table["field"], field))
    layout = {made.rule for made in rulebook.of(COLLECTION).predicates}
    assert [number for number in table.filter(here)["rule"].to_pylist() if number in layout] == [rule]


def test_every_rule_that_only_the_layout_declares_is_drawn():
    assert {row[3] for row in ROWS if row[3].startswith("L")} == set(COLLECTION.layout.rules)
