"""The feedback page and the municipality's own in real Chromium, scripts off: axe finds nothing, wide, narrow, dark, printed.

The page is opened as a file, as it is in the secure zone: it asks for nothing else.
"""

import pytest
from playwright.sync_api import sync_playwright
from tests.browser.test_portal import CHROMIUM, RULES, SWITCHES, VENDOR
from tests.kommune.test_check import clean, written
from tests.kommune.testvik import YEAR, desk
from tests.ssb.test_feilliste import DEAD, answer, made_of
from tests.ssb.test_package import contents
from tests.ssb.test_page import cells_of, indicator

from ipis.kernel.collection import DefinitionFolder, load
from ipis.kommune import precheck
from ipis.kommune.check_report import page as check_page
from ipis.kommune.season import load_season
from ipis.kommune.told import told
from ipis.ssb.feedback.package import render_files
from ipis.ssb.tables.compare import Sides, compare
from ipis.ssb.tables.definition import load_tables

LOOKS = ((1280, "light", "none"), (320, "dark", "none"), (1280, "light", "active"))
"""Width, colours, forced colours (high contrast)."""


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def collection():
    return load(DefinitionFolder.packaged("iplos", YEAR))


def feedback(collection, language):
    """A page with everything on it: problems, an answer, what is fixed, tables, plots, indicators."""
    rows = [("K035", "person", 1, "dodsDato"), ("K036", "tjeneste", 1, "sluttDato"), ("K101", "tjeneste", None, "")]
    rows += [("K063", "tjeneste", row, "sluttDato") for row in range(5)]
    answers = answer(("K063", "tjeneste", "B2", "T2", "sluttDato", "Stemmer", YEAR))
    listed = made_of(*rows, problems=DEAD, answers=answers, before=[("K075", "tjeneste", 3, "orgNr"), rows[3]])
    full = [(table.id, (), 3) for table in load_tables(collection) if not table.keys]
    full += [("T03", ("1", "80"), 12), ("T03", ("2", "80"), 30), ("T05", ("15",), 70)]
    full += [("T17", ("helse", "noe"), 6), ("T17", ("helse", "uoppgitt"), 2), ("T21", (), 55, "lege")]
    this = cells_of(collection, *full)
    tables = compare(load_tables(collection), Sides(this, last_year=this))
    rows_ = (indicator("N01", 1.0, 2.0), indicator("N22", None, None, reason="nobody"))
    made = contents(collection, listed, language, tables=tables, indicators=rows_, guide="https://ssb.test/veiledning")
    return render_files(made)["tilbakemelding.html"]


def audited(chromium, path, look):
    """What axe finds on a page as it looks, every fold opened; and whether the page is wider than the window."""
    width, scheme, forced = look
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, forced_colors=forced)
    seen = context.new_page()
    asked = []
    seen.on("request", lambda request: asked.append(request.url))
    seen.goto(path.as_uri())
    assert asked == [path.as_uri()], "the page needs nothing beside it"
    seen.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    seen.evaluate((VENDOR / "axe.min.js").read_text(encoding="utf-8"))
    found = seen.evaluate('rules => axe.run(document, {runOnly: rules, resultTypes: ["violations"]})', RULES)
    wide = seen.evaluate("document.documentElement.scrollWidth") > width
    context.close()
    return [(each["id"], [node["html"][:120] for node in each["nodes"][:3]]) for each in found["violations"]], wide


@pytest.mark.parametrize(("language", "look"), [*(("nb", look) for look in LOOKS), ("nn", LOOKS[1]), ("en", LOOKS[1])])
def test_the_feedback_page_is_for_everybody(chromium, collection, tmp_path, language, look):
    """WCAG 2.2 AA by axe, in each language, as it looks wide, narrow and dark, and in forced colours."""
    path = tmp_path / "tilbakemelding.html"
    path.write_bytes(feedback(collection, language))
    assert audited(chromium, path, look) == ([], False)


@pytest.mark.parametrize("language", ["nb", "nn", "en"])
def test_a_plots_labels_stand_whole_in_it(chromium, collection, tmp_path, language):
    """Cut at the left, the code of one service reads as another's; the font here is as wide as any."""
    this = cells_of(
        collection, *(("T05", (code,), 9) for code in collection.codes["service_types"]["code"].to_pylist())
    )
    tables = compare(load_tables(collection), Sides(this))
    made = contents(collection, made_of(), language, tables=tables)
    path = tmp_path / "tilbakemelding.html"
    path.write_bytes(render_files(made)["tilbakemelding.html"])
    page = chromium.new_page()
    page.goto(path.as_uri())
    page.add_style_tag(content="svg text { font-family: 'DejaVu Sans' !important }")
    lefts = page.evaluate("[...document.querySelectorAll('svg text')].map(each => each.getBBox().x)")
    page.close()
    assert len(lefts) > 40
    assert min(lefts) >= 0


def test_a_clean_delivery_too(chromium, collection, tmp_path):
    """The page that most would like to get."""
    path = tmp_path / "tilbakemelding.html"
    path.write_bytes(render_files(contents(collection, made_of()))["tilbakemelding.html"])
    assert audited(chromium, path, LOOKS[1]) == ([], False)


@pytest.mark.parametrize("look", LOOKS[1:])
def test_the_municipalitys_own_page_is_for_everybody(chromium, tmp_path, look):
    """What `check --report` writes."""
    home = desk(tmp_path / "testvik")
    season = load_season(home.pack, home.keyring)[0]
    faulty = written(
        home, "feil.xml", replace={'kode="06"': 'kode="10"', f'vedtakDato="{YEAR}-01-20"': 'vedtakDato="x"'}
    )
    for number, extract in enumerate((faulty, clean(home))):
        checked = precheck.run(extract, season)
        path = tmp_path / f"{number}.html"
        path.write_text(check_page(checked, told(checked, season.collection, "nb"), season, "x.xml"), encoding="utf-8")
        assert audited(chromium, path, look) == ([], False)


def test_on_paper_the_findings_are_unfolded_and_closed_tables_are_not(chromium, collection, tmp_path):
    """A printed page that says "show which" shows nobody; twenty-seven tables nobody asked for are a heap."""
    path = tmp_path / "tilbakemelding.html"
    path.write_bytes(feedback(collection, "nb"))
    page = chromium.new_page()
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = false })")
    page.emulate_media(media="print")
    assert page.locator(".rule td.key").first.is_visible()
    assert not page.locator("details.table").first.is_visible()
    page.evaluate("document.getElementById('T05').open = true")
    assert page.locator("#T05 td").first.is_visible()
    page.close()
