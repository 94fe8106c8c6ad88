"""The rule language: what an expression may say, and that nothing else reaches an engine."""

import re

import pytest
from tests.validation import desk

from ipis.kernel.errors import DefinitionRefused
from ipis.validation import language
from ipis.validation.position import Place
from ipis.validation.terms import ColumnInfo, Operation, Schema, Type, columns_of

COLUMNS = {
    "n": ColumnInfo(Type.INT, flagged=True), "d": ColumnInfo(Type.DEC), "tekst": ColumnInfo(Type.TEXT),
    "fra": ColumnInfo(Type.DATE), "til": ColumnInfo(Type.DATE), "tid": ColumnInfo(Type.ID), "vist": ColumnInfo(Type.ID),
    "ja": ColumnInfo(Type.BOOL), "A1": ColumnInfo(Type.TEXT), "A2": ColumnInfo(Type.TEXT),
}  # fmt: skip
SCHEMA = Schema("ting", COLUMNS, {"A": ("A1", "A2")}, {"aargang": ColumnInfo(Type.INT)})


def parse(text, *, value=False):
    place = Place("rules/x.yaml", 4, 12, text, text)
    return (language.parse_value if value else language.parse)(text, SCHEMA, place)


def refusal(text):
    with pytest.raises(DefinitionRefused) as caught:
        parse(text)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        "n = 1", "n <> 1 and (tekst = 'a' or not ja)", "n between 1 and 2.5", "tekst in ('a', 'b')", "n not in (1, 2)",
        "fra <= date '2017-12-31'", "fra - til > 30", "fra + 30 > til", "year(fra) = uttrekk.aargang", "n is null",
        "n is not null", "tid = vist", "tid <> vist", "tid is null", "abs(n - 3) < 2", "length(tekst) = 2", "-n < 0",
        "coalesce(n, 0) * 60 / d > 1.5", "filled(A) >= 1", "all_equal(A)", "matches(tekst, '[A-Z][0-9]{2,4}|Z?')", "true", "ja",
        "not not ja", "n = 1\n and n = 2", "tekst = 'a -- b'", "tekst = '/*'", "tekst = 'it''s'",
    ],
)  # fmt: skip
def test_the_language_says_what_rules_need(text):
    assert parse(text).type is Type.BOOL


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("n = 1 order by n", "word"), ("n = 1 limit 3", "word"), ("n = 1 union select 1", "word"), ("n = 1; n = 2", "word"),
        ("n = 1; drop table x", "word"), ("n in (select 1)", "word"), ("exists(select 1)", "word"), ("(select n) = 1", "word"),
        ("n = 1 -- and more", "comment"), ("-- all\nn = 1", "comment"), ("n /* x */ = 1", "comment"), ("n = 1 /*", "syntax"),
        ("cast(n as text) = '1'", "function"), ("n::text = '1'", "word"), ("try_cast(n as int) = 1", "function"),
        ("case when n = 1 then true end", "word"), ("n = $1", "field"), ("n = ?", "word"), ("n = :a", "word"),
        ("tekst like 'a%'", "word"), ("tekst ilike 'a%'", "word"), ("n is distinct from 2", "word"), ("n = 1 as x", "word"),
        ("read_csv('/etc/passwd') is null", "function"), ("getenv('HOME') = 'x'", "function"), ("random() < 1", "function"),
        ("sum(n) over () = 1", "function"), ("count(*) = 1", "function"), ("now() = fra", "function"), ("current_date = fra", "word"),
        ('"n" = 1', "quoted"), ("n[1] = 2", "word"), ("n = 1 collate x", "word"), ("tekst || 'a' = 'b'", "word"),
        ("filled(B) = 1", "family"), ("filled(n) = 1", "family"), ("filled(A, A) = 1", "function"), ("filled(1) = 1", "function"),
        ("finnesikke = 1", "field"), ("uttrekk.finnesikke = 1", "field"), ("andre.n = 1", "field"), ("a.b.n = 1", "word"),
        ("N = 1", "field"), ("n = 'a'", "type"), ("tekst = 1", "type"), ("fra = '2017-01-01'", "type"), ("tid = 'a'", "type"),
        ("tid < vist", "type"), ("tid between vist and vist", "type"), ("n and ja", "type"), ("not n", "type"), ("fra + fra > fra", "type"),
        ("abs(fra) = 1", "type"), ("year(n) = 1", "type"), ("length(n) = 1", "type"), ("-tekst = 1", "type"), ("n", "not_boolean"),
        ("matches(n, 'a')", "type"), ("matches(tekst, '(a+)+')", "pattern"), ("matches(tekst, tekst)", "pattern"), ("matches(tekst)", "function"),
        ("fra = date '2017-02-30'", "date"), ("n = 1234567890", "number"), ("n = 1e5", "number"), ("n = 0x10", "number"),
        ("n in (1, n)", "list"), ("n in ()", "list"), ("n in ('a')", "type"), ("n is true", "is_null"), ("(n + 1) is null", "is_null"),
        ("coalesce(n + 1, 0) = 1", "coalesce"), ("coalesce(n, 0, 1) = 1", "coalesce"), ("coalesce(n, 'a') = 1", "type"),
        ("date(fra) = fra", "word"), ("*", "word"), ("n = 'a", "syntax"), ("", "syntax"), ("   ", "syntax"), ("n = = 1", "syntax"),
        ("n = 1, n = 2", "syntax"), ("(" * 60 + "ja" + ")" * 60, "too_long"), ("not " * 60 + "ja", "too_long"),
        ("n = 1 and " * 150 + "ja", "too_long"), ("n = " + "1" * 3000, "too_long"),
    ],
)  # fmt: skip
def test_everything_else_is_refused_with_its_reason(text, code):
    """No statement, subquery, cast, comment, window, parameter or file function gets past the reader."""
    assert refusal(text).code == f"rules.{code}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ja and read_csv(tekst)", "kolonne 19: funksjonen «read_csv» finnes ikke"),
        ("n = 1 and 0x10 = 2", "kolonne 22: tallet er for langt eller skrevet på en annen måte"),
        ("n = 1 tekst", "kolonne 18: «tekst» hører ikke til regelspråket"),
        ("n = 'a'", "en verdi av typen «tekst» passer ikke her"),
        ("tid < vist", "en verdi av typen «id» passer ikke her"),
        ("n", "uttrykket gir «heltall»"),
        ("n = 'a", "(et anførselstegn er ikke lukket)"),
        ("(n = 1", "(en parentes er ikke lukket)"),
        ("n = = 1", "(noe mangler eller står på feil sted)"),
        ("", "(det er tomt)"),
    ],
)
def test_a_refusal_reads_in_the_language_of_its_reader_and_in_its_authors_words(text, said):
    error = refusal(text)
    assert said in error.render("nb").found
    everything = " ".join(str(part) for language in ("nb", "nn") for part in vars_of(error.render(language)))
    assert not re.search(r"\b(number|text|expected|expression|alias|readcsv|quote|value)\b", everything), everything


def vars_of(text):
    return text.found, text.expected, text.do


@pytest.mark.parametrize(
    ("text", "column"),
    [("n = 1 and finnesikke = 2", 22), ("n = 1 limit 3", 18), ("n = 1 and tekst = 5", 22), ("n = = 1", 16)],
)
def test_an_error_names_file_line_and_column(text, column):
    error = refusal(text)
    assert (error.params["file"], error.params["line"], error.params["column"]) == ("rules/x.yaml", 4, column)


@pytest.mark.parametrize(
    ("style", "line", "column"),
    [
        ("  require: n = 1 and feil = 2", 2, 22),
        ("  require: 'n = 1 and feil = 2'", 2, 23),
        ('  require: "n = 1 and feil = 2"', 2, 23),
        ("  require: 'kode = ''01'' and feil = 2'", 2, 31),
        ("  require: >-\n    n = 1\n    and feil = 2", 4, 9),
        ("  require: |\n    n = 1\n\n      and feil = 2", 5, 11),
        ("  require: n = 1\n    and feil = 2", 3, 9),
    ],
)
def test_positions_hold_in_every_way_of_writing_yaml(style, line, column):
    text = f"- id: K900\n{style}\n  record: ting\n  level: feil\n  effect: behold\n  message:\n{desk.MESSAGE}\n  examples: {{passes: [{{}}], breaks: [{{}}]}}\n"
    with pytest.raises(DefinitionRefused) as caught:
        desk.judge(desk.collection(text))
    assert (caught.value.code, caught.value.params["line"], caught.value.params["column"]) == (
        "rules.field",
        line,
        column,
    )


def test_between_and_not_are_made_of_what_is_there():
    term = parse("n not between 1 and 2")
    assert isinstance(term, Operation)
    assert [column.name for column in columns_of(term)] == ["n"]


@pytest.mark.parametrize(
    ("text", "of"),
    [
        ("n + 1", Type.INT),
        ("n + d", Type.NUM),
        ("n * n", Type.NUM),
        ("fra - til", Type.INT),
        ("fra - 1", Type.DATE),
        ("filled(A)", Type.INT),
    ],
)
def test_arithmetic_has_a_type_that_cannot_overflow(text, of):
    assert parse(text, value=True).type is of


def test_each_type_says_what_it_is():
    assert all(kind.__doc__ and kind.value for kind in Type)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a.b.n = 1", "a.b.n"), ("* = 1", "*"), ("n.* = 1", "n.*"), ("abs(*) = 1", "*"), ("(n, d) = 1", ","), ("true.n", "."), ("n in 1", "in"),
        ("n = null", "null"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named_as_its_author_wrote_it(text, word):
    error = refusal(text)
    assert (error.code, error.params["word"]) == ("rules.word", word)


@pytest.mark.parametrize("text", ['"n" = 1', 'tekst = "a"', 'uttrekk."aargang" = 2017'])
def test_that_it_is_the_quotes_is_said(text):
    error = refusal(text)
    assert error.code == "rules.quoted"
    assert "anførselstegn" in error.render("nb").found


@pytest.mark.parametrize(("text", "same"), [("n == 1", "n = 1"), ("n != 1", "n <> 1")])
def test_equal_and_unequal_may_be_written_as_programmers_do(text, same):
    """docs/spec/rules.md §3."""
    assert parse(text) == parse(same)
