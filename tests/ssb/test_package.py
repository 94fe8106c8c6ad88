"""The package: named as in the letter, readable by what a municipality has, opened by its PIN alone."""

import csv
import io
import re
import subprocess
from datetime import UTC, datetime

import lxml.html
import openpyxl
import pyarrow as pa
import pytest
from tests.ssb.test_feilliste import findings, keys

from ipis.kernel.collection import DefinitionFolder, load
from ipis.kernel.errors import LANGUAGES, DefinitionRefused
from ipis.kernel.secret import Secret
from ipis.ssb.feedback.cards import SHOWN
from ipis.ssb.feedback.contents import Contents
from ipis.ssb.feedback.feilliste import STORED, Keyed, make_feilliste
from ipis.ssb.feedback.package import close_zip, render_files, zip_name
from ipis.ssb.feedback.texts import load_texts
from ipis.ssb.tables.compare import Sides, compare
from ipis.ssb.tables.compute import CELLS
from ipis.ssb.tables.definition import load_tables

AT = datetime(2018, 1, 2, 9, 30, tzinfo=UTC)
PIN = Secret("PIN0PIN0PIN0PIN0")


@pytest.fixture(scope="module")
def collection():
    """The newest year as shipped."""
    return load(DefinitionFolder.packaged("iplos", 2017))


def contents(collection, feilliste, language="nb", phase="open", made_at=AT, **changes):
    """Make the contents of a feedback to Hamar."""
    tables = compare(load_tables(collection), Sides(CELLS.empty_table()))
    values = {"kommune_name": "Hamar", "bydel": "00", "sequence": 2, "tables": tables} | changes
    return Contents(
        kommune="0403",
        year=2017,
        forsendelse="ab" * 16,
        phase=phase,
        arrived_at=AT,
        made_at=made_at,
        corrections_until=collection.window.corrections_until,
        address="iplos@ssb.no",
        short_code="ABCDEFGHJKMN",
        pack_version=1,
        feilliste=feilliste,
        record_labels={"tjeneste": "Tjeneste"},
        field_labels={("tjeneste", "sluttDato"): "Tjeneste stopp"},
        texts=load_texts(collection, language),
        **values,
    )


@pytest.fixture(scope="module")
def many():
    """More findings of one rule than the page lists."""
    rows = range(SHOWN + 5)
    stored = findings(*(("K063", "tjeneste", row, "sluttDato") for row in rows))
    return make_feilliste(Keyed(stored, {"tjeneste": keys(*((f"=B{row}", f"T{row}") for row in rows))}), None)


def test_the_zip_is_named_as_in_the_letter():
    """`040300_iplos_tilbakemelding_20180102.zip` (L17 §4.5), a second one the same Norwegian day ends in -2."""
    assert zip_name("iplos", "0403", "00", AT, 0) == "040300_iplos_tilbakemelding_20180102.zip"
    assert zip_name("iplos", "0403", "00", AT, 1) == "040300_iplos_tilbakemelding_20180102-2.zip"
    late = datetime(2018, 1, 2, 23, 30, tzinfo=UTC)
    assert zip_name("iplos", "0403", "00", late, 0) == "040300_iplos_tilbakemelding_20180103.zip"


@pytest.mark.parametrize("language", ["nb", "nn", "en"])
def test_the_list_is_whole_in_every_file_and_the_page_says_what_it_leaves_out(collection, many, language):
    """No silent cap: CSV and workbook hold every finding, the page names how many it does not list."""
    files = render_files(contents(collection, many, language))
    listed = list(csv.DictReader(io.StringIO(files["feilliste.csv"].decode("utf-8-sig")), delimiter=";"))
    assert len(listed) == many.num_rows
    assert listed[0]["brukerNr"].startswith("'=")
    book = openpyxl.load_workbook(io.BytesIO(files["feilliste.xlsx"]))
    assert book.worksheets[1].max_row == many.num_rows + 1
    assert [book.worksheets[1].cell(2, column).value for column in (3, 5)] == ["=B0", "T0"]
    assert book.worksheets[1].freeze_panes == "D2"
    assert all(cell.data_type != "f" for row in book.worksheets[1].iter_rows() for cell in row)
    page = lxml.html.document_fromstring(files["tilbakemelding.html"].decode())
    assert page.get("lang") == language
    assert len(page.xpath("//div[@id='p1']//tbody/tr")) == SHOWN
    assert str(many.num_rows) in page.xpath("//details")[0].text_content()


def test_the_page_needs_nothing_beside_it(collection, many):
    """No script, no address to load from."""
    text = render_files(contents(collection, many))["tilbakemelding.html"].decode()
    assert not re.search(r"<script|<link|<img|src=|@import|url\(", text)


def test_a_clean_delivery_says_that_nothing_is_to_do(collection):
    """A tired reader gets one sentence."""
    none = make_feilliste(Keyed(findings(), {}), None)
    page = render_files(contents(collection, none))["tilbakemelding.html"].decode()
    assert "Ingenting. Vi fant ingenting å rette." in page
    assert "<ol>" not in page


def feilliste_of(*rows):
    """A feilliste of (rule, level, record, row, found)."""
    full = [
        (rule, level, "behold", record, row, "", None, found, "ventet", "gjør", 1)
        for rule, level, record, row, found in rows
    ]
    columns = zip(*full, strict=True)
    stored = pa.table([pa.array(c, f.type) for c, f in zip(columns, STORED, strict=True)], schema=STORED)
    known = keys(*((f"B{n}", f"T{n}") for n in range(9)))
    return make_feilliste(Keyed(stored, {"tjeneste": known}), None)


ERROR, WARNING = ("K063", "feil", "tjeneste", 0, "slutt før start"), ("K048", "advarsel", "tjeneste", 1, "to ganger")


@pytest.mark.parametrize(
    ("rows", "steps"),
    [
        ([ERROR, WARNING], ["Rett det som står", "Se gjennom advarslene", "Ta nytt uttrekk"]),
        ([ERROR], ["Rett det som står", "Ta nytt uttrekk"]),
        ([WARNING], ["Se gjennom funnene", "Retter du noe"]),
    ],
)
def test_what_to_do_stands_first_and_step_by_step(collection, rows, steps):
    """Nothing is asked for that is not there; the last day is the last day, not the midnight after it."""
    page = render_files(contents(collection, feilliste_of(*rows)))["tilbakemelding.html"].decode()
    said = [item.text_content() for item in lxml.html.document_fromstring(page).xpath("//ol/li")]
    assert [line.startswith(step) for line, step in zip(said, steps, strict=True)] == [True] * len(steps)
    assert "til og med 21.03.2018" in said[-1]
    assert page.index("<ol>") < page.index("<dl>")


def test_after_the_correction_date_nobody_is_asked_to_send_again(collection):
    """It would be work for nothing."""
    over = contents(collection, feilliste_of(ERROR), phase="closed", made_at=collection.window.corrections_until)
    assert over.todo()[-1].startswith("Rettefristen var 21.03.2018.")


def test_findings_with_words_of_their_own_show_an_example_and_each_its_words(collection):
    """A rule's number alone would tell nobody anything; what is about the delivery comes first and has no list."""
    rows = [(*ERROR[:4], "ett"), (*ERROR[:3], 2, "to"), ("K014", "feil", "uttrekk", None, "samme innhold")]
    page = render_files(contents(collection, feilliste_of(*rows)))["tilbakemelding.html"].decode()
    cards = lxml.html.document_fromstring(page).xpath("//div[@class='rule feil']")
    assert [card.xpath("h4")[0].text_content() for card in cards] == ["samme innhold", "For eksempel: ett"]
    assert cards[0].xpath(".//details") == []
    heads, *listed = [[cell.text_content() for cell in row] for row in cards[1].xpath(".//tr")]
    assert heads == ["Brukernr.", "Hva det gjelder", "Postens id", "Siden sist", "Hva vi fant"]
    assert listed == [["B0", "Tjeneste", "T0", "Ny", "ett"], ["B2", "Tjeneste", "T2", "Ny", "to"]]


def test_what_was_fixed_is_shown_too(collection):
    """It is good to see that the work counted."""
    was = Keyed(findings(("K063", "tjeneste", 0, "sluttDato")), {"tjeneste": keys(("B7", "T7"))})
    fixed = make_feilliste(Keyed(findings(), {}), was)
    page = render_files(contents(collection, fixed))["tilbakemelding.html"].decode()
    assert "Rettet siden forrige innsending" in page
    assert "B7" in page
    assert "Ingenting. Vi fant ingenting å rette." in page


def test_a_district_last_year_and_the_nation_are_named(collection):
    """Columns stand only where there is something in them."""
    none = make_feilliste(Keyed(findings(), {}), None)
    some = pa.table([["T03"], ["1"], ["80"], [""], ["antall"], [4.0]], schema=CELLS)
    measure = next(t for t in load_tables(collection) if t.id == "T03").measures[0].id
    some = some.set_column(4, CELLS.field("measure"), pa.array([measure]))
    tables = compare(load_tables(collection), Sides(some, last_year=some), some)
    page = render_files(contents(collection, none, bydel="03", tables=tables))["tilbakemelding.html"].decode()
    assert "Hamar, bydel 03" in page
    assert "I fjor" in page
    assert "Landet vises når" not in page


@pytest.mark.parametrize(
    ("phase", "words"), [("open", "mars og i juni"), ("late", "etter fristen"), ("closed", "ingen publisering")]
)
def test_the_page_says_what_the_delivery_counts_for(collection, many, phase, words):
    """Whoever came late learns it here."""
    assert words in render_files(contents(collection, many, phase=phase))["tilbakemelding.html"].decode()


def test_seven_zip_opens_it_with_the_pin_and_refuses_another(collection, many, tmp_path):
    """What L17 §4.6 tells the municipality to use is what opens it; the cipher is AES-256."""
    path = tmp_path / "a.zip"
    path.write_bytes(close_zip(render_files(contents(collection, many)), PIN))
    listing = subprocess.run(["7z", "l", "-slt", str(path)], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^Method = (\S+)", listing, re.MULTILINE)) == {"AES-256"}
    right = subprocess.run(["7z", "t", f"-p{PIN.reveal()}", str(path)], capture_output=True, check=False)
    wrong = subprocess.run(["7z", "t", "-pANOTHERPIN00000", str(path)], capture_output=True, check=False)
    assert right.returncode == 0
    assert wrong.returncode != 0


def test_a_text_that_is_missing_is_named(collection):
    """A definition folder without its words is refused, not half shown."""
    folder = {name: content for name, content in collection.folder.items() if "/nn/tilbakemelding" not in name}
    with pytest.raises(DefinitionRefused) as caught:
        load_texts(load(DefinitionFolder.from_members(folder)), "nn")
    assert caught.value.code == "feedback.no_text"
    with pytest.raises(DefinitionRefused):
        load_texts(collection, "nb")["page.nothing"]


def test_the_same_words_exist_in_every_language_and_year():
    """A page that works in bokmål works in all."""
    said = [load_texts(load(DefinitionFolder.packaged("iplos", y)), lang) for y in (2016, 2017) for lang in LANGUAGES]
    shapes = [{section: set(words) for section, words in texts.sections.items()} for texts in said]
    assert all(shape == shapes[0] for shape in shapes)
