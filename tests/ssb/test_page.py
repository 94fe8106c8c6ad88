"""The page: root causes as cards, all tables and figures with why they are empty, plots with words; nothing hidden."""

import io
import re
from dataclasses import replace

import lxml.html
import openpyxl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.ssb.test_feilliste import DEAD, answer, findings, keys, made_of
from tests.ssb.test_package import contents

from ipis.kernel.collection import DefinitionFolder, load
from ipis.kernel.errors import LANGUAGES
from ipis.ssb.feedback.cells import HIDDEN, numbers, without_numbers
from ipis.ssb.feedback.feilliste import Keyed, make_feilliste
from ipis.ssb.feedback.package import INDICATORS, render_files
from ipis.ssb.feedback.page import STARTS
from ipis.ssb.feedback.plots import plots
from ipis.ssb.tables.compare import Sides, compare
from ipis.ssb.tables.compute import CELLS
from ipis.ssb.tables.definition import load_tables
from ipis.ssb.tables.indicators import IndicatorResult

NUMBER = "01815012352"
"""A synthetic identity number: month + 80."""


@pytest.fixture(scope="module")
def collection():
    return load(DefinitionFolder.packaged("iplos", 2017))


def cells_of(collection, *given):
    """CELLS of (table, keys, value), each of its table's first measure unless it is named after the value."""
    first = {table.id: table.measures[0].id for table in load_tables(collection)}
    rows = [
        (table, *(*codes, "", "", "")[:3], measure[0] if measure else first[table], float(value))
        for table, codes, value, *measure in given
    ]
    return pa.table([pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), CELLS, strict=True)], schema=CELLS)


@pytest.fixture(scope="module")
def full(collection):
    """Tables with somebody in them: this year, last year, the nation."""
    this = cells_of(
        collection,
        ("T03", ("1", "80"), 12), ("T03", ("2", "80"), 1234), ("T05", ("01",), 7), ("T05", ("15",), 70),
        ("T17", ("helse", "noe"), 6), ("T17", ("helse", "omfattende"), 2), ("T21", (), 10), ("T21", (), 55.25, "lege"),
    )  # fmt: skip
    before = cells_of(collection, ("T05", ("01",), 9), ("T03", ("2", "80"), 1300))
    return compare(load_tables(collection), Sides(this, last_year=before), None)


def page_of(made):
    return lxml.html.document_fromstring(render_files(made)["tilbakemelding.html"].decode())


def words(page, path):
    return [" ".join(found.text_content().split()) for found in page.xpath(path)]


def test_a_card_is_a_root_cause_and_names_what_goes_away_with_it(collection):
    """Two persons who are dead, five findings: one thing to look at."""
    rows = [("K035", "person", n, "dodsDato") for n in (1, 2)]
    rows += [("K036", "tjeneste", n, "sluttDato") for n in (1, 1, 2)]
    page = page_of(contents(collection, made_of(*rows, problems=DEAD)))
    (card,) = words(page, "//div[@id='p1']")
    assert "2 problemer · 5 funn · 2 personer" in card
    assert "Når dette er rettet, faller også bort: K036 (3)." in card
    assert page.xpath("//div[@id='p2']") == []
    tiles = words(page, "//ul[@class='tally']/li")
    assert tiles[0] == "Må rettes2 problemer5 funn, 2 personer"


def test_the_first_screen_lists_the_most_and_says_how_many_more(collection):
    """No silent cap: what is not on the first screen is counted there, and stands below."""
    rows = [(f"K1{n:02}", "tjeneste", n, "") for n in range(STARTS + 3)]
    page = page_of(contents(collection, made_of(*rows, known=20)))
    assert len(page.xpath("//table[@class='start']/tbody/tr")) == STARTS
    assert any("3 andre slags problemer" in text for text in words(page, "//div[@class='begin']/p"))
    links = [link.get("href") for link in page.xpath("//table[@class='start']//a")]
    assert all(page.xpath(f"//*[@id='{link[1:]}']") for link in links)
    assert len(page.xpath("//div[starts-with(@class, 'rule')]")) == STARTS + 3


def test_every_link_on_the_page_leads_somewhere(collection, full):
    """Inside the page, or to the guide's place of the rule."""
    made = contents(collection, made_of(("K063", "tjeneste", 0, "")), tables=full, guide="http://ssb.test/veiledning")
    page = page_of(made)
    inside = [link for link in page.xpath("//a/@href") if link.startswith("#")]
    assert all(page.xpath(f"//*[@id='{link[1:]}']") for link in inside)
    assert {link for link in page.xpath("//a/@href") if link[0] != "#"} == {"http://ssb.test/veiledning#K063"}


def test_the_sums_by_rule_on_the_page_and_in_the_workbook_are_the_list(collection):
    """Whatever is shown adds up to what there is."""
    made = contents(
        collection, made_of(("K063", "tjeneste", 0, ""), ("K063", "tjeneste", 1, ""), ("K066", "tjeneste", 2, ""))
    )
    files = render_files(made)
    page = lxml.html.document_fromstring(files["tilbakemelding.html"].decode())
    lines = [words(row, "./*") for row in page.xpath("//h2[@id='regler']/following-sibling::details[1]//tr")]
    assert [line[4] for line in lines[1:]] == ["2", "1", "3"]
    sheet = openpyxl.load_workbook(io.BytesIO(files["feilliste.xlsx"]))["Regler"]
    assert [sheet.cell(row, 6).value for row in (4, 5)] == [2, 1]


def test_what_was_answered_is_apart_with_the_answer(collection):
    """It is neither a task nor gone."""
    answers = answer(("K063", "tjeneste", "B0", "T0", "", "Stemmer med journalen", 2017))
    page = page_of(contents(collection, made_of(("K063", "tjeneste", 0, ""), answers=answers)))
    assert "Stemmer med journalen" in words(page, "//div[@class='rule answered']")[0]
    assert "Ingenting. Vi fant ingenting å rette." in words(page, "//section[@aria-labelledby='now']")[0]
    assert page.xpath("//table[@class='start']") == []


def test_every_control_table_stands_with_its_figures_or_its_reason(collection, full):
    """Also when there are errors; what nobody is in is counted and pointed to."""
    page = page_of(contents(collection, made_of(), tables=full))
    shown = {each.get("id"): each for each in page.xpath("//details[@class='table']")}
    assert sorted(shown) == sorted(table.definition.id for table in full)
    (table,) = shown["T05"].xpath(".//table")
    assert words(table, "./thead//th") == ["Tjeneste", "Denne innsendingen", "I fjor", "Endring"]
    assert [words(row, "./*")[1:] for row in table.xpath("./tbody/tr")] == [["7", "9", "\u22122"], ["70", "0", "70"]]
    text = " ".join(words(shown["T05"], "."))
    assert re.search(r"Linjer uten noen i år og i fjor er utelatt her \(\d+\)", text)
    assert "Landet: vises når tallene er publisert." in text
    assert "kontrolltabeller.csv" in " ".join(words(shown["T01"], "."))
    assert "1\u202f234" in " ".join(shown["T03"].text_content().split("\n"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_plots_say_in_words_what_they_draw(collection, full, language):
    """Four plots, each a picture with a name, a description and a table that holds its figures."""
    page = page_of(contents(collection, made_of(), language, tables=full))
    pictures = page.xpath("//figure//svg[@role='img']")
    assert len(pictures) == 4
    for picture in pictures:
        named = [picture.xpath(f".//*[@id='{part}']")[0].text for part in picture.get("aria-labelledby").split()]
        assert all(named)
        assert picture.xpath("ancestor::figure//figcaption//a[starts-with(@href, '#T')]")
    told = " ".join(desc.text for desc in page.xpath("//figure//desc"))
    assert ("1,234" if language == "en" else "1\u202f234") in told
    assert "75 %" in told


def test_a_long_plot_tells_the_greatest_and_the_nation_is_a_mark(collection):
    """Thirty sentences read aloud tell nobody anything; the table has them all."""
    codes = ["01", "02", "03", "04", "05", "06", "07", "08", "09", "11", "12", "13", "15", "16"]
    this = cells_of(collection, *(("T05", (code,), n + 1) for n, code in enumerate(codes)), ("T21", (), 40, "lege"))
    nation = cells_of(collection, ("T21", (), 62.25, "lege"))
    page = page_of(contents(collection, made_of(), tables=compare(load_tables(collection), Sides(this), nation)))
    bars, shares = (page.xpath(f"//*[@id='{name}-d']")[0].text for name in ("tjenester", "kartlagt"))
    assert bars.startswith("De største:")
    assert bars.count(":") == 6
    assert "40 % (Landet: 62 %)" in shares
    assert page.xpath("//*[local-name()='rect'][@class='n']")


def test_a_plot_without_anybody_is_left_out(collection):
    """An empty picture would say that something is broken."""
    made = contents(collection, made_of())
    assert plots(made.texts, made.figures()) == []


def indicator(name, value, corrected, group="", reason=None):
    return IndicatorResult(
        id=name, group=group, title=dict.fromkeys(LANGUAGES, f"tittel {name}"),
        group_label=dict.fromkeys(LANGUAGES, f"gruppe {group}"), unit=dict.fromkeys(LANGUAGES, "prosent"), decimals=1,
        value=value, numerator=1.0, denominator=2.0, if_corrected=corrected, open_findings=3, last_year=None, nation=None,
        reason=reason,
    )  # fmt: skip


def test_the_indicators_show_what_the_open_findings_do(collection):
    """Value, value if corrected, open findings; why where there is none."""
    rows = (
        indicator("N01", 12.345, 13.0), indicator("N03", 1.0, 1.0, group="80"),
        indicator("N22", None, None, reason="no_population"),
    )  # fmt: skip
    files = render_files(contents(collection, made_of(), indicators=rows))
    page = lxml.html.document_fromstring(files["tilbakemelding.html"].decode())
    lines = [words(row, "./*") for row in page.xpath("//h2[@id='tall']/following-sibling::div[1]//tbody/tr")]
    assert lines[0] == ["N01", "tittel N01 (prosent)", "12,3", "13,0", "3"]
    assert "gruppe 80" in lines[1][1]
    assert "Folketall mangler" in lines[2][1]
    assert "12,3" in files[INDICATORS].decode("utf-8-sig")
    sheet = openpyxl.load_workbook(io.BytesIO(files["feilliste.xlsx"]))["Nøkkeltall"]
    assert sheet.cell(4, 4).value == 12.345


def test_one_of_several_wordings_is_told_as_an_example(collection):
    """A heading that names one service would say that all findings are about it."""
    made = made_of(
        *(("K063", "tjeneste", row, "") for row in range(2)), before=[("K075", "tjeneste", n, "") for n in (3, 4)]
    )
    worded = pc.binary_join_element_wise(made["found"], made["id"], " ")
    files = render_files(contents(collection, made.set_column(made.schema.get_field_index("found"), "found", worded)))
    page = lxml.html.document_fromstring(files["tilbakemelding.html"].decode())
    assert all(each.startswith("For eksempel: ") for each in words(page, "//div[@class='rule fixed']/p[1]"))
    told = [words(row, "./*")[2] for row in page.xpath("//h2[@id='regler']/following-sibling::details[1]//tbody/tr")]
    sheet = openpyxl.load_workbook(io.BytesIO(files["feilliste.xlsx"]))["Regler"]
    assert len(told) == 2
    assert all(each.startswith("For eksempel: ") for each in (*told, sheet.cell(4, 3).value, sheet.cell(5, 3).value))


def test_a_figure_that_is_empty_for_all_indicators_has_its_reason_in_the_files_too(collection):
    """The page says it under the table; a file of figures alone says it in its rows."""
    rows = (indicator("N01", 12.3, 13.0), indicator("N22", None, None, reason="no_population"))
    files = render_files(contents(collection, made_of(), indicators=rows))
    lines = files[INDICATORS].decode("utf-8-sig").splitlines()
    absent = "I fjor: det finnes ingen innsending å sammenligne med. Landet: vises når tallene er publisert."
    assert absent in lines[1]
    assert f"Folketall mangler. {absent}" in lines[2]
    sheet = openpyxl.load_workbook(io.BytesIO(files["feilliste.xlsx"]))["Nøkkeltall"]
    assert sheet.cell(4, 9).value == absent


def test_no_identity_number_reaches_a_file_whatever_field_it_stood_in(collection, full):
    """It is refused long before; if one slips into a value, an answer or a table's key, it goes no further."""
    spaced = f"{NUMBER[:6]} {NUMBER[6:]}"
    rows = findings(*(("K059", "tjeneste", n, "kode") for n in range(3)))
    for name, values in (
        ("value", [NUMBER, spaced, f"x{NUMBER}y"]),
        ("found", [f"Kode {NUMBER} finnes ikke.", spaced, ""]),
    ):
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values))
    answers = answer(("K059", "tjeneste", "B0", "T0", "kode", f"Det er {NUMBER[:6]}-{NUMBER[6:]}", 2017))
    listed = make_feilliste(Keyed(rows, {"tjeneste": keys(*((f"B{n}", f"T{n}") for n in range(3)))}), None, answers)
    hostile = compare(
        load_tables(collection), Sides(cells_of(collection, ("T16", (NUMBER,), 3), ("T05", (NUMBER,), 3)))
    )
    files = render_files(contents(collection, listed, tables=hostile))
    book = openpyxl.load_workbook(io.BytesIO(files["feilliste.xlsx"]))
    shown = [content.decode() for name, content in files.items() if not name.endswith(".xlsx")]
    shown += [str(cell.value) for sheet in book.worksheets for row in sheet.iter_rows() for cell in row]
    digits = [re.sub(r"[ .\-]", "", text) for text in shown]
    assert not any(NUMBER in text for text in digits)
    assert sum(HIDDEN in text for text in shown) > 3


def test_dates_and_organisation_numbers_are_not_hidden():
    """Eight, nine and ten digits are what they are."""
    plain = pa.array(["28.02.2017", "2017-02-28", "987654321", "2018-01-02 08:00:00", "987654321.", None])
    assert without_numbers(plain).to_pylist() == plain.to_pylist()


@pytest.mark.parametrize(("language", "written"), [("nb", "\u22121\u202f234\u202f567,9"), ("en", "\u22121,234,567.9")])
def test_numbers_are_written_as_the_language_does(language, written):
    """Thousands, decimals and minus."""
    made = numbers(pa.array([-1234567.89, 999.0, None, 1000.0, 0.0]), pa.array([1, 0, 0, 0, 2], pa.int8()), language)
    thousand, nought = ("1,000", "0.00") if language == "en" else ("1\u202f000", "0,00")
    assert made.to_pylist() == [written, "999", "", thousand, nought]


def test_hostile_text_is_text_on_the_page(collection):
    """In a cell, a heading, a label: nothing becomes markup."""
    evil = "<script>alert(1)</script>"
    rows = findings(("K063", "tjeneste", 0, "sluttDato"))
    for name in ("value", "found", "do", "expected"):
        rows = rows.set_column(rows.column_names.index(name), name, pa.array([evil]))
    listed = make_feilliste(Keyed(rows, {"tjeneste": keys((evil, evil))}), None)
    made = replace(contents(collection, listed), kommune_name=evil)
    text = render_files(made)["tilbakemelding.html"].decode()
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 5
