"""Derived columns and tables, each kind drawn as rows with what is derived beside them."""

import pytest
from tests.validation import desk

from ipis.kernel.errors import DefinitionRefused


def derive(declaration, rows, *, more="", **beside):
    """Give the column `x` for each row of `ting`, by asking which values it has."""
    known = desk.collection(
        desk.rule("false", more="shows: [x]").replace("require: false", "require: true = false"),
        f"[ting.derived]\n{more}\nx = {declaration}",
    )
    report = desk.judge(known, ting=rows, **beside)
    assert not report.culprits
    table = report.findings.table.filter(_is_rule(report, "K900")).sort_by("row").to_pylist()
    return [row["shown"][0] for row in table]


def _is_rule(report, name):
    import pyarrow.compute as pc

    return pc.equal(report.findings.table["rule"], name)


def ting(text):
    """Read a drawn table: person kode fra til n; a dash is nothing."""
    rows = []
    for line in text.strip().splitlines():
        person, kode, fra, til, n = line.split()
        row = {"_person": None if person == "-" else int(person), "kode": kode, "fra": fra, "til": til, "n": n}
        rows.append(
            {
                key: None
                if value == "-"
                else f"2017-{value}"
                if key in {"fra", "til"} and value[0].isdigit()
                else value
                for key, value in row.items()
            }
        )
    return rows


def test_lookup_reads_the_code_list():
    assert derive(
        '{ lookup = "liste", on = "kode", value = "navn" }', ting("0 01 - - -\n0 03 - - -\n0 99 - - -\n0 - - - -")
    ) == ["en", None, None, None]


def test_lookup_reads_the_rows_own_person():
    persons = [{"brukerNr": "1", "alder": 7}, {"brukerNr": "2", "alder": 90}]
    assert derive(
        '{ lookup = "person", on = "person", value = "alder" }',
        ting("1 01 - - -\n0 01 - - -\n- 01 - - -"),
        person=persons,
    ) == ["90", "7", None]


def test_a_key_that_stands_twice_in_a_code_list_multiplies_no_rows():
    known = desk.collection(
        desk.rule("x = 'en' or x = 'to'"),
        '[ting.derived]\nx = { lookup = "dobbel", on = "kode", value = "navn" }',
        codes={"dobbel": "code,navn\n01,en\n01,to\n"},
    )
    assert desk.judge(known, ting=[{"kode": "01"}]).verdicts["K900"].ok == 1


def test_exists_asks_for_the_person_and_for_other_rows():
    rows = [
        {"tid": "a", "vist": "b"},
        {"tid": "b", "vist": "x"},
        {"tid": "c", "vist": None},
        {"tid": "d", "_person": None},
    ]
    assert derive('{ exists = "person", on = "person" }', rows) == ["true", "true", "true", "false"]
    assert derive('{ exists = "ting", on = "vist", key = "tid" }', rows) == ["true", "false", None, None]


def test_exists_where_is_unknown_when_only_unknown_rows_could_answer():
    rows = [{"tid": "a", "vist": "b"}, {"tid": "b", "kode": "02", "vist": "c"}, {"tid": "c", "kode": "99", "vist": "a"}]
    assert derive('{ exists = "ting", on = "vist", key = "tid", where = "kode = \'02\'" }', rows) == [
        "true",
        None,
        None,
    ]


def test_exists_in_a_code_list_takes_several_keys():
    rows = [{"kode": "01", "tekst": "en"}, {"kode": "01", "tekst": "to"}, {"kode": None, "tekst": "en"}]
    assert derive('{ exists = "liste", on = ["kode", "tekst"], key = ["code", "navn"] }', rows) == [
        "true",
        "false",
        None,
    ]


def test_count_counts_rows_that_share_keys_and_leaves_out_rows_without_an_id():
    rows = [{"tid": "a"}, {"tid": "a"}, {"tid": "b"}, {"tid": None}, {"tid": "for-lang"}]
    assert derive('{ count = "rows", by = ["tid"] }', rows) == ["2", "2", "1", None, "1"]


def test_count_where_counts_only_what_holds():
    rows = ting("0 01 - - 5\n0 01 - - 50\n0 01 - - -\n1 01 - - 6")
    assert derive('{ count = "rows", by = ["person"], where = "n < 10" }', rows) == ["1", None, None, "1"]


def test_an_empty_key_that_is_no_id_is_a_value_of_its_own():
    rows = ting("0 - - - -\n0 - - - -\n0 01 - - -")
    assert derive('{ count = "rows", by = ["person", "kode"] }', rows) == ["2", "2", "1"]


def test_sum_adds_what_is_known():
    rows = ting("0 01 - - 5\n0 01 - - 6\n0 02 - - -\n0 01 - - x")
    assert derive('{ sum = "n", by = ["person", "kode"] }', rows) == ["11", "11", None, None]


def test_lag_gives_the_value_of_the_row_before():
    rows = ting(
        "0 01 03-01 04-01 -\n0 01 01-01 02-01 -\n0 01 05-01 - -\n0 01 06-01 - -\n1 01 02-01 - -\n0 02 02-01 - -"
    )
    assert derive('{ lag = "til", by = ["person", "kode"], order = "fra" }', rows) == [
        "2017-02-01",
        None,
        "2017-04-01",
        None,
        None,
        None,
    ]


def test_lag_takes_a_running_row_as_open_ended_when_asked():
    rows = ting("0 01 01-01 - -\n0 01 02-01 03-01 -\n0 01 kl. - -")
    assert derive('{ lag = "til", by = ["person"], order = "fra", open_ended = true }', rows) == [
        None,
        "9999-12-31",
        None,
    ]


def test_rows_of_the_same_day_are_taken_by_their_value_and_then_by_place():
    rows = ting("0 01 01-01 05-01 -\n0 01 01-01 03-01 -\n0 01 01-01 03-01 -")
    assert derive('{ lag = "til", by = ["person"], order = "fra" }', rows) == ["2017-03-01", None, "2017-03-01"]


def test_previous_max_sees_past_a_short_row_to_the_longest():
    rows = ting("0 01 01-01 09-01 -\n0 01 02-01 03-01 -\n0 01 04-01 05-01 -")
    assert derive('{ previous_max = "til", by = ["person"], order = "fra" }', rows) == [
        None,
        "2017-09-01",
        "2017-09-01",
    ]


def test_overlap_counts_the_other_rows_that_share_a_day():
    rows = ting(
        "0 01 01-01 02-01 -\n0 01 02-01 03-01 -\n0 01 02-02 - -\n0 01 05-01 05-01 -\n1 01 02-01 - -\n0 01 06-01 05-01 -"
    )
    assert derive('{ overlap = "rows", by = ["person"], from = "fra", to = "til" }', rows) == [
        "1",
        "2",
        "2",
        "1",
        "0",
        None,
    ]


def test_concurrent_sum_adds_what_runs_on_the_rows_first_day():
    rows = ting(
        "0 01 01-01 02-01 10\n0 01 02-01 03-01 20\n0 01 02-02 - 40\n0 01 05-01 - -\n1 01 02-01 - 80\n0 01 06-01 05-01 7\n0 01 01-15 - x"
    )
    assert derive('{ concurrent_sum = "n", by = ["person"], from = "fra", to = "til" }', rows) == [
        "10",
        "30",
        "60",
        "40",
        "80",
        None,
        None,
    ]


def test_concurrent_sum_where_leaves_the_others_out():
    rows = ting("0 01 01-01 - 10\n0 02 02-01 - 20\n0 01 03-01 - 40")
    assert derive(
        '{ concurrent_sum = "n", by = ["person"], from = "fra", to = "til", where = "kode = \'01\'" }', rows
    ) == ["10", None, "50"]


def test_last_year_counts_the_rows_of_the_year_before_with_the_same_keys():
    past = {"ting": ting("0 01 - - -\n1 01 - - -\n0 02 - - -")}
    assert derive('{ last_year = "count", by = ["kode"] }', ting("0 01 - - -\n0 03 - - -"), last_year=past) == [
        "2",
        "0",
    ]
    where = '{ last_year = "count", by = ["kode"], where = "n > 5" }'
    assert derive(where, ting("0 01 - - -"), last_year={"ting": ting("0 01 - - 6\n0 01 - - 4")}) == ["1"]


def test_a_derived_column_may_need_another_wherever_it_stands():
    more = 'b = { expression = "a * 2" }\na = { count = "rows", by = ["tid"] }\nc = { exists = "ting", on = "vist", key = "tid", where = "b > 2" }'
    rows = [{"tid": "a", "vist": "b"}, {"tid": "b", "vist": "a"}, {"tid": "b", "vist": "z"}]
    assert derive('{ expression = "coalesce(b, 0) + 1" }', rows, more=more) == ["3", "5", "5"]
    assert derive('{ count = "rows", by = ["c"] }', rows, more=more) == ["1", "2", "2"]


TABLES = """
[derived_tables.leveranse]
rows = "delivery"
[derived_tables.leveranse.columns]
antall = { count = "ting" }
store = { count = "ting", where = "n > 5" }
personer = { count = "ting", distinct = "person" }
andel = { share = "ting", where = "n > 5" }
i_fjor = { last_year = "count", of = "ting" }
prosent = { expression = "andel * 100" }
[derived_tables.type]
rows = { codes = "liste", key = "code", as = "kode" }
[derived_tables.type.columns]
navn = { lookup = "liste", on = "kode", value = "navn" }
antall = { count = "ting", match = "kode", distinct = "person" }
i_fjor = { last_year = "count", of = "ting", match = "kode", where = "n > 0" }
"""


def shown(over, names, rows, **more):
    rules = desk.rule("true = false", more=f"over: {over}\nshows: [{', '.join(names)}]")
    report = desk.judge(desk.collection(rules, TABLES), ting=rows, **more)
    assert not report.culprits
    return [
        (found["row"], found["value"], found["shown"])
        for found in report.findings.table.to_pylist()
        if found["rule"] == "K900"
    ]


def test_the_delivery_is_one_row_that_counts_and_shares():
    rows = ting("0 01 - - 6\n0 01 - - 1\n1 01 - - -\n- 01 - - 9")
    names = ["antall", "store", "personer", "andel", "prosent"]
    assert shown("leveranse", names, rows) == [(None, None, ["4", "2", "2", "0.7", "66.7"])]
    assert shown("leveranse", ["andel", "antall"], []) == [(None, None, [None, "0"])]
    assert shown("leveranse", ["i_fjor"], [], last_year={"ting": rows}) == [(None, None, ["4"])]


def test_a_code_has_a_row_even_when_nobody_uses_it():
    """K101: a type with users last year and none now."""
    rows, past = ting("0 01 - - 1\n0 01 - - 1\n1 01 - - 1"), {"ting": ting("0 02 - - 1\n0 02 - - 0")}
    assert shown("type", ["navn", "antall", "i_fjor"], rows, last_year=past) == [
        (None, "01", ["en", "2", "0"]),
        (None, "02", ["to", "0", "1"]),
    ]


@pytest.mark.parametrize(
    ("declaration", "code"),
    [
        ("x = 3", "derived_kind"), ("x = {}", "derived_kind"), ("x = { finnesikke = 1 }", "derived_kind"),
        ('x__y = { expression = "n" }', "derived_name"), ('n = { expression = "d" }', "derived_name"),
        ('x = { lag = "til", by = ["tid"] }', "derived_missing"), ('x = { count = "rows", by = ["tid"], order = "n" }', "derived_key"),
        ('x = { count = "rows", by = ["finnesikke"] }', "field"), ('x = { count = "andre", by = ["tid"] }', "derived_subject"),
        ('x = { lookup = "ting", on = "n", key = "tid", value = "n" }', "derived_key"), ('x = { lookup = "liste", on = "kode", value = "nei" }', "field"),
        ('x = { lookup = "liste", on = "kode", value = "navn", key = "nei" }', "field"), ('x = { exists = "nei", on = "tid" }', "no_list"),
        ('x = { exists = "liste", on = ["kode", "tekst"], key = ["code"] }', "derived_key"),
        ('x = { exists = "liste", on = "kode", where = "n = 1" }', "derived_key"),
        ('x = { sum = "tekst", by = ["tid"] }', "derived_subject"), ('x = { lag = "n", by = ["tid"], order = "fra", open_ended = true }', "derived_subject"),
        ('x = { overlap = "rows", by = ["tid"], from = "n", to = "til" }', "derived_subject"),
        ('x = { last_year = "rows", by = ["kode"] }', "derived_subject"), ('x = { expression = "n +" }', "syntax"),
        ('x = { expression = "n; drop table ting" }', "word"), ('x = { count = "rows", by = ["tid"], where = "n" }', "not_boolean"),
        ('x = { expression = "finnesikke" }', "field"),
    ],
)  # fmt: skip
def test_a_declaration_that_cannot_be_made_is_refused_at_its_line(declaration, code):
    layout = f"{desk.LAYOUT}\n[ting.derived]\n{declaration}"
    with pytest.raises(DefinitionRefused) as caught:
        desk.judge(desk.collection(desk.rule("n = 1"), layout=layout))
    assert caught.value.code == f"rules.{code}"
    assert caught.value.params["line"] == layout.count("\n") + 1
    assert code != "no_list" or "codes/nei.csv" in caught.value.render("nb").found


def test_columns_that_go_in_a_circle_are_refused_with_the_circle_named():
    declared = (
        '[ting.derived]\na = { expression = "b + 1" }\nb = { count = "rows", by = ["c"] }\nc = { expression = "a" }'
    )
    with pytest.raises(DefinitionRefused) as caught:
        desk.judge(desk.collection(desk.rule("n = 1"), declared))
    assert caught.value.code == "rules.circle"
    assert caught.value.params["circle"] == "ting.a → ting.b → ting.c → ting.a"
    assert caught.value.params["line"] > 100


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ('[derived_tables.t]\nrows = "alle"', "derived_rows"), ("[derived_tables.t]\nrows = { codes = 'liste' }", "derived_rows"),
        ('[derived_tables.t]\nrows = "delivery"\n[derived_tables.t.columns]\nx = { lag = "til" }', "derived_kind"),
        ('[derived_tables.t]\nrows = "delivery"\n[derived_tables.t.columns]\nx = { lag = "til", by = ["n"], order = "n" }', "derived_kind"),
        ('[derived_tables.t]\nrows = "delivery"\n[derived_tables.t.columns]\nx = { count = "nei" }', "derived_subject"),
        ('[derived_tables.t]\nrows = "delivery"\n[derived_tables.t.columns]\nx = { share = "ting" }', "derived_missing"),
        ('[derived_tables.t]\nrows = "delivery"\n[derived_tables.t.columns]\nx = { count = "ting", match = "kode" }', "derived_key"),
        ('[derived_tables.t]\nrows = "delivery"\n[derived_tables.t.columns]\nx = { count = "ting", distinct = "nei" }', "field"),
        ('[derived_tables.t]\nrows = "delivery"\n[derived_tables.t.columns]\nx = { lookup = "nei", on = "y", value = "z" }', "no_list"),
        ('[derived_tables.t]\nrows = { codes = "nei", key = "code", as = "kode" }', "no_list"),
        ('[derived_tables.t]\nrows = { codes = "liste", key = "nei", as = "kode" }', "derived_rows"),
        ('[derived_tables.t]\nrows = { codes = "liste", key = "code", as = "kode" }\n[derived_tables.t.columns]\nx = { lookup = "nei", on = "kode", value = "z" }', "no_list"),
        ('[derived_tables.t]\nrows = "delivery"\n[derived_tables.t.columns]\nx = { lookup = "ting", on = "y", value = "z" }', "derived_subject"),
    ],
)  # fmt: skip
def test_a_derived_table_that_cannot_be_made_is_refused(table, code):
    with pytest.raises(DefinitionRefused) as caught:
        desk.judge(desk.collection(desk.rule("n = 1"), table))
    assert caught.value.code == f"rules.{code}"


@pytest.mark.parametrize(
    ("declared", "code"),
    [
        ("[derived_tables.t]", "derived_rows"),
        ('[person.derived]\nalder = { expression = "1" }', "derived_name"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands_and_not_where_its_name_stands_before(declared, code):
    layout = f"{desk.LAYOUT}\n{declared}"
    with pytest.raises(DefinitionRefused) as caught:
        desk.judge(desk.collection(desk.rule("n = 1"), layout=layout))
    assert caught.value.code == f"rules.{code}"
    assert caught.value.params["line"] == layout.count("\n") + 1
