"""What only the register knows: the same person elsewhere in the year. Told to staff, never in feedback."""

import random
from dataclasses import replace
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.ssb.conftest import IN_WINDOW, enrol
from tests.ssb.fake_tpf import BYDAL, NABO, TESTVIK, YEAR
from tests.ssb.feedback_room import closed, listed, opened, packed, tilbakemeldinger, worker

from ipis.ssb.register.models import Delivery
from ipis.ssb.register.objects import ObjectStore

__all__ = ["packed"]


@pytest.fixture
def supplied(room):
    """The supplied columns of a delivery: antall_kommuner by person, langtid_annen_kommune by service."""
    from ipis.ssb.packs import pack_of
    from ipis.ssb.register.deliveries import open_tables
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


SENDERS = ((TESTVIK, "00"), (NABO, "00"), (BYDAL, "01"), (BYDAL, "02"), ("0101", "00"))
PERSON = pa.schema([("pseudonym", pa.binary(16)), ("id_class", pa.string())])
SERVICE = pa.schema(
    [("_person", pa.int32()), ("kode", pa.string()), ("startDato", pa.date32()), ("sluttDato", pa.date32())]
)


class Drawn:
    """A register of deliveries drawn at random, as files and rows; what is expected of it is told person by person."""

    def __init__(self, seed, store):
        self.random, self.store, self.known = random.Random(seed), store, []

    def deliver(self, year):
        """Put one more delivery in place: few persons, many stays, now and then late, closed or reopened."""
        kommune, bydel = self.random.choice(SENDERS)
        sequence = 1 + sum((one.kommune, one.bydel, one.year) == (kommune, bydel, year) for one, _ in self.known)
        tables = {"person": self.persons(), "tjeneste": self.services(year)}
        one = Delivery.objects.create(
            register="iplos", year=year, kommune=kommune, bydel=bydel, sequence=sequence,
            forsendelse=f"{self.random.getrandbits(128):032x}", phase=self.random.choice(["open", "late", "closed"]),
            reopened=self.random.random() < 0.2, arrived_at=IN_WINDOW, loaded_at=IN_WINDOW, pack_version=1,
            pin_generation=1, key_version=1, rows={name: its.num_rows for name, its in tables.items()},
            objects_sha256={f"{name}.parquet": "" for name in tables},
        )  # fmt: skip
        for name, table in tables.items():
            file = self.store.file(one.folder, f"{name}.parquet")
            file.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, file)
        self.known.append((one, tables))

    def persons(self):
        chosen = self.random.sample(range(12), 6)
        classes = [self.random.choice(["national", "national", "unlinkable"]) for _ in chosen]
        return pa.table([[bytes([each]) * 16 for each in chosen], classes], schema=PERSON)

    def services(self, year):
        rows = [
            (
                self.random.choice([*range(6), None]),
                self.random.choice(["21", "21", "15", None]),
                self.random.choice([date(year, self.random.randint(1, 12), 1), None]),
                self.random.choice([date(year, self.random.randint(1, 12), 28), None]),
            )
            for _ in range(12)
        ]
        return pa.table([list(column) for column in zip(*rows, strict=True)], schema=SERVICE)

    def expected(self, one, tables):
        """Both columns of a delivery, by looking through every other delivery for every row."""
        newest = {(of.kommune, of.bydel): (of, its) for of, its in self.known if of.year == one.year and counts(of)}
        owners = nationals(tables)
        number = [
            who and max(1, len({of.kommune for of, its in newest.values() if who in nationals(its)})) for who in owners
        ]
        stays = [
            (of.kommune, *stay) for of, its in newest.values() for stay in long_stays(its, of.year) if None not in stay
        ]
        said = ["2"] * tables["tjeneste"].num_rows
        for place, (who, start, end) in long_stays(tables, one.year, numbered=True):
            met = [kommune for kommune, *stay in stays if stay[0] == who and overlap(start, end, *stay[1:])]
            said[place] = None if None in (who, start) else "1" if set(met) - {one.kommune} else "2"
        return number, said


def counts(one):
    return one.phase in ("open", "late") or one.reopened


def nationals(tables):
    rows = tables["person"].to_pylist()
    return [row["pseudonym"] if row["id_class"] == "national" else None for row in rows]


def long_stays(tables, year, *, numbered=False):
    """Who is where from when to when, of one delivery; numbered: with the place of the row."""
    owners, found = nationals(tables), []
    for place, row in enumerate(tables["tjeneste"].to_pylist()):
        if row["kode"] == "21":
            who = None if row["_person"] is None else owners[row["_person"]]
            found.append((place, (who, row["startDato"], row["sluttDato"] or date(year, 12, 31))))
    return found if numbered else [stay for _, stay in found]


def overlap(start, end, first, last):
    return start is not None and start <= last and first <= end


@pytest.mark.parametrize("seed", range(6))
def test_a_view_gives_what_looking_through_the_whole_register_gives(room, seed):
    """Two years in turn, deliveries replaced and come in meanwhile, asked about alone and together."""
    from ipis.ssb.packs import pack_of
    from ipis.ssb.register.supplied import RegisterView

    drawn, view = Drawn(seed, ObjectStore(room.objects)), RegisterView()
    seen = set()
    for turn in range(12):
        for _ in range(3):
            drawn.deliver(YEAR - turn % 2)
        year = drawn.random.choice([YEAR, YEAR, YEAR - 1])
        its = [(one, tables) for one, tables in drawn.known if one.year == year]
        asked = drawn.random.sample(its, drawn.random.randint(min(1, len(its)), len(its)))
        given = view.supply(
            [one for one, _ in asked], [its for _, its in asked], drawn.store, pack_of(room, "iplos", year).collection
        )
        for (one, tables), got in zip(asked, given, strict=True):
            number, said = got["person"]["antall_kommuner"], got["tjeneste"]["langtid_annen_kommune"]
            assert (number.type, said.type) == (pa.int16(), pa.string())
            assert (number.to_pylist(), said.to_pylist()) == drawn.expected(one, tables)
            seen |= set(said.to_pylist())
    assert seen == {"1", "2", None}


def test_a_delivery_is_read_once_while_its_year_is_asked_about(room, monkeypatch):
    """Also with the year before asked about in between; a third year makes room."""
    from ipis.ssb.packs import pack_of
    from ipis.ssb.register import supplied as module

    read, columns_of = [], module.columns_of
    monkeypatch.setattr(module, "columns_of", lambda one, *rest: read.append(one.pk) or columns_of(one, *rest))
    drawn, view = Drawn(1, ObjectStore(room.objects)), module.RegisterView()
    for year in (YEAR, YEAR - 1):
        for _ in range(4):
            drawn.deliver(year)
    of = {year: pack_of(room, "iplos", year).collection for year in (YEAR, YEAR - 1)}
    for year in (YEAR, YEAR - 1, YEAR, YEAR - 1):
        one, tables = next((one, tables) for one, tables in drawn.known if one.year == year)
        view.supply([one], [tables], drawn.store, of[year])
    assert read
    assert all(read.count(pk) == 2 for pk in set(read)), "person and tjeneste, once each"
    assert len(view._read) == 2
    view.supply([], [], drawn.store, replace(of[YEAR], year=YEAR + 1))
    assert sorted(year for _, year, _ in view._read) == [YEAR - 1, YEAR + 1]


def test_a_column_that_a_newer_pack_declares_is_supplied_by_a_view_that_runs_on(room):
    """A pack may change in mid-collection: what was read without long-term stays is read again."""
    from ipis.ssb.packs import pack_of
    from ipis.ssb.register.supplied import ELSEWHERE, RegisterView

    drawn, view = Drawn(2, ObjectStore(room.objects)), RegisterView()
    for _ in range(8):
        drawn.deliver(YEAR)
    newer = pack_of(room, "iplos", YEAR).collection
    records = newer.layout.records
    service = replace(records["tjeneste"], supplied={})
    older = replace(newer, layout=replace(newer.layout, records={**records, "tjeneste": service}))
    deliveries, tables = zip(*drawn.known, strict=True)
    before = view.supply(deliveries, tables, drawn.store, older)
    assert {ELSEWHERE in its["tjeneste"].column_names for its in before} == {False}
    after = view.supply(deliveries, tables, drawn.store, newer)
    assert "1" in {said for its in after for said in its["tjeneste"][ELSEWHERE].to_pylist()}
    assert after == RegisterView().supply(deliveries, tables, drawn.store, newer)


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
