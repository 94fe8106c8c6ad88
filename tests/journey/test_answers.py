"""Fault, answer, next forsendelse, answered: over sockets, by the commands that a municipality types."""

import csv
import io

import pytest
from rich.console import Console

from ipis.local import steps
from ipis.local.demo import Demo

FIRST = (
    steps.parties_start,
    steps.season_pack,
    steps.municipality_enrolled,
    steps.password_chosen,
    steps.extract_drawn,
    steps.sealed,
    steps.sent,
    steps.feedback_ready,
    steps.fetched,
)


@pytest.fixture
def demo(tmp_path):
    """One municipality that has fetched its first feedback."""
    run = Demo(tmp_path / "demo", 2017, "0403", 80, None, Console(quiet=True))
    try:
        for step in FIRST:
            step(run)
        yield run
    finally:
        run.season.stop()


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), delimiter=";"))


def answered(path, chosen, begrunnelse):
    """The worklist with some rows answered, as a spreadsheet would save it."""
    rows = rows_of(path)
    columns = list(dict.fromkeys([*rows[0], "svar", "begrunnelse"]))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, delimiter=";", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow(row | ({"svar": "riktig", "begrunnelse": begrunnelse} if key(row) == chosen else {}))
    target = path.with_name("besvart.csv")
    target.write_text(text.getvalue(), encoding="utf-8")
    return target


def key(row):
    return tuple(row[name] for name in ("rule", "record", "brukerNr", "id", "field"))


def test_what_is_right_as_it_is_comes_back_as_answered(demo):
    first = steps._open(demo, "first")
    chosen = key(next(row for row in rows_of(first / "worklist.csv") if row["record"] == "tjeneste" and row["id"]))
    worklist = answered(first / "worklist.csv", chosen, "avklart med enheten")
    steps._draw(demo, "second", steps.SHARE, 2)
    said = demo.ipis(
        "kommune", "seal", steps._extract(demo, "second"), "--pack", steps._pack(demo), "--contact-email",
        steps._contact(demo), "--pin-file", demo.municipality.pin_file, *steps._keyring(demo), "--answers", worklist,
        "--out", demo.work / "second" / "040300.forsendelse",
    )  # fmt: skip
    assert said.strip().endswith("040300.forsendelse")
    steps._send(demo, "second")
    steps._receipts(demo, "second", {"R4"}, count=2)
    steps._fetch(demo, 2)
    second = rows_of(steps._open(demo, "second") / "feilliste.csv")
    of_chosen = [row for row in second if key(row) == chosen]
    assert {(row["status"], row["answer"]) for row in of_chosen} == {("answered", "avklart med enheten")}
    others = {row["status"] for row in second if key(row) != chosen}
    assert "open" in others
    assert "answered" not in others
    # Nothing of it but SSB's register knows the text; the parcel itself is sealed.
    for path in (demo.folder / "tpf").rglob("*"):
        assert not path.is_file() or b"avklart med enheten" not in path.read_bytes(), path
