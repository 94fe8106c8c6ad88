"""A forsendelse becomes a delivery: whole, once, under SSB's own pseudonyms, with R3 and without what must not be kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.ssb.fake_tpf import KEY_CHECK, NABO, TESTVIK, layout, pseudonym_of, resigned, seal_mappings

from ipis.kernel.canonical import sha256
from ipis.kernel.environment import Environment
from ipis.kernel.errors import OurFault
from ipis.kernel.manifest import Manifest
from ipis.kernel.receipt import check_tree, short_code
from ipis.lib.jobs import Batch, JobState
from ipis.ssb.intake import opening
from ipis.ssb.intake.children import Children
from ipis.ssb.intake.load import Loader, release
from ipis.ssb.intake.models import DueMail, Forsendelse, KeyCheck
from ipis.ssb.intake.transitions import ALLOWED, State, diagram, move
from ipis.ssb.keys import LAYER, intake_keys
from ipis.ssb.layer import LayerKey
from ipis.ssb.packs import pack_of
from ipis.ssb.register.deliveries import LOKAL_SCHEMA, key_tables, lokal, open_tables, shown_keys
from ipis.ssb.register.kvittering import signed_of
from ipis.ssb.register.models import AuditEvent, Delivery, Job, Kvittering
from ipis.ssb.register.objects import ObjectStore


@pytest.fixture
def store(room):
    return ObjectStore(room.objects)


def by_row(table, known):
    """Give rows as dicts with the ids as the municipality wrote them."""
    names = dict(zip(known["local_key"].to_pylist(), known["value"].to_pylist(), strict=True))
    rows = table.to_pylist()
    for row in rows:
        for field, value in row.items():
            if field in ("brukerNr", "tjenesteId", "vedtakId") and value is not None:
                row[field] = names[value]
    return rows


class TestDelivery:
    def test_forwarded_parcel_is_loaded(self, load):
        """Every record type arrives with its rows, and the catalogue row says so."""
        row, made = load()
        assert (row.state, row.problem) == ("cleared", "")
        delivery = Delivery.objects.get()
        assert row.delivery == delivery
        assert delivery.rows == {name: table.num_rows for name, table in made.tables.items()}
        assert (delivery.kommune, delivery.sequence, delivery.phase) == (TESTVIK, 1, "open")

    def test_rows_hang_on_their_person_and_orphans_on_none(self, load, store):
        """`_person` is the row of the person with the same brukerNr, null where the municipality had none."""
        load()
        delivery = Delivery.objects.get()
        tables, known = open_tables(delivery, store), lokal(delivery, store)
        persons = [row["brukerNr"] for row in by_row(tables["person"], known)]
        for row in by_row(tables["tjeneste"], known):
            assert row["brukerNr"] == ("BNone" if row["_person"] is None else persons[row["_person"]])
        assert tables["tjeneste"]["_person"].null_count == 1
        assert tables["person"]["_person"].to_pylist() == tables["person"]["_row"].to_pylist() == list(range(30))

    def test_pseudonyms_stand_under_our_own_layer(self, load, store, room):
        """What is stored is AES(k_ssb, p); TPF's pseudonym stands nowhere."""
        load()
        delivery = Delivery.objects.get()
        tables, known = open_tables(delivery, store), lokal(delivery, store)
        layer = LayerKey.load(room.keys / LAYER, Environment.TEST)
        import numpy as np

        for row in by_row(tables["person"], known):
            tpfs = pseudonym_of(int(row["brukerNr"][1:]))
            ours = layer.cover(np.frombuffer(tpfs, np.uint8).reshape(1, 16)).tobytes()
            assert row["pseudonym"] == ours
            assert tpfs not in b"".join(path.read_bytes() for path in store.path(delivery.folder).iterdir())

    def test_same_person_has_the_same_pseudonym_in_every_delivery(self, load, store):
        """Fresh person keys each time, and still the register can follow a person."""
        load()
        load(sequence=2)
        found = [
            {row["brukerNr"]: row["pseudonym"] for row in by_row(open_tables(d, store)["person"], lokal(d, store))}
            for d in Delivery.objects.all()
        ]
        assert found[0] == found[1]

    def test_supplied_columns_come_from_the_mapping(self, load, store):
        """Sex, birth year, age, class and reason are TPF's; the age is collection year less birth year."""
        load()
        delivery = Delivery.objects.get()
        for row in by_row(open_tables(delivery, store)["person"], lokal(delivery, store)):
            n = int(row["brukerNr"][1:])
            assert (row["kjoenn"], row["foedselsaar"]) == (("1", "2")[n % 2], 1930 + n % 60)
            assert row["alder"] == delivery.year - row["foedselsaar"]
            assert (row["id_class"], row["id_reason"]) == ("national", "ok")

    def test_no_key_of_the_join_is_kept(self, load, store):
        """The person key falls away with the join."""
        load()
        tables = open_tables(Delivery.objects.get(), store)
        assert not any("person_key" in table.column_names for table in tables.values())

    def test_lokal_gives_back_what_the_municipality_wrote(self, load, store):
        """Feedback shows brukerNr and the record's own id by row number."""
        load()
        delivery = Delivery.objects.get()
        id_fields = {"tjeneste": "tjenesteId", "vurdering": "dato", "person": ""}
        tables = key_tables(delivery, store, layout())
        keys = shown_keys({name: tables[name] for name in id_fields}, id_fields, lokal(delivery, store))
        shown = keys["tjeneste"].to_pylist()
        assert {row["id"] for row in shown} == {f"tjenesteId-{n}-1" for n in range(61)}
        assert {row["brukerNr"] for row in shown} == {f"B{n}" for n in range(30)} | {"BNone"}
        assert all(row["id"].startswith(str(delivery.year)) for row in keys["vurdering"].to_pylist())
        assert keys["person"]["id"].null_count == 30
        few = shown_keys({"tjeneste": tables["tjeneste"].slice(5, 2)}, id_fields, lokal(delivery, store))
        assert few["tjeneste"].to_pylist() == shown[5:7]

    def test_destroyed_lokal_shows_no_key(self, load, store):
        load()
        tables = key_tables(Delivery.objects.get(), store, layout())
        keys = shown_keys(tables, dict.fromkeys(tables, ""), LOKAL_SCHEMA.empty_table())
        assert keys["tjeneste"]["brukerNr"].null_count == 61

    def test_split_parts_are_joined(self, load):
        """Data and mapping in several parts give the same delivery as in one."""
        row, made = load(persons=2_000, part_bytes=500_000, mapping_parts=3)
        assert sum(name.startswith("data-") for name in made.members) > 1
        assert row.state == "cleared"
        assert Delivery.objects.get().rows["person"] == 2_000

    def test_same_content_as_before_is_noted(self, load):
        """K014: the same rows again are loaded, and the delivery and R3 say so."""
        load()
        load(sequence=2)
        load(sequence=3, seed=2)
        first, second, third = Delivery.objects.all()
        assert (first.same_content_as, second.same_content_as, third.same_content_as) == (None, first, None)
        details = [
            json.loads(bytes(k.body))["details"]["same_content_as"] for k in Kvittering.objects.filter(kind="R3")
        ]
        assert details == [None, first.forsendelse, None]

    def test_another_municipality_with_the_same_content_is_not_noted(self, load):
        """Nabo's content is compared with Nabo's own only."""
        load()
        load(kommune=NABO)
        assert Delivery.objects.get(kommune=NABO).same_content_as is None

    def test_delivery_of_the_year_before_goes_by_its_own_definitions(self, load):
        """Both years stand side by side."""
        load(year=2016, arrived_at=datetime(2017, 1, 3, 9, tzinfo=UTC))
        load()
        assert [d.year for d in Delivery.objects.all()] == [2016, 2017]


class TestWhatIsKept:
    def test_parts_and_mapping_are_deleted_after_r3(self, load, room):
        """Manifest, signatures, receipts and the sealed contact stay; nothing else."""
        row, made = load()
        kept = {path.name for path in (room.intake / made.forsendelse).iterdir()}
        assert kept == {
            "manifest.json", "manifest.json.sig", "contact.age", "R1.json", "R1.json.sig", "R2.json", "R2.json.sig",
        }  # fmt: skip
        deleted = set(row.members.exclude(deleted_at=None).values_list("name", flat=True))
        assert deleted == set(made.members) - kept
        assert not list((room.data / "staging").iterdir())

    def test_contact_is_not_opened(self, load, room):
        """The intake worker holds no key for it: the bytes are as they came."""
        _, made = load()
        assert (room.intake / made.forsendelse / "contact.age").read_bytes() == made.members["contact.age"]

    def test_audit_chain_holds_and_names_no_person(self, load):
        """Every change has its event, and the chain is whole."""
        load()
        assert AuditEvent.first_broken() is None
        assert [e.event for e in AuditEvent.objects.all()] == [
            "forsendelse.received", "forsendelse.loaded", "kvittering.R3", "forsendelse.cleared",
        ]  # fmt: skip


class TestR3:
    def test_r3_hangs_on_r2_and_counts_the_rows(self, load, room, tpf):
        """R3 is signed by SSB's receipt key, names R2 as its cause, and tells what was loaded."""
        _, made = load()
        row = Kvittering.objects.get(kind="R3")
        pack = pack_of(room, "iplos", 2017)
        receipt = signed_of(row).verify(pack.signing_keys("ssb-receipt"), Environment.TEST)
        assert receipt.causes == sha256(made.members["R2.json"])
        assert receipt.details["rows_person"] == 30
        assert receipt.details["content_sha256"] == Delivery.objects.get().content_sha256
        assert receipt.audit_head == AuditEvent.objects.get(event="kvittering.R3").hash
        assert row.short_code == short_code(bytes(row.body))
        check_tree([signed_of(each) for each in Kvittering.objects.all()])

    def test_posting_clearing_and_feedback_are_queued_with_the_catalogue_row(self, load):
        """The jobs that follow are rows of the same transaction."""
        _, made = load()
        jobs = set(Job.objects.values_list("kind", "subject"))
        r3 = Kvittering.objects.get(kind="R3")
        assert jobs == {
            ("load", made.forsendelse), ("clear", made.forsendelse), ("feedback", made.forsendelse), ("post", r3.sha256),
        }  # fmt: skip


class TestRefusals:
    def refused(self, load, code, **content):
        row, made = load(**content)
        assert (row.state, row.problem) == ("refused", code)
        assert not Delivery.objects.exists()
        return row, made

    def test_leak_is_refused_whole(self, load, room):
        """A text column in which every value is an identity number: nothing is loaded, the parts are deleted."""
        row, made = self.refused(load, "intake.leak", text="se 018150 12352 nr {n}")
        assert not list(room.objects.rglob("*.parquet"))
        assert "data-0001.age" not in {path.name for path in (room.intake / made.forsendelse).iterdir()}
        assert DueMail.objects.get(forsendelse=row).kind == "avvist"
        assert Kvittering.objects.filter(kind="R3").count() == 0

    def test_next_correct_one_succeeds(self, load):
        """A refusal leaves nothing in the way, not even its number."""
        self.refused(load, "intake.leak", text="01815012352 {n}")
        row, _ = load()
        assert row.state == "cleared"
        assert Delivery.objects.get().sequence == 1

    def test_mapping_of_another_parcel_is_refused(self, make, door, intake, tpf, room):
        """The person keys of data and mapping are compared by their commitment."""
        one, other = make(), make(sequence=2)
        mixed = resigned(tpf, one, members=one.members | {"mapping-0001.age": other.members["mapping-0001.age"]})
        assert self.run(door, intake, mixed).problem == "parcel.part_mixed"

    @pytest.mark.parametrize("rows", [slice(1, None), slice(0, -1)])
    def test_mapping_without_every_person_is_refused(self, make, door, intake, tpf, room, tmp_path, rows):
        """Never a row dropped silently."""
        made = make()
        table = made.mapping.slice(rows.start, made.mapping.num_rows - 1)
        assert (
            self.run(door, intake, self.with_mapping(made, table, tpf, room, tmp_path)).problem == "parcel.commitment"
        )

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("id_class", pa.scalar("famous")),
            ("id_reason", pa.scalar("because")),
            ("kjoenn", pa.scalar("3")),
            ("key_version", pa.scalar(7, pa.int16())),
            ("foedselsaar", pa.scalar(2018, pa.int16())),
            ("foedselsaar", pa.scalar(1700, pa.int16())),
        ],
    )
    def test_mapping_with_a_value_outside_the_format_is_refused(
        self, make, door, intake, tpf, room, tmp_path, column, value
    ):
        """What SSB does not know it does not load."""
        made = make()
        table = made.mapping.set_column(
            made.mapping.column_names.index(column), made.mapping.schema.field(column), pa.repeat(value, 31)
        )
        assert self.run(door, intake, self.with_mapping(made, table, tpf, room, tmp_path)).problem == "intake.mapping"

    def test_flipped_bit_inside_a_part_is_refused(self, make, door, intake, tpf):
        """Signed by TPF and still not what was sealed: the last chunk does not verify."""
        made = make()
        spoilt = bytearray(made.members["mapping-0001.age"])
        spoilt[-1] ^= 1
        members = made.members | {"mapping-0001.age": bytes(spoilt)}
        assert self.run(door, intake, resigned(tpf, made, members=members)).problem == "parcel.sealed_damaged"

    def test_refused_parcel_stays_refused(self, make, door, intake, load):
        """The same parcel again is answered from the row; nothing is tried twice."""
        _, made = self.refused(load, "intake.leak", text="01815012352 {n}")
        door.put_all(made)
        assert door.post(made).status_code == 202
        intake.run(once=True)
        assert Forsendelse.objects.get().state == "refused"

    @staticmethod
    def with_mapping(made, table, tpf, room, tmp_path):
        facts = Manifest.parse(made.members["manifest.json"]).facts
        sealed = seal_mappings(tmp_path, facts, table, pack_of(room, "iplos", 2017), 1)
        return resigned(tpf, made, members=made.members | sealed)

    @staticmethod
    def run(door, intake, made):
        door.send(made)
        intake.run(once=True)
        row = Forsendelse.objects.get(forsendelse=made.forsendelse)
        assert row.state == "refused"
        assert not Delivery.objects.exists()
        return row


class TestKeyCheck:
    def test_first_value_is_kept(self, load):
        load()
        assert KeyCheck.objects.get().value == KEY_CHECK

    def test_another_value_stops_intake(self, load, room):
        """A changed key at TPF would split every person in two: held, and nothing is deleted."""
        load()
        row, made = load(sequence=2, key_check="000000")
        assert (row.state, row.problem) == ("held", "intake.key_check")
        assert Delivery.objects.count() == 1
        assert "data-0001.age" in {path.name for path in (room.intake / made.forsendelse).iterdir()}

    def test_value_of_another_version_is_its_own(self, load):
        load()
        row, _ = load(sequence=2, key_check="057533", key_version=2)
        assert row.state == "cleared"

    def test_staff_release_with_the_value_confirmed(self, load, intake):
        """Released, it is loaded under the value that staff confirmed; the earlier one is then the wrong one."""
        assert released(load, intake, key_check=True).state == "cleared"
        assert KeyCheck.objects.get().value == "000000"
        assert load(sequence=3)[0].state == "held"

    def test_release_without_confirmation_is_held_again(self, load, intake):
        assert released(load, intake, key_check=False).state == "held"


def released(load, intake, *, key_check):
    """Load a delivery of another key check value that staff then release, with the value confirmed or not."""
    load()
    row, _ = load(sequence=2, key_check="000000")
    release(row, actor="staff:kari", key_check=key_check)
    intake.run(once=True)
    row.refresh_from_db()
    return row


def stored(state):
    """Store a row in a state, however it got there."""
    at = datetime(2018, 1, 3, 9, tzinfo=UTC)
    return Forsendelse.objects.create(
        forsendelse="0" * 32, state=state, register="iplos", year=2017, kommune=TESTVIK, bydel="00", orgnr="900040300",
        sequence=1, phase="open", arrived_at=at, taken_at=at, pin_generation=1, key_version=1,
    )  # fmt: skip


class TestTransitions:
    @pytest.mark.parametrize("was", State)
    @pytest.mark.parametrize("to", State)
    def test_only_what_the_table_allows(self, was, to):
        """The truth table is the table."""
        row = stored(was)
        if to in ALLOWED[was]:
            move(row, to, actor="test")
            assert Forsendelse.objects.get().state == to
        else:
            with pytest.raises(OurFault) as caught:
                move(row, to, actor="test")
            assert caught.value.code == "ssb.transition"
            assert Forsendelse.objects.get().state == was

    def test_a_change_that_somebody_else_made_first_is_refused(self):
        """Two workers cannot both move a row."""
        row = stored(State.RECEIVED)
        Forsendelse.objects.update(state=State.HELD)
        row.state = State.RECEIVED
        with pytest.raises(OurFault):
            move(row, State.LOADED, actor="test")

    def test_every_state_is_in_the_table_and_the_diagram(self):
        assert set(ALLOWED) == set(State)
        assert all(state.value in diagram() for state in State)


class TestTries:
    def test_job_of_a_loaded_parcel_does_nothing(self, load, intake):
        """A job given out twice finds its work done."""
        _, made = load()
        Job.again("load", made.forsendelse)
        intake.run(once=True)
        assert Delivery.objects.count() == 1
        assert Job.objects.get(kind="load").state == JobState.DONE

    def test_missing_pack_waits(self, make, door, intake, room):
        """Without the season pack a parcel waits; it is not refused."""
        made = make()
        door.send(made)
        pack = room.pack / "iplos-2017.sesong"
        aside = pack.rename(pack.with_suffix(".borte"))
        try:
            intake.run(once=True)
        finally:
            aside.rename(pack)
        assert Forsendelse.objects.get().state == "received"
        assert Job.objects.get(kind="load").problem == "ssb.no_pack"
        Job.objects.update(next_try_at=None)
        intake.run(once=True)
        assert Forsendelse.objects.get().state == "cleared"

    def test_what_cannot_be_read_again_and_again_is_held_for_staff(self, make, door, intake, room):
        """An unforeseen fault of ours never loops for ever, and never throws the parcel away."""
        made = make()
        door.send(made)
        loader = intake.steps["load"].prepare.__self__

        class Broken:
            def run(self, *_):
                raise OurFault("confined.failed", kind="ValueError")

        intake.steps["load"] = Batch(type(loader)(room, loader.keys, Broken()).load_many, 32)
        for _ in range(5):
            Job.objects.update(next_try_at=None)
            intake.run(once=True)
        row = Forsendelse.objects.get()
        assert (row.state, row.problem) == ("held", "intake.unopened")
        assert (room.intake / made.forsendelse / "data-0001.age").exists()


class TestMany:
    """Several wait: the next is opened while the one before is committed."""

    def test_each_becomes_its_own_delivery_and_a_bad_one_spoils_no_other(self, room, make, door, intake):
        rows = {}
        for kommune in ("0403", "0412", "0101"):
            made = make(kommune=kommune, persons=4)
            door.send(made)
            rows[kommune] = made.forsendelse
        (room.intake / rows["0412"] / "data-0001.age").write_bytes(b"another")
        intake.run(once=True)
        assert {d.kommune: d.forsendelse for d in Delivery.objects.all()} == {k: rows[k] for k in ("0403", "0101")}
        assert Forsendelse.objects.get(kommune="0412").state == "held"

    def test_another_key_right_behind_the_first_of_its_version_is_held(self, make, door, intake):
        """Both are opened before either counts; what the first pins is looked at before the second counts."""
        for sequence, check in ((1, "4a1f21"), (2, "4a1f22"), (3, "4a1f21")):
            door.send(make(sequence=sequence, persons=3, key_check=check))
        intake.run(once=True)
        assert list(Forsendelse.objects.order_by("sequence").values_list("state", flat=True)) == [
            "cleared", "held", "cleared",
        ]  # fmt: skip


class TestChild:
    def test_opening_works_in_the_limited_child(self, make, door, intake, room):
        """The real child processes, with their limits, give the same delivery, one after the other and at once."""
        with Children(memory_bytes=room.child_memory_mib << 20) as children:
            intake.steps["load"] = Batch(Loader(room, intake_keys(room), children).load_many, 32)
            for round_ in (1, 2):
                for sequence in (2 * round_ - 1, 2 * round_):
                    door.send(make(sequence=sequence, persons=100 + sequence))
                intake.run(once=True)
        assert [d.rows["person"] for d in Delivery.objects.order_by("sequence")] == [101, 102, 103, 104]

    def test_child_out_of_memory_is_a_refusal(self, make, door, intake, room):
        """What does not fit within the limits is refused; the worker lives, and the next is loaded."""
        with Children(memory_bytes=1 << 20) as children:
            intake.steps["load"] = Batch(Loader(room, intake_keys(room), children).load_many, 32)
            door.send(make(persons=5_000))
            intake.run(once=True)
        row = Forsendelse.objects.get()
        assert (row.state, row.problem) == ("refused", "parcel.limits")


@pytest.mark.parametrize("in_memory", [0, 8 << 20])
def test_parts_opened_on_disk_and_in_memory_give_the_same_delivery(make, door, intake, room, monkeypatch, in_memory):
    """Only what is large is opened into the staging folder, and nothing in clear is left there."""
    made, staged = make(), []
    real = opening.open_to_file
    monkeypatch.setattr(opening, "open_to_file", lambda *a, **k: staged.append(k["part"]) or real(*a, **k))
    monkeypatch.setattr(opening, "_IN_MEMORY", in_memory)
    door.send(made)
    intake.run(once=True)
    assert Delivery.objects.get().rows["person"] == 30
    assert staged == ([] if in_memory else ["data-0001.age", "mapping-0001.age"])
    assert not list((room.data / "staging").rglob("*.age"))


def test_layouts_of_both_years_load(load):
    """The cast's tables cover every record type of the year's layout."""
    _, made = load()
    assert set(made.tables) == set(layout().records)


def test_loaded_at_is_business_time(load, at):
    """The catalogue row carries the clock that windows follow."""
    instant = datetime(2018, 1, 10, 12, 0, tzinfo=UTC)
    at(instant)
    load()
    assert abs(Delivery.objects.get().loaded_at - instant) < timedelta(minutes=1)


def test_every_id_of_a_delivery_is_an_int64(load, store):
    """At SSB ids are local keys, compared for equality only."""
    load()
    tables = open_tables(Delivery.objects.get(), store)
    assert pa.types.is_int64(tables["tjeneste"]["tjenesteId"].type)
    assert pc.count_distinct(tables["tjeneste"]["tjenesteId"]).as_py() == 61
