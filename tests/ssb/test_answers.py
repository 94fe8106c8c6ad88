"""What SSB keeps of "this is right as it is", and for what it holds: the year by key, the next by pseudonym, never by brukerNr."""

from datetime import UTC, datetime

import pytest
from tests.ssb.fake_tpf import NABO, YEAR

from ipis.kernel.receipt import Kind
from ipis.kommune.answers import Answer

BEFORE = datetime(2017, 1, 5, 9, tzinfo=UTC)


def answer(rule="K075", record="tjeneste", bruker="B3", own_id="tjenesteId-3-1", field="orgNr", why="avklart"):
    return Answer(2, rule, record, bruker, own_id, field, why)


@pytest.fixture
def held(room):
    """The answers that hold for a delivery, as texts."""
    from ipis.ssb.packs import pack_of
    from ipis.ssb.register.answers import answers_of
    from ipis.ssb.register.objects import ObjectStore

    def ask(row, predecessors=()):
        layout = pack_of(room, "iplos", row.delivery.year).collection.layout
        found = answers_of(row.delivery, ObjectStore(room.objects), layout, predecessors)
        return None if found is None else {tuple(map(str, each.values())) for each in found.to_pylist()}

    return ask


@pytest.fixture
def last_year(load, at):
    """A delivery of the year before, loaded in its own window."""

    def load_last_year(**content):
        at(BEFORE)
        row, made = load(**{"year": YEAR - 1, "arrived_at": BEFORE} | content)
        at(datetime(2018, 1, 3, 9, 5, tzinfo=UTC))
        return row, made

    return load_last_year


def test_without_answers_there_are_none(load, held):
    row, _ = load()
    assert held(row) is None


def test_an_answer_is_kept_by_key_and_told_in_r3(load, held):
    from ipis.ssb.register import kvittering

    row, _ = load(answers=(answer(), answer("K014", "uttrekk", "", "", "", "")))
    assert held(row) == {
        ("K075", "tjeneste", "B3", "tjenesteId-3-1", "orgNr", "avklart", "2017"),
        ("K014", "uttrekk", "", "", "", "", "2017"),
    }
    assert kvittering.signed_of(kvittering.newest(row.forsendelse, Kind.R3)).receipt.details["answers"] == 2


def test_an_answer_is_no_record_of_the_delivery(room, load):
    from ipis.ssb.register.deliveries import open_tables
    from ipis.ssb.register.objects import ObjectStore

    row, _ = load(answers=(answer(),))
    assert "svar" not in open_tables(row.delivery, ObjectStore(room.objects))
    assert "svar" not in row.delivery.rows


def test_it_holds_for_later_deliveries_of_the_year_and_a_newer_one_replaces_it(load, held):
    load(answers=(answer(), answer("K063", field="sluttDato")))
    row, _ = load(sequence=2, answers=(answer(why="ny grunn"),))
    third, _ = load(sequence=3, seed=9)
    assert {(each[0], each[5]) for each in held(row)} == {("K075", "ny grunn"), ("K063", "avklart")}
    assert held(third) == held(row)


def test_a_neighbour_and_an_earlier_delivery_get_none(load, held):
    first, _ = load()
    load(sequence=2, answers=(answer(),))
    other, _ = load(kommune=NABO)
    assert held(first) is None
    assert held(other) is None


def test_next_year_it_holds_on_the_pseudonym_whatever_the_new_numbers_are(last_year, load, held):
    """Person 3 has two services of the same code: both are answered, under this year's brukerNr and ids."""
    last_year(answers=(answer(),))
    row, _ = load(bruker="NY", seed=7)
    assert held(row) == {("K075", "tjeneste", "NY3", f"tjenesteId-{n}-7", "orgNr", "avklart", "2016") for n in (3, 33)}


def test_next_year_the_same_brukernr_of_another_person_gets_nothing(last_year, load, held):
    last_year(answers=(answer(),))
    row, _ = load(unlinkable=frozenset({3}))
    assert held(row) == set()


def test_an_answer_about_an_unlinkable_person_lapses_with_the_year(last_year, load, held):
    before, _ = last_year(answers=(answer(),), unlinkable=frozenset({3}))
    row, _ = load()
    assert held(before) == {("K075", "tjeneste", "B3", "tjenesteId-3-1", "orgNr", "avklart", "2016")}
    assert held(row) == set()


def test_next_year_what_concerns_no_person_holds_for_the_municipality(last_year, load, held):
    """The delivery itself, and the one service that has no person."""
    orphan = answer(bruker="BNone", own_id="tjenesteId-60-1")
    last_year(answers=(answer("K101", own_id="", bruker="", field="kode"), orphan))
    row, _ = load(seed=5)
    assert held(row) == {
        ("K101", "tjeneste", "", "", "kode", "avklart", "2016"),
        ("K075", "tjeneste", "BNone", "tjenesteId-60-5", "orgNr", "avklart", "2016"),
    }


def test_another_municipality_gets_nothing_but_a_successor_does(last_year, load, held):
    last_year(answers=(answer(),))
    row, _ = load(kommune=NABO)
    assert held(row) is None
    assert len(held(row, predecessors=("0403",))) == 2


def test_this_years_answer_goes_before_last_years(last_year, load, held):
    last_year(answers=(answer(why="i fjor"),))
    row, _ = load(answers=(answer(why="i år"),))
    assert {(each[3], each[5], each[6]) for each in held(row)} == {
        ("tjenesteId-3-1", "i år", "2017"),
        ("tjenesteId-33-1", "i fjor", "2016"),
    }


def test_once_lokal_is_destroyed_only_the_delivery_itself_is_still_answered(room, load, held):
    from ipis.ssb.packs import pack_of
    from ipis.ssb.register.objects import ObjectStore
    from ipis.ssb.register.retire import destroy_lokal, destroyed_from

    row, _ = load(answers=(answer(), answer("K014", "uttrekk", "", "", "")))
    collection = pack_of(room, "iplos", YEAR).collection
    assert destroy_lokal(collection, ObjectStore(room.objects), destroyed_from(collection)) == 1
    row.delivery.refresh_from_db()
    assert {each[0] for each in held(row)} == {"K014"}


@pytest.mark.parametrize(
    ("why", "part_bytes"),
    [("se 01815012352", None), ("se 01815012352", 70_000), ("se \uff10\uff11\uff18\uff11\uff15\u200b0\u0661\uff12352", None)],
)  # fmt: skip
def test_an_identity_number_in_a_reason_refuses_the_whole(make, door, intake, why, part_bytes):
    """One is enough: the municipality's module lets none through."""
    from ipis.ssb.intake.models import Forsendelse

    made = make(answers=(answer(why=why),), part_bytes=part_bytes, persons=300)
    door.send(made)
    intake.run(once=True)
    row = Forsendelse.objects.get(forsendelse=made.forsendelse)
    assert (row.state, row.problem) == ("refused", "intake.leak")
    assert row.problem_params == {"record": "svar", "column": "begrunnelse", "hits": "1"}


@pytest.mark.parametrize(
    "bad",
    [
        {"rule": "SELECT"},
        {"record": "ukjent"},
        {"field": "x y"},
        {"why": "x" * 501},
    ],
)
def test_answers_out_of_form_refuse_the_whole(make, door, intake, bad):
    from ipis.ssb.intake.models import Forsendelse

    made = make(answers=(answer(**bad),))
    door.send(made)
    intake.run(once=True)
    assert Forsendelse.objects.get(forsendelse=made.forsendelse).problem == "parcel.answers"


def test_two_answers_to_one_key_refuse_the_whole(make, door, intake):
    from ipis.ssb.intake.models import Forsendelse

    made = make(answers=(answer(), answer(why="igjen")))
    door.send(made)
    intake.run(once=True)
    assert Forsendelse.objects.get(forsendelse=made.forsendelse).problem == "parcel.answers"


def told(room, one):
    """(status, answer) of each line of a tilbakemelding's feilliste, by rule and id."""
    from tests.ssb.feedback_room import closed, listed, opened

    rows = listed(opened(closed(room, one)))
    return {(row["rule"], row["brukerNr"], row["id"], row["field"]): (row["status"], row["answer"]) for row in rows}


def a_fault(lines):
    """A finding of a service of a person."""
    return next(key for key in lines if key[2].startswith("tjenesteId") and key[1] == "B3")


def test_from_fault_to_answer_and_over_the_turn_of_the_year(room, load, at):
    """Open, answered, answered next year under new numbers; open again for the one who cannot be linked."""
    from tests.ssb.conftest import enrol
    from tests.ssb.feedback_room import tilbakemeldinger, worker

    at(BEFORE)
    enrol(room, year=YEAR - 1)
    load(year=YEAR - 1, arrived_at=BEFORE, persons=6)
    worker(room).run(once=True)
    first = told(room, tilbakemeldinger()[0])
    rule, bruker, own_id, field = a_fault(first)
    assert first[rule, bruker, own_id, field][0] == "new"
    given = answer(rule, bruker=bruker, own_id=own_id, field=field)
    load(year=YEAR - 1, arrived_at=BEFORE, persons=6, sequence=2, answers=(given,))
    worker(room).run(once=True)
    second = told(room, tilbakemeldinger()[1])
    assert second[rule, bruker, own_id, field] == ("answered", "avklart")
    assert {status for key, (status, _) in second.items() if key[:3] != (rule, bruker, own_id)} <= {"open", "new"}
    at(datetime(2018, 1, 3, 9, 5, tzinfo=UTC))
    enrol(room)
    for sequence, unlinkable, status in ((1, frozenset(), "answered"), (2, frozenset({3}), "open")):
        load(sequence=sequence, persons=6, bruker="NY", seed=4, unlinkable=unlinkable)
        worker(room).run(once=True)
        found = told(room, tilbakemeldinger()[-1])
        assert {its for key, (its, _) in found.items() if key[0] == rule and key[1] == "NY3"} == {status}
