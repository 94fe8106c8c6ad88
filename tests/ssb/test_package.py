"""The package: named as in the letter, readable by what a municipality has, opened by its PIN alone."""

import csv
import io
import re
import subprocess
from datetime import UTC, datetime

import lxml.html
import openpyxl
import pytest
from tests.ssb.test_feilliste import findings, keys

from ipis.kernel.collection import DefinitionFolder, load
from ipis.kernel.secret import Secret
from ipis.ssb.feedback.contents import Contents
from ipis.ssb.feedback.feilliste import Keyed, make_feilliste
from ipis.ssb.feedback.package import close_zip, render_files, zip_name
from ipis.ssb.feedback.page import SHOWN
from ipis.ssb.feedback.texts import load_texts
from ipis.ssb.tables.compute import compare
from ipis.ssb.tables.definition import load_tables

AT = datetime(2018, 1, 2, 9, 30, tzinfo=UTC)
PIN = Secret("PIN0PIN0PIN0PIN0")


@pytest.fixture(scope="module")
def collection():
    """The newest year as shipped."""
    return load(DefinitionFolder.packaged("iplos", 2017))


def contents(collection, feilliste, language="nb", phase="open"):
    """Make the contents of a feedback to Hamar."""
    tables = tuple(compare(table, {}, None) for table in load_tables(collection))
    return Contents(
        kommune="0403",
        kommune_name="Hamar",
        bydel="00",
        year=2017,
        sequence=2,
        forsendelse="ab" * 16,
        phase=phase,
        arrived_at=AT,
        made_at=AT,
        corrections_until=collection.window.corrections_until,
        address="iplos@ssb.no",
        short_code="ABCDEFGHJKMN",
        pack_version=1,
        feilliste=feilliste,
        tables=tables,
        record_labels={"tjeneste": "Tjeneste"},
        field_labels={("tjeneste", "sluttDato"): "Tjeneste stopp"},
        texts=load_texts(collection, language),
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
    assert all(cell.data_type != "f" for row in book.worksheets[1].iter_rows() for cell in row)
    page = lxml.html.document_fromstring(files["tilbakemelding.html"].decode())
    assert page.get("lang") == language
    assert len(page.xpath("//details//tbody/tr")) == SHOWN
    assert "+ 5." in page.text_content()


def test_the_page_needs_nothing_beside_it(collection, many):
    """No script, no address to load from."""
    text = render_files(contents(collection, many))["tilbakemelding.html"].decode()
    assert not re.search(r"<script|<link|<img|src=|@import|url\(", text)


def test_a_clean_delivery_says_that_nothing_is_to_do(collection):
    """A tired reader gets one sentence."""
    none = make_feilliste(Keyed(findings(), {}), None)
    page = render_files(contents(collection, none))["tilbakemelding.html"].decode()
    assert "Vi fant ingenting å rette" in page


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
