"""Deliveries drawn as tables: `-` is nothing given, columns that are not drawn are empty."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ipis.kernel.collection import packaged
from ipis.ssb.tables.compute import Counted, compute_many

YEAR = 2017
KOMMUNE = "0403"
HEADER = {"kommuneNr": KOMMUNE, "bydel": "00", "orgNr": "970540008"}

PERSON = """
_row kjoenn alder id_reason    id_class   bostedKommuneNr bostedBydel husstand privatHjelp legeDato   tannhelseDato ernaeringDato individuellPlan koordinator
0    1      17    ok           national   0403            00          2        1           -          -             -             1               1
1    2      45    ok           national   0403            00          1        9           2017-06-01 -             -             2               2
2    2      70    ok           national   0403            00          -        2           2016-01-01 2017-03-03    -             -               -
3    1      85    ok           national   0412            00          1        1           2017-12-01 2017-12-01    2017-02-02    1               2
4    2      92    not_linkable unlinkable 0403            00          3        2           2017-11-11 -             -             2               -
5    -      -     missing      unlinkable -               -           -        -           -          -             -             -               -
"""
# Person 1 has 42 hours a week; 4 an hour service without hours; the short stay of 4 and the alarm of 1 had ended.
TJENESTE = """
_row _person tjenesteId kode startDato  sluttDato  timerUke minutterUke orgNr     boligBemanning ordinaerBolig
0    0       t0         09   2017-03-01 -          4        30          -         -              -
1    1       t1         01   2015-01-01 -          2        0           804030018 -              -
2    1       t2         15   2017-10-01 -          40       0           899999991 -              -
3    1       t3         06   2016-05-05 2017-06-30 -        -           -         -              -
4    2       t4         15   2016-01-01 2017-12-31 3        -           801010008 -              -
5    3       t5         21   2016-02-02 -          -        -           804030107 -              -
6    4       t6         12   2014-01-01 -          -        -           804030107 1              1
7    4       t7         15   2014-01-01 -          -        -           -         -              -
8    4       t8         20   2017-12-01 2017-12-10 -        -           804030107 -              -
"""
VEDTAK = """
_row _person vedtakId tjenesteKode soknadDato vedtakDato utfall
0    0       v0       09           2017-01-10 2017-02-09 1
1    1       v1       15           2017-09-01 2017-09-11 1
2    2       v2       15           2017-05-01 2017-05-21 3
3    3       v3       21           2016-01-01 2016-02-01 1
4    4       v4       15           2017-12-20 -          5
"""
_SAME = "F01 F02 F03 F04 F05 F06 F07 F08 F09 F10 F11 F12 F13 F14 F15 F16 F17"
VURDERING = f"""
_row _person dato       {_SAME}
0    1       2016-11-30 {" ".join("1" * 17)}
1    2       2017-01-01 {" ".join("5" * 17)}
2    2       2017-12-01 {" ".join("3" * 17)}
3    3       2017-03-03 {" ".join("5" * 17)}
4    4       2017-07-15 9 {" ".join("-" * 16)}
"""
DIAGNOSE = """
_row _person diagNr kodeverk kode
0    1       1      1        P20
1    3       1      2        F03
2    3       2      1        P70
3    5       1      1        A01
"""
DRAWN = {"person": PERSON, "tjeneste": TJENESTE, "vedtak": VEDTAK, "vurdering": VURDERING, "diagnose": DIAGNOSE}
OUTCOMES = pa.table({"type": ["person", "person", "tjeneste"], "utfall": ["godtatt", "merknad", "utenfor"]})
FINDINGS = pa.table(
    {
        "rule": ["K063", "K063", "K031"],
        "level": ["feil", "feil", "info"],
        "record": ["tjeneste", "tjeneste", "person"],
        "field": ["sluttDato", "sluttDato", "bostedKommuneNr"],
    }
)


def collection(year=YEAR):
    """Load a year as shipped."""
    return packaged("iplos", year)


def table(text, record, of):
    """Read a drawn table with the types of the layout."""
    names, *rows = [line.split() for line in text.strip().splitlines()]
    layout = of.layout.records[record]
    types = {field.name: field.arrow_type for field in layout.fields.values()}
    types |= {name: pa.string() if each.type == "string" else pa.int16() for name, each in layout.supplied.items()}
    types |= {"_row": pa.int32(), "_person": pa.int32()}
    columns = {}
    for place, name in enumerate(names):
        texts = pa.array([None if row[place] == "-" else row[place] for row in rows], pa.string())
        columns[name] = texts.cast(types[name]) if types[name] != pa.string() else texts
    return pa.table(columns)


def delivery(of, drawn=None, header=None, outcomes=OUTCOMES, findings=FINDINGS):
    """Make what counts of one delivery from its drawn tables."""
    tables = {name: table(text, name, of) for name, text in (DRAWN if drawn is None else drawn).items()}
    return Counted(tables, HEADER if header is None else header, outcomes, findings)


def figures(cells, of, measure=None):
    """Give a table's cells as keys -> value: of its one measure, or of the one named."""
    taken = cells.filter(pc.equal(cells["table"], of)).to_pylist()
    chosen = [row for row in taken if measure in {None, row["measure"]}]
    return {tuple(row[key] for key in ("k0", "k1", "k2") if row[key]): row["value"] for row in chosen}


def cells_of(counted, of, **options):
    """Compute the tables of one delivery."""
    (made,) = compute_many(of, [counted], **options)
    return made
