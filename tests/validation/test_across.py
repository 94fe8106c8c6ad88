"""Derived columns that look into other record types, lists and the nation, each drawn as rows with what is derived."""

import pyarrow as pa
import pytest
from tests.validation import desk
from tests.validation.test_derived import derive, ting

from ipis.kernel.errors import DefinitionRefused

PERSONS = [{"brukerNr": "1"}, {"brukerNr": "2"}, {"brukerNr": "3"}]


def of_person(declaration, rows, persons=PERSONS, **beside):
    """Give the column `x` of each person, over the rows of `ting`."""
    rules = desk.rule("true = false", record="person", more="shows: [x]")
    report = desk.judge(
        desk.collection(rules, f"[person.derived]\nx = {declaration}"), ting=rows, person=persons, **beside
    )
    assert not report.culprits
    found = [row for row in report.findings.table.to_pylist() if row["rule"] == "K900"]
    return [row["shown"][0] for row in found]


ROWS = """
0 01 01-01 - 5
0 02 02-01 - 7
0 99 03-01 - 100
1 01 01-01 - -
- 01 01-01 - 9
"""


@pytest.mark.parametrize(
    ("declaration", "values"),
    [
        ('{ count = "rows", of = "ting", on = "person" }', ["3", "1", "0"]),
        ('{ count = "rows", of = "ting", on = "person", where = "n > 6" }', ["2", "0", "0"]),
        ('{ sum = "n", of = "ting", on = "person" }', ["112", None, None]),
        ('{ sum = "n", of = "ting", on = "person", where = "kode = \'01\'" }', ["5", None, None]),
        ('{ min = "n", of = "ting", on = "person" }', ["5", None, None]),
        ('{ max = "n", of = "ting", on = "person" }', ["100", None, None]),
        ('{ max = "fra", of = "ting", on = "person" }', ["2017-03-01", "2017-01-01", None]),
        ('{ max = "kode", of = "ting", on = "person" }', ["02", "01", None]),
        ('{ newest = "n", of = "ting", on = "person", order = "fra" }', ["100", None, None]),
        ('{ newest = "kode", of = "ting", on = "person", order = "fra", where = "n < 10" }', ["02", None, None]),
    ],
)
def test_rows_of_another_record_type_are_counted_by_person(declaration, values):
    assert of_person(declaration, ting(ROWS)) == values


def test_newest_takes_the_greatest_of_equal_days_and_an_invalid_value_is_unknown():
    rows = [
        {"_person": 0, "fra": "2017-01-01", "n": 3}, {"_person": 0, "fra": "2017-01-01", "n": 8},
        {"_person": 1, "fra": "2017-01-01", "n": 3}, {"_person": 1, "fra": "2017-02-01", "n": "x"},
    ]  # fmt: skip
    assert of_person('{ newest = "n", of = "ting", on = "person", order = "fra" }', rows) == ["8", None, None]
    rules = desk.rule("x is not null", record="person")
    known = desk.collection(rules, '[person.derived]\nx = { newest = "n", of = "ting", on = "person", order = "fra" }')
    verdict = desk.judge(known, ting=rows, person=PERSONS).verdicts["K900"]
    assert (verdict.ok, verdict.breach, dict(verdict.reasons)) == (1, 1, {"invalid_value": 1})


def test_another_row_is_found_by_its_id_and_an_id_that_stands_twice_names_none():
    rows = [
        {"tid": "a", "vist": "b", "n": 1}, {"tid": "b", "vist": "c", "n": 2}, {"tid": "c", "vist": "nei"},
        {"tid": "c", "vist": None}, {"tid": "d", "vist": "e"}, {"tid": "e", "vist": "a", "n": "x"},
    ]  # fmt: skip
    assert derive('{ lookup = "ting", on = "vist", key = "tid", value = "n" }', rows) == [
        "2", None, None, None, None, "1",
    ]  # fmt: skip
    assert desk.judged(
        "x > 0", rows, derived='[ting.derived]\nx = { lookup = "ting", on = "vist", key = "tid", value = "n" }'
    ).reasons == {"missing_value": 3, "invalid_value": 1}


def test_rows_are_counted_by_any_id():
    rows = [{"tid": "a", "vist": "b"}, {"tid": "b", "vist": "b"}, {"tid": None, "vist": "a"}]
    assert derive('{ count = "rows", of = "ting", on = "tid", key = "vist" }', rows) == ["1", "2", None]
    assert derive('{ exists = "ting", on = "tid", key = "vist" }', rows) == ["true", "true", None]


def test_what_is_derived_in_another_record_type_can_be_looked_into():
    layout = (
        '[ting.derived]\ndobbelt = { expression = "n * 2" }\n'
        'x = { lookup = "person", on = "person", value = "samlet" }\n'
        '[person.derived]\nsamlet = { sum = "dobbelt", of = "ting", on = "person" }'
    )
    known = desk.collection(desk.rule("true = false", more="shows: [x]"), layout)
    report = desk.judge(known, ting=ting("0 01 - - 5\n0 01 - - 7\n1 01 - - 1"), person=PERSONS)
    assert [row["shown"] for row in report.findings.table.to_pylist()] == [["24"], ["24"], ["2"]]


@pytest.mark.parametrize(
    ("rows", "where", "days"),
    [
        ("0 01 01-01 01-10 -\n0 02 01-05 01-20 -", "", ["6", "6"]),
        ("0 01 01-01 01-10 -\n0 02 01-11 01-20 -", "", ["0", "0"]),
        ("0 01 01-01 01-10 -\n0 02 01-10 01-10 -\n0 03 01-10 01-12 -", "", ["1", "1", "1"]),
        # Days that several others share are one each.
        ("0 01 01-01 01-31 -\n0 02 01-05 01-10 -\n0 02 01-08 01-12 -", "", ["8", "6", "5"]),
        ("0 01 12-01 - -\n0 02 12-30 - -", "", ["2", "2"]),
        ("0 01 01-01 01-10 -\n1 02 01-05 01-20 -\n- 02 01-01 01-20 -", "", ["0", "0", None]),
        ("0 01 01-10 01-01 -\n0 02 01-01 01-20 -\n0 02 - 01-20 -", "", [None, "0", None]),
        ("0 01 01-01 01-10 -\n0 21 01-05 01-20 -\n0 02 01-01 01-31 -", "kode = '02'", ["10", "16", "0"]),
        ("0 02 01-01 01-10 -\n0 02 01-05 01-20 -\n0 01 01-01 01-31 -", "kode = '02'", ["6", "6", "20"]),
        # Of a row with an unknown code it is not known to hold; its own days are its own.
        ("0 02 01-01 01-10 -\n0 99 01-05 01-20 -\n0 - 01-01 01-31 -", "kode = '02'", ["0", "6", "10"]),
    ],
)
def test_days_that_other_rows_share_are_counted(rows, where, days):
    narrowed = f', where = "{where}"' if where else ""
    declaration = f'{{ overlap_days = "rows", by = ["person"], from = "fra", to = "til"{narrowed} }}'
    assert derive(declaration, ting(rows)) == days


def test_the_first_choice_that_is_true_is_taken_and_an_unknown_one_before_it_makes_all_unknown():
    declaration = (
        '{ choose = [ { when = "n >= 50", then = "stor" }, { when = "d > 1", then = "middels" } ], else = "liten" }'
    )
    rows = [{"n": 60}, {"n": 1, "d": "2.00"}, {"n": 1, "d": "0.50"}, {"d": "2.00"}, {"n": 1}, {"n": 60, "d": None}]
    assert derive(declaration, rows) == ["stor", "middels", "liten", None, None, "stor"]


SCORES = {"skala": "code,label_nb,value\n1,en,1\n2,to,2\n5,fem,5\n9,ukjent,\n"}
SCORED = desk.LAYOUT.replace('codes = ["1", "2"]', 'codes = "skala"').replace(
    'A = ["A1", "A2"]', 'A = ["A1", "A2"]\nbare_en = ["A2"]\nuten = ["kode"]'
)


def test_a_mean_is_of_the_numbers_that_scores_stand_for():
    rules = desk.rule("true = false", more="shows: [x, y]")
    derived = '[ting.derived]\nx = { expression = "mean(A)" }\ny = { expression = "mean(bare_en)" }'
    known = desk.collection(rules, derived, layout=SCORED, codes=SCORES)
    rows = [{"A1": "1", "A2": "2"}, {"A1": "5"}, {"A1": "9", "A2": "5"}, {"A1": "9"}, {}, {"A1": "7", "A2": "2"}]
    report = desk.judge(known, ting=rows)
    shown = [row["shown"] for row in report.findings.table.to_pylist() if row["rule"] == "K900"]
    assert shown == [["1.5", "2"], ["5", None], ["5", "5"], [None, None], [None, None], ["2", "2"]]


def test_a_family_without_numbers_has_no_mean():
    derived = '[ting.derived]\nx = { expression = "mean(uten)" }'
    with pytest.raises(DefinitionRefused) as caught:
        desk.judge(desk.collection(desk.rule("n = 1"), derived, layout=SCORED, codes=SCORES))
    assert caught.value.code == "rules.family_value"


def test_a_header_value_is_looked_up():
    codes = {"steder": "code,navn,tall_total\n0403,Hamar,3\n0710,Sandefjord,6\n"}
    declaration = '{ lookup = "steder", on = "uttrekk.kommuneNr", value = "navn" }'
    rules = desk.rule("true = false", more="shows: [x, uttrekk.kommuneNr]")
    known = desk.collection(rules, f"[ting.derived]\nx = {declaration}", codes=codes)
    for number, name in (("0710", "Sandefjord"), ("9999", None)):
        report = desk.judge(known, ting=[{"n": 1}], header={"kommuneNr": number})
        assert [row["shown"] for row in report.findings.table.to_pylist()] == [[name, number]]
    assert desk.judge(known, ting=[{"n": 1}]).verdicts["K900"].reasons == {"no_header": 1}


NATION = '[nation.nasjon_kode]\nkey = "kode"\ncolumns = { p99 = "dec", antall = "int", navn = "str" }\n'


def test_the_nation_is_looked_up_by_its_key_and_without_it_nothing_is_assessed():
    derived = f'{NATION}[ting.derived]\nmest = {{ lookup = "nasjon_kode", on = "kode", value = "p99" }}'
    known = desk.collection(desk.rule("n <= mest"), derived)
    nation = {"nasjon_kode": pa.table({"kode": ["01", "02"], "p99": [5.5, 7.5], "antall": [1, 2], "navn": ["a", "b"]})}
    rows = ting("0 01 - - 6\n0 02 - - 6\n0 03 - - 6")
    verdict = desk.judge(known, ting=rows, nation=nation).verdicts["K900"]
    assert (verdict.ok, verdict.breach, dict(verdict.reasons)) == (1, 1, {"missing_value": 1})
    for lacking in (None, {}):
        assert desk.judge(known, ting=rows, nation=lacking).verdicts["K900"].reasons == {"no_nation": 3}


def test_a_code_list_that_may_not_be_shipped_leaves_its_rules_not_assessed():
    derived = '[codes.hemmelig]\noptional = true\n[ting.derived]\nfinnes = { exists = "hemmelig", on = "kode" }\nnavn = { lookup = "hemmelig", on = "kode", value = "navn" }'
    layout = desk.LAYOUT.replace('codes = ["01", "02", "03"]', 'codes = "hemmelig"')
    rules = desk.rule("finnes") + desk.rule("navn = 'a'", number="K901")
    rows = ting("0 01 - - 6\n0 02 - - 6\n0 - - - 6")
    known = desk.collection(rules, derived, layout=layout)
    verdicts = desk.judge(known, ting=rows).verdicts
    assert verdicts["K900"].reasons == verdicts["K901"].reasons == {"no_list": 3}
    assert verdicts["L003"].reasons == {"no_list": 2}
    given = desk.collection(rules, derived, layout=layout, codes={"hemmelig": "code,navn\n01,a\n"})
    verdicts = desk.judge(given, ting=rows).verdicts
    assert (verdicts["K900"].ok, verdicts["L003"].breach) == (1, 1)


SUPPLIED = '[ting.supplied]\nhos_andre = {{ type = "{kind}", source = "register", label = {{ nb = "N", nn = "N", en = "N" }} }}\n'


def test_a_column_of_the_register_is_read_where_it_was_handed_in():
    known = desk.collection(desk.rule("hos_andre <= 1"), SUPPLIED.format(kind="int16"))
    rows = [{"n": 1, "hos_andre": 1}, {"n": 2, "hos_andre": 2}, {"n": 3}]
    verdict = desk.judge(known, ting=rows).verdicts["K900"]
    assert (verdict.ok, verdict.breach, dict(verdict.reasons)) == (1, 1, {"missing_value": 1})
    without = {name: _without(table) for name, table in desk.tables(known, {"ting": rows}).items()}
    assert desk.run(known, without, at="S").verdicts["K900"].reasons == {"no_register": 3}


def _without(table):
    return table.drop_columns({"hos_andre"} & set(table.column_names))


def test_a_supplied_id_is_compared_for_equality_only():
    derived = SUPPLIED.format(kind="id") + '[ting.derived]\nlike_mange = { count = "rows", by = ["hos_andre"] }'
    rows = [{"hos_andre": "a"}, {"hos_andre": "a"}, {"hos_andre": None}]
    assert desk.breaches("like_mange = 1", rows, derived=derived) == [0, 1]
    with pytest.raises(DefinitionRefused) as caught:
        desk.judged("hos_andre > 'a'", rows, derived=derived)
    assert caught.value.code == "rules.type"


ALONE = """
format = "1.0"
[maaling]
kind = "record"
element = ""
label = { nb = "N", nn = "N", en = "N" }
key_fields = ["nr"]
id_field = "nr"
[maaling.fields.nr]
kind = "id"
length = 5
label = { nb = "N", nn = "N", en = "N" }
rules = { mandatory = "L001", form = "L002" }
[maaling.fields.verdi]
kind = "int"
length = 3
label = { nb = "N", nn = "N", en = "N" }
rules = { form = "L002" }
[maaling.derived]
like_mange = { count = "rows", by = ["nr"] }
"""


def test_a_register_needs_no_person_and_no_header():
    known = desk.any_collection(desk.rule("like_mange = 1 and verdi > 0", record="maaling"), layout=ALONE)
    rows = [{"nr": "a", "verdi": 1}, {"nr": "b", "verdi": 0}, {"nr": "c", "verdi": 1}, {"nr": "c", "verdi": 1}]
    report = desk.judge(known, maaling=rows)
    assert report.verdicts["K900"].breach == 3
    assert report.findings.count_by_rule() == {"K900": 3}


@pytest.mark.parametrize(
    ("declaration", "code"),
    [
        ('{ count = "ting", of = "ting", on = "person" }', "derived_subject"),
        ('{ count = "rows", of = "liste", on = "kode" }', "derived_subject"),
        ('{ count = "rows", of = "nei", on = "person" }', "derived_subject"),
        ('{ sum = "tekst", of = "ting", on = "person" }', "derived_subject"),
        ('{ max = "vist", of = "ting", on = "person" }', "derived_subject"),
        ('{ min = "n", by = ["tid"] }', "derived_missing"),
        ('{ newest = "n", of = "ting", on = "person", order = "tekst" }', "derived_subject"),
        ('{ newest = "n", of = "ting", on = "person" }', "derived_missing"),
        ('{ count = "rows", of = "ting", on = ["vist", "tid"] }', "derived_key"),
        ('{ count = "rows", of = "ting", on = "vist", key = "n" }', "derived_key"),
        ('{ count = "rows", of = "ting", on = "vist", key = "nei" }', "field"),
        ('{ count = "rows", of = "ting", on = "vist", where = "nei = 1" }', "field"),
        ('{ lookup = "liste", on = "uttrekk.nei", value = "navn" }', "field"),
        ('{ lookup = "liste", on = "andre.kode", value = "navn" }', "field"),
        ('{ choose = [], else = "a" }', "derived_choose"),
        ('{ choose = "n", else = "a" }', "derived_choose"),
        ('{ choose = [ { when = "n = 1" } ], else = "a" }', "derived_choose"),
        ('{ choose = [ { when = "n = 1", then = "b" } ] }', "derived_missing"),
        ('{ choose = [ { when = "n", then = "b" } ], else = "a" }', "not_boolean"),
        ('{ overlap_days = "rows", by = ["person"], from = "fra", to = "n" }', "derived_subject"),
        ('{ last_year = "count", by = ["dobbelt"] }', "derived_subject"),
        ('{ count = "rows", by = [3] }', "derived_key"),
        ('{ lag = "til", by = ["tid"], order = "fra", open_ended = "ja" }', "derived_key"),
    ],
)
def test_what_cannot_be_derived_is_refused(declaration, code):
    layout = f'{desk.LAYOUT}\n[ting.derived]\ndobbelt = {{ expression = "n * 2" }}\nx = {declaration}'
    with pytest.raises(DefinitionRefused) as caught:
        desk.judge(desk.collection(desk.rule("n = 1"), layout=layout))
    assert caught.value.code == f"rules.{code}"
    assert caught.value.params["line"] == layout.count("\n") + 1
    assert not caught.value.params["file"].startswith("/")


def test_a_layout_without_persons_has_no_person_as_key():
    layout = ALONE.replace('by = ["nr"]', 'by = ["person"]')
    with pytest.raises(DefinitionRefused) as caught:
        desk.judge(desk.any_collection(desk.rule("verdi = 1", record="maaling"), layout=layout))
    assert caught.value.code == "rules.derived_subject"
