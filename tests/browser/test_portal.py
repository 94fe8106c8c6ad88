"""L17 chapter 4 in Chromium, without JavaScript, over real processes: mail, password, login, file, download, deletion, log.

On every page axe-core finds nothing by WCAG 2.2 AA, in light and dark, wide and narrow; nothing comes from elsewhere.
"""

import re
import tomllib
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from tests.filsluse.rooms import Portal
from tests.filsluse.season import ZIP, Season

from ipis.kernel.canonical import sha256

CHROMIUM = "/usr/bin/chromium"
SWITCHES = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
VENDOR = Path(__file__).parent / "vendor"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
USER, PASSWORD = "postmottak@hamar.kommune.test", "Sno-og-is-17"
NEW_USER = "Ny bruker for IPLOS tilbakemelding fra Statistisk sentralbyrå"
NEW_PASSWORD = "IPLOS-tilbakemelding: Nytt passord - NB! Utløper på tid"
NEW_FILE = "IPLOS-tilbakemelding: Ny fil for nedlasting"


@pytest.fixture(scope="module")
def portal(tmp_path_factory):
    folder = tmp_path_factory.mktemp("portal")
    with Portal(folder, Season.make(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES))
        yield browser
        browser.close()


class Reader:
    """A person's browser with scripts off, and beside it one of the tests that may run axe on what the person sees."""

    def __init__(self, chromium, portal):
        self.portal = portal
        self.context = chromium.new_context(locale="nb-NO", java_script_enabled=False, accept_downloads=True)
        self.page = self.context.new_page()
        self.strangers = []
        self.page.on("request", lambda request: self._note(request.url))
        self.auditor = chromium.new_context(locale="nb-NO", bypass_csp=True)
        self.axe = (VENDOR / "axe.min.js").read_text(encoding="utf-8")

    def _note(self, url):
        if not url.startswith((self.portal.url, "data:")):
            self.strangers.append(url)

    def close(self):
        self.context.close()
        self.auditor.close()

    def audit(self):
        """Look at the page as it stands, in a browser that may run axe: light, dark and as narrow as WCAG asks (320 px)."""
        seen = self.auditor.new_page()
        html = self.page.content()
        seen.route(self.page.url, lambda route: route.fulfill(body=html, content_type="text/html; charset=utf-8"))
        found = []
        for width, scheme in ((1100, "light"), (320, "dark")):
            seen.set_viewport_size({"width": width, "height": 800})
            seen.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            seen.goto(self.page.url)
            seen.evaluate(self.axe)
            result = seen.evaluate('rules => axe.run(document, {runOnly: rules, resultTypes: ["violations"]})', RULES)
            found += [(width, v["id"], [node["html"][:120] for node in v["nodes"]]) for v in result["violations"]]
            assert seen.evaluate("document.documentElement.scrollWidth") <= width, (
                f"{self.page.url} is wider than {width}"
            )
        seen.close()
        assert found == [], self.page.url

    def send(self, button, **fields):
        for label, value in fields.items():
            self.page.get_by_label(label.replace("_", " "), exact=True).fill(value)
        self.follow(self.page.get_by_role("button", name=button, exact=True))

    def follow(self, what):
        """Click, and wait until the page that it leads to is there."""
        with self.page.expect_navigation():
            what.click()


@pytest.fixture
def reader(chromium, portal):
    one = Reader(chromium, portal)
    yield one
    one.close()


def test_chapter_four_screen_by_screen(portal, reader):
    link = choose_password(portal, reader)
    log_in(reader)
    files = portal.season.feedback(b"PK" + bytes(30_000))
    portal.push(files, "0403")
    fetch(portal, reader, files)
    delete_and_read_the_log(reader)
    reader.send("Logg ut")
    assert reader.page.url == f"{portal.url}/logg-inn"
    assert reader.strangers == [], "nothing is fetched from elsewhere"
    assert link.rpartition("/")[2] not in portal.logs(), "a link never reaches a log"
    assert PASSWORD not in portal.logs()


def choose_password(portal, reader):
    """Figures 4-2 to 4-5: two mails, the user name, the rules."""
    page = reader.page
    portal.run("account", "--kommune", "0403", "--user", USER)
    welcome = portal.mailbox.wait_for(NEW_USER).get_content()
    assert USER in welcome
    page.goto(re.search(rf"{portal.url}/\S+", welcome)[0])
    reader.audit()
    reader.send("Be om passord", Brukernavn=USER)
    reader.audit()
    link = re.search(rf"{portal.url}/passord/\S+", portal.mailbox.wait_for(NEW_PASSWORD).get_content())[0]
    page.goto(link)
    reader.audit()
    reader.send("Lagre passordet", Nytt_passord="hamar17", Nytt_passord_en_gang_til="hamar17")
    assert page.get_by_role("alert").inner_text().startswith("Passordet følger ikke reglene")
    reader.audit()
    reader.send("Lagre passordet", Nytt_passord=PASSWORD, Nytt_passord_en_gang_til=PASSWORD)
    assert "Passordet er lagret" in page.get_by_role("status").inner_text()
    return link


def log_in(reader):
    """Figure 4-6."""
    reader.audit()
    reader.send("Logg inn", Brukernavn=USER, Passord="feil")
    assert "passer ikke sammen" in reader.page.get_by_role("alert").inner_text()
    reader.audit()
    reader.send("Logg inn", Passord=PASSWORD)
    assert "Det ligger ingen filer her nå" in reader.page.get_by_role("main").inner_text()
    reader.audit()


def fetch(portal, reader, files):
    """Figures 4-10 and 4-11."""
    page = reader.page
    page.goto(re.search(rf"{portal.url}/", portal.mailbox.wait_for(NEW_FILE).get_content())[0])
    reader.audit()
    page.get_by_text("Kvittering og kontrollsum").click()
    labels = (f"Last ned {ZIP}", "Kvittering R4", "Signatur til kvitteringen")
    for (name, data), label in zip(files.items(), labels, strict=True):
        with page.expect_download() as download:
            page.get_by_role("link", name=label).click()
        assert download.value.suggested_filename == name
        assert Path(download.value.path()).read_bytes() == data
    reader.follow(page.get_by_role("button", name=f"Bekreft mottak {ZIP}"))
    assert "Mottaket er bekreftet" in page.get_by_role("status").inner_text()
    reader.audit()


def delete_and_read_the_log(reader):
    """The rest of figure 4-11: the bin, and `Logs` in the menu."""
    page = reader.page
    reader.follow(page.get_by_role("link", name=f"Slett {ZIP}"))
    reader.audit()
    reader.follow(page.get_by_role("button", name="Ja, slett filen"))
    assert ZIP not in page.get_by_role("main").inner_text()
    reader.follow(page.get_by_role("link", name="Logg", exact=True))
    log = page.get_by_role("table").inner_text()
    assert all(
        line in log
        for line in ("SSB la ut en fil", "Filen ble lastet ned", "Mottaket ble bekreftet", "Filen ble slettet")
    )
    reader.audit()


def test_the_language_is_switched_by_a_link_and_kept(portal, reader):
    page = reader.page
    page.goto(portal.url)
    for name, code, heading in (
        ("Nynorsk", "nn", "Logg inn"),
        ("English", "en", "Sign in"),
        ("Bokmål", "nb", "Logg inn"),
    ):
        reader.follow(page.get_by_role("link", name=name))
        page.goto(f"{portal.url}/logg-inn")
        assert page.locator("html").get_attribute("lang") == code
        assert page.get_by_role("heading", level=1).inner_text() == heading


def test_a_keyboard_reaches_the_content_first(portal, reader):
    reader.page.goto(f"{portal.url}/logg-inn")
    reader.page.keyboard.press("Tab")
    assert reader.page.locator(":focus").inner_text() == "Hopp til hovedinnhold"


def test_a_page_that_is_not_there_and_a_link_that_is_over_say_where_to_go(portal, reader):
    for path, words in (("/finnes-ikke", "finnes ikke"), ("/passord/" + "x" * 43, "virker ikke lenger")):
        reader.page.goto(portal.url + path)
        assert words in reader.page.get_by_role("heading", level=1).inner_text()
        reader.audit()


def test_axe_is_as_published():
    source = tomllib.loads((VENDOR / "source.toml").read_text(encoding="utf-8"))
    for name, facts in source["files"].items():
        assert sha256((VENDOR / name).read_bytes()) == facts["sha256"]
