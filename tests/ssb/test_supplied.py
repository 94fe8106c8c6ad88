"""What only the register knows: the same person elsewhere in the year. Told to staff, never in feedback."""

from datetime import date

import pytest
from tests.ssb.conftest import enrol
from tests.ssb.fake_tpf import BYDAL, NABO, TESTVIK, YEAR
from tests.ssb.feedback_room import closed, listed, opened, packed, tilbakemeldinger, worker

__all__ = ["packed"]


@pytest.fixture
def supplied(room):
    """The supplied columns of a delivery: antall_kommuner by person, langtid_annen_kommune by service."""
    from ipis.ssb.packs import pack_of
    from ipis.ssb.register.deliveries import open_tables
    from ipis.ssb.register.objects import ObjectStore
    from ipis.ssb.register.supplied import RegisterView

    def ask(row, view=None):
        store, collection = ObjectStore(room.objects), pack_of(room, "iplos", YEAR).collection
        tables = open_tables(row.delivery, store)
        (found,) = (view or RegisterView()).supply([row.delivery], [tables], store, collection)
        return found["person"]["antall_kommuner"], found["tjeneste"]["langtid_annen_kommune"], found

    return ask


def test_a_person_is_counted_once_for_each_municipality_that_reports_it(load, supplied):
    """Districts of one municipality are one; the first ten persons are everywhere."""
    row, _ = load(persons=30)
    load(kommune=NABO, persons=10)
    load(kommune=BYDAL, bydel="01", persons=5)
    load(kommune=BYDAL, bydel="02", persons=5)
    counted = supplied(row)[0].to_pylist()
    assert sorted(counted, reverse=True) == [3] * 5 + [2] * 5 + [1] * 20


def test_the_newest_counting_delivery_of_each_sender_is_looked_at(load, supplied):
    """What was replaced, and what came too late to count, is not."""
    row, _ = load(persons=10)
    load(kommune=NABO, persons=10)
    load(kommune=NABO, persons=3, sequence=2)
    load(kommune="0101", persons=10, phase="closed")
    assert sorted(supplied(row)[0].to_pylist(), reverse=True) == [2] * 3 + [1] * 7


def test_one_without_a_national_pseudonym_is_not_assessed(load, supplied):
    row, _ = load(persons=4, unlinkable=frozenset({1}))
    assert sorted(map(str, supplied(row)[0].to_pylist())) == ["1", "1", "1", "None"]


def test_a_view_that_is_kept_sees_what_came_since(load, supplied):
    from ipis.ssb.register.supplied import RegisterView

    view = RegisterView()
    row, _ = load(persons=2)
    assert supplied(row, view)[0].to_pylist() == [1, 1]
    load(kommune=NABO, persons=2)
    assert supplied(row, view)[0].to_pylist() == [2, 2]


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (date(YEAR, 1, 1), None, "1"),
        (date(YEAR, 6, 1), date(YEAR, 6, 30), "1"),
        (date(YEAR, 3, 31), date(YEAR, 4, 30), "1"),
        (date(YEAR, 7, 1), date(YEAR, 7, 31), "2"),
        (date(YEAR, 1, 1), date(YEAR, 3, 30), "2"),
    ],
)
def test_long_term_stays_in_two_municipalities_at_once_are_seen(start, end, said):
    """Both days count; a stay without an end lasts through the year."""
    import pyarrow as pa

    from ipis.kernel.collection import DefinitionFolder, load
    from ipis.ssb.register.supplied import _elsewhere, _long_term

    collection = load(DefinitionFolder.packaged("iplos", YEAR))
    person = pa.array([b"p" * 16, b"q" * 16, None], pa.binary(16))

    def services(*rows):
        names = ("_person", "kode", "startDato", "sluttDato")
        types = (pa.int32(), pa.string(), pa.date32(), pa.date32())
        columns = zip(*rows, strict=True)
        return pa.table({n: pa.array(c, t) for n, t, c in zip(names, types, columns, strict=True)})

    there = services((0, "21", date(YEAR, 3, 31), date(YEAR, 6, 30)))
    stays = _long_term(there, pa.chunked_array([person]), NABO, collection)
    here = services((0, "21", start, end), (1, "21", start, end), (0, "15", start, end), (2, "21", start, end))
    assert _elsewhere(here, person, stays, TESTVIK, collection).to_pylist() == [said, "2", "2", None]
    assert _elsewhere(here, person, stays, NABO, collection).to_pylist()[0] == "2"


def test_staff_see_what_no_municipality_is_told(room, load, packed, client):
    """K028: persons that five municipalities report; in the console, and nowhere in any zip."""
    from django.contrib.auth.models import User

    for kommune in (TESTVIK, NABO, "0101", "0104", "0105"):
        enrol(room, kommune)
        last, _ = load(kommune=kommune, persons=3)
    worker(room).run(once=True)
    for one in tilbakemeldinger():
        assert "K028" not in {row["rule"] for row in listed(opened(closed(room, one)))}
    client.force_login(User.objects.create_user("ane"))
    overview = client.get("/saksbehandler/", headers={"host": "localhost"}).content.decode()
    assert overview.count("Funn bare for saksbehandlere") == 5
    page = client.get(f"/saksbehandler/forsendelse/{last.forsendelse}/funn", headers={"host": "localhost"})
    text = page.content.decode()
    assert "<dt>K028</dt><dd>3</dd>" in text
    assert "B1" not in text


def test_the_staffs_findings_are_behind_the_login(load, client):
    row, _ = load(persons=2)
    answer = client.get(f"/saksbehandler/forsendelse/{row.forsendelse}/funn", headers={"host": "localhost"})
    assert (answer.status_code, "innlogging" in answer["Location"]) == (302, True)
