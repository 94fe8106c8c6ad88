"""The steps of the demo, in the order of a season; each does what a person or party would do and proves what it gave.

A step takes the run and gives one line of what it found and the files it left. It fails by raising.
"""

from __future__ import annotations

import csv
import io
import json
import re
import time
import zipfile
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from ipis.kernel.calendar import OSLO, receipt_instant
from ipis.kernel.errors import OurFault
from ipis.kernel.receipt import short_code
from ipis.local.parties import time_at
from ipis.local.portal_visit import Visit, link_in
from ipis.validation import rulebook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from ipis.local.demo import Demo

Finding = tuple[str, str, str, str, str]
"""Rule, record, brukerNr, id, field."""

SHARE = 0.10
_PASSWORD = "Vinterpassord7januar"  # noqa: S105 - of a demo account
_NEW_USER = "Ny bruker for IPLOS tilbakemelding fra Statistisk sentralbyrå"
_NEW_PASSWORD = "IPLOS-tilbakemelding: Nytt passord - NB! Utløper på tid"  # noqa: S105 - a subject (L17 §4.2)
_SENDER_KEY = "avsendernøkkel registrert"
_NEW_FILE = "IPLOS-tilbakemelding: Ny fil for nedlasting"
_WAIT = 120.0
_POLL = 0.3


def parties_start(run: Demo) -> tuple[str, list[Path]]:
    """Start the parties, each with its own folder, database, keys and cleaned environment."""
    run.prepare()
    folders = {party.folder for party in run.season.parties.values()}
    open_ones = [folder.name for folder in folders if folder.stat().st_mode & 0o077]
    _expect(not open_ones, f"folders that others can read: {open_ones}")
    return f"{sum(len(p.processes) for p in run.season.parties.values())} processes", sorted(folders)


def season_pack(run: Demo) -> tuple[str, list[Path]]:
    """Fetch the season pack that the offline root signed."""
    run.work.mkdir(mode=0o700, exist_ok=True)
    pack = run.work / run.season.pack.name
    run.ipis(
        "kommune", "pack", "--url", run.season.parties["ssb"].url, "--collection", "iplos", "--year", run.year,
        "--out", pack,
    )  # fmt: skip
    _expect(pack.read_bytes() == run.season.pack.read_bytes(), "the pack fetched is the pack published")
    return f"{pack.stat().st_size // 1024} KiB", [pack]


def municipality_enrolled(run: Demo) -> tuple[str, list[Path]]:
    """Enrol the municipality and read the new-user mail."""
    run.season.enrol()
    run.season.describe()
    run.season.mailbox.wait_for(_NEW_USER, run.municipality.user, _WAIT)
    return run.municipality.user, [run.municipality.pin_file]


def password_chosen(run: Demo) -> tuple[str, list[Path]]:
    """Choose a password by the 60-minute link, as L17 §4.2 describes."""
    user, box = run.municipality.user, run.season.mailbox
    with Visit() as visit:
        visit.fill_in(link_in(box.wait_for(_NEW_USER, user, _WAIT)), bruker=user)
        link = link_in(box.wait_for(_NEW_PASSWORD, user, _WAIT))
        visit.fill_in(link, passord=_PASSWORD, igjen=_PASSWORD)
    path = run.work / "portal.password"
    path.touch(mode=0o600)
    path.write_text(_PASSWORD + "\n", encoding="ascii")
    return "by the link, once", [path]


def extract_drawn(run: Demo) -> tuple[str, list[Path]]:
    """Draw an extract in which a tenth of the persons have a fault."""
    _draw(run, "first", SHARE, 1)
    extract = _extract(run, "first")
    return f"{extract.stat().st_size / 1e6:.1f} MB, {_faults(run, 'first').total()} findings planted", [extract]


def check_finds_all(run: Demo) -> tuple[str, list[Path]]:
    """Check the extract: exactly the planted findings."""
    report = run.work / "first" / "check.html"
    found = _check(run, "first", report)
    return f"{found.total()} findings, all as planted", [report]


def sealed(run: Demo) -> tuple[str, list[Path]]:
    """Seal the extract: identity, data and contact, each to its own recipient."""
    parcel = _seal(run, "first")
    with zipfile.ZipFile(parcel) as container:
        names = container.namelist()
    roles = {name.partition("-")[0].removesuffix(".age") for name in names if name.endswith(".age")}
    _expect(roles == {"identity", "data", "contact"}, f"three sealed parts, found {names}")
    _expect(names[-2:] == ["manifest.json", "manifest.json.sig"], "manifest and signature last")
    return f"{parcel.stat().st_size // 1024} KiB, {len(names)} members", [parcel]


def sent(run: Demo) -> tuple[str, list[Path]]:
    """Send, with the four-field login and the sender key enrolled; the answer is R1."""
    path = _send(run, "first")
    fingerprint = _sender_key(run)
    told = run.season.mailbox.wait_for(_SENDER_KEY, run.municipality.user, _WAIT)
    _expect(fingerprint in told.get_content(), "the mail names the sender key that was enrolled")
    return f"R1 {short_code(path.read_bytes())}, sender key enrolled", [path]


def pseudonymised(run: Demo) -> tuple[str, list[Path]]:
    """Wait for R2 (pseudonymised) and R5 (identities deleted), and look for what should be gone."""
    files = _receipts(run, "first", {"R1", "R2", "R5"})
    left = [path.name for path in run.season.parties["tpf"].folder.rglob("identity-*")]
    _expect(not left, f"identity parts left at TPF: {left}")
    return "R2 and R5; no identity part left at TPF", files


def loaded(run: Demo) -> tuple[str, list[Path]]:
    """Wait for R3: loaded at SSB."""
    files = _receipts(run, "first", {"R3"})
    return "R3", files


def receipt_mailed(run: Demo) -> tuple[str, list[Path]]:
    """Turn the clocks to 08:00 of the next working day and read the receipt mail."""
    contact, box = _contact(run), run.season.mailbox
    early = [mail for mail in box.mails() if contact in mail["To"]]
    _expect(not early, "no receipt mail before 08:00 of the next working day")
    at = receipt_instant(time_at(run.season.parties["ssb"]), run.season.collection.receipt.hour)
    run.season.turn_clocks(at + timedelta(seconds=1))
    mail = box.wait_for("", contact, _WAIT)
    return f"«{mail['Subject']}» at {at.astimezone(OSLO):%Y-%m-%d %H:%M}", []


def feedback_ready(run: Demo) -> tuple[str, list[Path]]:
    """Wait for the feedback at the portal and its new-file mail."""
    run.season.mailbox.wait_for(_NEW_FILE, run.municipality.user, _WAIT)
    return "new-file mail", _receipts(run, "first", {"R4"})


def fetched(run: Demo) -> tuple[str, list[Path]]:
    """Fetch the zip, named as in L17, with its R4."""
    zip_path, files = _fetch(run, 1)
    return zip_path.name, files


def opened(run: Demo) -> tuple[str, list[Path]]:
    """Open with the PIN: the same findings as `check` made, joined with the municipality's own persons."""
    out = _open(run, "first")
    both = _rules_at_both(run)
    at_ssb = Counter(f for f in _feilliste(out, {"new", "open"}) if f[0] in both)
    at_home = Counter(f for f in _faults(run, "first").elements() if f[0] in both)
    _expect_same(at_ssb, at_home, "feilliste and check")
    work = _rows(out / "worklist.csv")
    named = [row for row in work if row["brukerNr"]]
    _expect(bool(named) and all(row["fid"] for row in named if row["rule"] != "K020"), "each row names its person")
    return f"{at_ssb.total()} findings agree, {len(work)} rows of work", sorted(out.iterdir())


def corrected(run: Demo) -> tuple[str, list[Path]]:
    """Correct half of the faulty persons, check, seal (replacing the first) and send again."""
    _draw(run, "second", SHARE / 2, 2)
    _check(run, "second", run.work / "second" / "check.html")
    parcel = _seal(run, "second")
    receipt = _send(run, "second")
    _receipts(run, "second", {"R3"}, count=2)
    return f"R1 {short_code(receipt.read_bytes())}", [parcel, receipt]


def second_feedback(run: Demo) -> tuple[str, list[Path]]:
    """Fetch and open the second feedback: what was fixed, what is open, what is new."""
    run.season.mailbox.wait_for(_NEW_FILE, run.municipality.user, _WAIT, count=2)
    _fetch(run, 2)
    out = _open(run, "second")
    both = _rules_at_both(run)
    before, after = (Counter(f for f in _faults(run, name).elements() if f[0] in both) for name in ("first", "second"))
    expected = {"fixed": before - after, "open": before & after, "new": after - before}
    for status, findings in expected.items():
        found = Counter(f for f in _feilliste(out, {status}) if f[0] in both)
        _expect_same(found, findings, f"findings said to be {status}")
    counts = ", ".join(f"{findings.total()} {status}" for status, findings in expected.items())
    return counts, sorted(out.iterdir())


STEPS: tuple[tuple[str, Callable[[Demo], tuple[str, list[Path]]]], ...] = (
    ("parties start", parties_start),
    ("season pack signed and fetched", season_pack),
    ("municipality enrolled", municipality_enrolled),
    ("portal password chosen", password_chosen),
    ("extract drawn with faults", extract_drawn),
    ("check finds exactly the faults", check_finds_all),
    ("sealed in three parts", sealed),
    ("sent to TPF", sent),
    ("pseudonymised, identities deleted", pseudonymised),
    ("loaded at SSB", loaded),
    ("receipt mail at 08:00", receipt_mailed),
    ("feedback at the portal", feedback_ready),
    ("feedback fetched", fetched),
    ("opened with the PIN", opened),
    ("half corrected and sent again", corrected),
    ("second feedback", second_feedback),
)


def _draw(run: Demo, name: str, share: float, innsending: int) -> None:
    persons = ["--persons", run.persons] if run.persons else []
    where = ["--definitions", run.definitions] if run.definitions else []
    run.ipis(
        "synth", "--collection", "iplos", "--year", run.year, "--kommune", run.kommune, "--out", run.work / name,
        "--faults", share, "--innsending", innsending, "--seed", 1, *persons, *where,
    )  # fmt: skip


def _check(run: Demo, name: str, report: Path) -> Counter[Finding]:
    said = run.ipis(
        "kommune",
        "check",
        _extract(run, name),
        "--pack",
        _pack(run),
        "--report",
        report,
        "--json",
        *_keyring(run),
        accept=(0, 1),
    )
    found = Counter(
        (f["rule"], f["record"], f["key"]["brukerNr"] or "", f["key"]["id"] or "", "".join(f["fields"][:1]))
        for f in json.loads(said)["findings"]
    )
    _expect_same(found, _faults(run, name), "findings of check and planted faults")
    return found


def _seal(run: Demo, name: str) -> Path:
    parcel = run.work / name / f"{run.kommune}00.forsendelse"
    run.ipis(
        "kommune", "seal", _extract(run, name), "--pack", _pack(run), "--contact-email", _contact(run),
        "--contact-phone", "90000000", "--pin-file", run.municipality.pin_file, "--out", parcel, *_keyring(run),
    )  # fmt: skip
    return parcel


def _send(run: Demo, name: str) -> Path:
    receipt = run.work / name / "R1.json"
    run.ipis(
        "kommune", "send", run.work / name / f"{run.kommune}00.forsendelse", "--url", run.season.parties["tpf"].url,
        *run.municipality.login, *_keyring(run), "--receipt", receipt,
    )  # fmt: skip
    _expect(json.loads(receipt.read_bytes())["kind"] == "R1", "the answer is R1")
    return receipt


def _receipts(run: Demo, name: str, kinds: set[str], count: int = 1) -> list[Path]:
    """Ask for receipts until each kind has come for so many forsendelser; signatures are verified by the command."""
    out = run.work / name / "receipts"
    give_up_at = time.monotonic() + _WAIT
    while True:
        run.ipis(
            "kommune", "receipts", "--url", run.season.parties["tpf"].url, *run.municipality.login, *_keyring(run),
            "--out", out, "--wait", 2, accept=(0, 3),
        )  # fmt: skip
        found = Counter(json.loads(path.read_bytes())["kind"] for path in out.glob("*R?.json"))
        if all(found[kind] >= count for kind in kinds):
            return sorted(out.iterdir())
        if time.monotonic() > give_up_at:
            raise OurFault(
                "local.step_failed", step="receipts", detail=f"has {sorted(found)}, lacks some of {sorted(kinds)}"
            )


def _fetch(run: Demo, count: int) -> tuple[Path, list[Path]]:
    out = run.work / "fetched"
    run.ipis(
        "kommune", "fetch", "--url", run.season.parties["filsluse"].url, "--user", run.municipality.user,
        "--password-file", run.work / "portal.password", "--pack", _pack(run), "--out", out, "--wait", int(_WAIT),
    )  # fmt: skip
    zips = sorted(out.glob("*.zip"), key=lambda path: path.stat().st_mtime)
    _expect(len(zips) == count, f"{count} zip files, found {[path.name for path in zips]}")
    form = rf"{run.kommune}00_iplos_tilbakemelding_\d{{8}}(-\d+)?\.zip"
    _expect(re.fullmatch(form, zips[-1].name) is not None, f"named as in L17, found {zips[-1].name}")
    return zips[-1], sorted(out.glob(f"{zips[-1].name}*"))


def _open(run: Demo, name: str) -> Path:
    newest = max((run.work / "fetched").glob("*.zip"), key=lambda path: path.stat().st_mtime)
    out = run.work / name / "opened"
    run.ipis(
        "kommune", "open", newest, "--pack", _pack(run), "--pin-file", run.municipality.pin_file, *_keyring(run),
        "--extract", _extract(run, name), "--out", out,
    )  # fmt: skip
    return out


def _feilliste(out: Path, statuses: set[str]) -> Iterable[Finding]:
    for row in _rows(out / "feilliste.csv"):
        if row["status"] in statuses:
            yield row["rule"], row["record"], row["brukerNr"], row["id"], row["field"]


def _faults(run: Demo, name: str) -> Counter[Finding]:
    with (run.work / name / "faults.csv").open(encoding="utf-8", newline="") as file:
        return Counter((r["rule"], r["record"], r["brukerNr"], r["id"], r["field"]) for r in csv.DictReader(file))


def _rows(path: Path) -> list[Mapping[str, str]]:
    text = path.read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";"))


def _rules_at_both(run: Demo) -> frozenset[str]:
    rules = rulebook.of(run.season.collection).rules
    return frozenset(rule.id for rule in rules.values() if {"M", "S"} <= rule.runs_at)


def _extract(run: Demo, name: str) -> Path:
    return run.work / name / f"{run.kommune}00_iplos_uttrekk_{run.year}.xml"


def _pack(run: Demo) -> Path:
    return run.work / run.season.pack.name


def _keyring(run: Demo) -> list[str]:
    return ["--keyring", str(run.work / "keyring")]


def _contact(run: Demo) -> str:
    return f"iplos.ansvarlig@{run.municipality.user.partition('@')[2]}"


def _sender_key(run: Demo) -> str:
    """Give the fingerprint that the manifest names as its sender."""
    with zipfile.ZipFile(run.work / "first" / f"{run.kommune}00.forsendelse") as container:
        return str(json.loads(container.read("manifest.json"))["sender"])


def _expect(holds: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise AssertionError(f"expected: {what}")


def _expect_same(found: Counter[Finding], expected: Counter[Finding], what: str) -> None:
    """Compare two multisets; a difference is told by rule and count, never by a person's key."""
    if found != expected:
        more, fewer = (Counter(f[0] for f in part.elements()) for part in (found - expected, expected - found))
        raise AssertionError(f"{what} differ: too many {dict(more)}, too few {dict(fewer)}")
