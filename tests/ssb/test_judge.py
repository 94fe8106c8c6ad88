"""Judging a delivery: what its municipality is told, what only staff may know, and what is kept for the next time."""

import shutil

import pyarrow as pa
import pytest
from tests.ssb.fake_tpf import PIN
from tests.ssb.feedback_room import closed, code_rules, listed, opened, packed, tilbakemeldinger, worker

from ipis.ssb.feedback.feilliste import STORED

__all__ = ["packed"]


@pytest.fixture
def judge(room):
    """Judge a delivery with the feedback worker's identity."""
    from ipis.ssb.feedback.judge import Judge
    from ipis.ssb.keys import feedback_keys
    from ipis.ssb.packs import pack_of

    one = Judge(room, feedback_keys(room).identity)
    return lambda delivery, language="nb": one.judge(delivery, pack_of(room, "iplos", delivery.year), language)


def about_delivery(judged):
    """(rule, level, record, row, field, value) of the findings that point at no row."""
    rows = judged.findings.filter(pa.compute.is_null(judged.findings["row"])).to_pylist()
    names = ("rule", "level", "record", "row", "field", "value")
    return [tuple(row[name] for name in names) for row in rows if row["rule"] in {"K014", "K016", "K017"}]


def test_findings_are_kept_by_row_number_and_never_by_a_key(load, judge):
    """What brukerNr a row has is asked of `lokal` each time, and destroyed with it."""
    row, _ = load()
    found = judge(row.delivery).findings
    assert found.schema == STORED
    assert found.num_rows
    assert not [value for value in found["value"].to_pylist() if value and value.startswith("B")]
    assert set(found["first_seen"].to_pylist()) == {1}


def test_the_same_content_again_is_found(load, judge, packed):
    """K014 names the earlier delivery by its number; the first one has no such finding."""
    packed(more={"rules/levering.yaml": code_rules()})
    first, _ = load()
    second, _ = load(sequence=2)
    assert second.delivery.same_content_as == first.delivery
    assert about_delivery(judge(first.delivery)) == []
    assert about_delivery(judge(second.delivery)) == [("K014", "advarsel", "uttrekk", None, "", "1")]
    assert "funnet 1" in judge(second.delivery, "nn").findings["found"].to_pylist()


@pytest.mark.parametrize(
    ("contact", "rules"),
    [
        ({"email": "ingen adresse"}, ["K016"]),
        ({"phone": None}, ["K017"]),
        ({"email": "a@b", "phone": "12"}, ["K016", "K017"]),
        ({"phone": "+47 900 00 000"}, []),
    ],
)
def test_a_contact_that_cannot_be_used_is_found(load, judge, packed, contact, rules):
    """K016 and K017 run here too, and nothing of the contact stands in a finding."""
    packed(more={"rules/levering.yaml": code_rules("M S")})
    row, _ = load(**contact)
    found = about_delivery(judge(row.delivery))
    assert [name for name, *_ in found] == rules
    assert {value for *_, value in found} <= {None}


@pytest.mark.parametrize("catalogue", [{}, {"rules/levering.yaml": code_rules("M T")}])
def test_the_catalogue_decides_whether_they_run_here(load, judge, packed, catalogue):
    """Without an entry, or with one that runs elsewhere, there is no finding."""
    packed(more=catalogue)
    load()
    second, _ = load(sequence=2, email="ingen adresse")
    assert about_delivery(judge(second.delivery)) == []


def test_a_contact_that_is_gone_is_not_judged(room, load, judge, packed):
    """Nothing is known of it, so nothing is said."""
    packed(more={"rules/levering.yaml": code_rules()})
    row, _ = load(email="ingen adresse")
    (room.intake / row.forsendelse / "contact.age").unlink()
    assert about_delivery(judge(row.delivery)) == []


def test_rules_for_staff_alone_are_not_told(load, judge, packed):
    """A rule that looks at other municipalities' rows would tell of them (K028, K029)."""
    rule = (
        "- id: Z998\n  record: person\n  level: advarsel\n  effect: behold\n  audience: {who}\n  field: brukerNr\n"
        "  require: alder > 500\n  message:\n"
        + "".join(f"    {lang}: {{found: 'f', expected: 'v', do: 'g'}}\n" for lang in ("nb", "nn", "en"))
        + "  examples: {passes: [{alder: 501}], breaks: [{alder: 40}]}\n"
    )
    row, _ = load()
    packed(more={"rules/z.yaml": rule.replace("{who}", "kommune").encode()})
    assert "Z998" in judge(row.delivery).findings["rule"].to_pylist()
    packed(more={"rules/z.yaml": rule.replace("{who}", "ssb").encode()})
    assert "Z998" not in judge(row.delivery).findings["rule"].to_pylist()


def test_last_years_figures_stand_beside(room, load, enrolled):
    """This year's tables are compared with the same sender's newest delivery of the year before."""
    load(year=2016, persons=20, seed=3)
    load(persons=30)
    worker(room).run(once=True)
    one = tilbakemeldinger(delivery__year=2017)[0]
    text = opened(closed(room, one), PIN)["kontrolltabeller.csv"].decode("utf-8-sig").splitlines()
    figures = "Denne innsendingen;I fjor;Forrige innsending;Endring;Landet"
    assert text[0] == f"Tabell;Tittel;Gruppe 1;Gruppe 2;Gruppe 3;Mål;{figures}"
    (line,) = [each for each in text if each.startswith("T01;") and ";Posttype: Person;Utfall: I alt;;" in each]
    assert line.endswith(";30;20;;10;")


def test_findings_that_were_never_kept_are_made_anew(room, load, enrolled):
    """The comparison with the delivery before does not depend on a file that a failed feedback never wrote."""
    load()
    worker(room).run(once=True)
    shutil.rmtree(room.data / "funn")
    load(sequence=2)
    worker(room).run(once=True)
    rows = listed(opened(closed(room, tilbakemeldinger()[1]), PIN))
    assert {row["status"] for row in rows if row["rule"] != "K014"} == {"open"}


def test_the_verdict_is_the_same_whatever_the_language(load, judge):
    """Only which findings there are decides whether a changed rule changed anything."""
    row, _ = load()
    assert judge(row.delivery, "nb").verdicts_sha256 == judge(row.delivery, "en").verdicts_sha256
