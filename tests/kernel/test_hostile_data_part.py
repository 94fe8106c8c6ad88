"""What a hostile sender could put into a data part that is sealed and signed as it should be."""

import contextlib
import io
import struct
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.kernel import parcel_cast as cast

from ipis.kernel import container, opening, parquet
from ipis.kernel.confined import Confined
from ipis.kernel.errors import IpisError, ParcelRefused
from ipis.kernel.manifest import Part, commitment_of
from ipis.kernel.parquet import read_part_parquet, write_parquet
from ipis.kernel.parts import Content, Header, clear_part
from ipis.kernel.rows import KEY_TYPE, LOKAL, all_keys, content_sha256, part_schemas

PART = Part("data-0001.age", "data", 1, 1, "0" * 16, 1, "0" * 64, 1)
SCHEMA = pa.schema([pa.field("person_key", KEY_TYPE, nullable=False), ("kode", pa.string()), ("antall", pa.int32())])


@pytest.fixture(scope="module")
def rows():
    return cast.rows(persons=6)


def code_of(call, *args, **kwargs):
    with pytest.raises(IpisError) as caught:
        call(*args, **kwargs)
    assert caught.value.render("nb").expected != "a text for this code in the catalogue"
    return caught.value.code


def staged(folder, keys, rows, *, tables=None, lokal=None, members=None, content=None, part_rows=None):
    """Write a clear data part as `sealed.open_to_file` would leave it, true but for what is asked to differ."""
    tables, lokal = tables or rows.tables, rows.lokal if lokal is None else lokal
    listed = {**tables, LOKAL: lokal}
    counts = {name: table.num_rows for name, table in listed.items()}
    true = Content(
        "data", commitment_of(all_keys(tables).tobytes()), counts, content_sha256(tables, lokal, rows.layout)
    )
    sources = [
        container.Source.of_bytes(f"{name}.parquet", memoryview(write_parquet(table))) for name, table in listed.items()
    ]
    sources = [replace_source(source, members or {}) for source in sources]
    path = folder / "clear"
    container.write(path, clear_part(cast.facts(keys), content or true, (1, 1), part_rows or counts, sources))
    return path


def replace_source(source, members):
    return container.Source.of_bytes(source.name, members[source.name]) if source.name in members else source


def read(path, keys, rows):
    part = opening.read_data_part(path, PART, cast.facts(keys), rows.layout)
    return opening.join_data([part], rows.layout)


def test_a_true_part_is_read(tmp_path, keys, rows):
    joined = read(staged(tmp_path, keys, rows), keys, rows)
    assert joined.tables["person"].equals(rows.tables["person"])
    assert joined.lokal.equals(rows.lokal)


def test_rows_out_of_order_are_refused(tmp_path, keys, rows):
    person = rows.tables["person"]
    turned = {**rows.tables, "person": person.take(pa.array(range(person.num_rows - 1, -1, -1)))}
    assert code_of(read, staged(tmp_path, keys, rows, tables=turned), keys, rows) == "parcel.row_order"


def test_local_keys_without_a_value_doubled_or_unused_are_refused(tmp_path, keys, rows):
    lokal = rows.lokal
    unused = pa.concat_tables([lokal, pa.table({"local_key": [2**63 - 1], "value": ["x"]}, schema=lokal.schema)])
    doubled = pa.concat_tables([lokal.slice(0, 1), lokal])
    for wrong in (lokal.slice(1), unused, doubled):
        assert code_of(
            read, staged(tmp_path, keys, rows, lokal=wrong, content=Content("data", None, {})), keys, rows
        ) in {"parcel.local_keys", "parcel.rows"}
    assert code_of(read, staged(tmp_path, keys, rows, lokal=lokal.slice(1)), keys, rows) == "parcel.local_keys"


def test_a_local_key_for_two_values_in_two_parts_is_refused():
    first = pa.table({"local_key": [1, 2], "value": ["a", "b"]}, schema=cast.rows(1).lokal.schema)
    second = pa.table({"local_key": [2, 3], "value": ["c", "d"]}, schema=first.schema)
    assert code_of(opening._join_lokal, [first, second]) == "parcel.local_keys"
    assert opening._join_lokal([first, first]).equals(first)


def test_counts_commitment_and_content_sum_must_fit_the_rows(tmp_path, keys, rows):
    counts = {name: table.num_rows for name, table in rows.tables.items()} | {LOKAL: rows.lokal.num_rows}
    commitment = commitment_of(all_keys(rows.tables).tobytes())
    summed = content_sha256(rows.tables, rows.lokal, rows.layout)
    cases = [
        (Content("data", commitment, counts | {"person": 7}, summed), "parcel.rows"),
        (Content("data", commitment, counts | {LOKAL: 7_000}, summed), "parcel.rows"),
        (Content("data", "0" * 64, counts, summed), "parcel.commitment"),
        (Content("data", None, counts, summed), "parcel.commitment"),
        (Content("data", commitment, counts, "0" * 64), "parcel.content"),
        (Content("data", commitment, counts, None), "parcel.content"),
        (Content("identity", commitment, counts, summed), "parcel.part_mixed"),
    ]
    for content, code in cases:
        assert code_of(read, staged(tmp_path, keys, rows, content=content), keys, rows) == code
    assert code_of(read, staged(tmp_path, keys, rows, part_rows=counts | {"person": 1}), keys, rows) == "parcel.rows"


def test_padding_that_holds_something_or_is_too_long_is_refused(tmp_path, keys, rows):
    path = staged(tmp_path, keys, rows)
    archive = container.Archive(path, "x")
    members = {name: archive.read(name, 1 << 24) for name in archive.names}
    for padding, code in (
        (b"a" + members["padding"][1:], "parcel.padding"),
        (members["padding"][:-1], "parcel.padding"),
        (members["padding"] + bytes(1 << 16), "parcel.member_size"),
    ):
        container.write(
            path, [container.Source.of_bytes(name, data) for name, data in {**members, "padding": padding}.items()]
        )
        assert code_of(read, path, keys, rows) == code


def test_members_that_are_missing_or_added_are_refused(tmp_path, keys, rows):
    path = staged(tmp_path, keys, rows)
    archive = container.Archive(path, "x")
    members = {name: archive.read(name, 1 << 24) for name in archive.names}
    for wrong in (
        {n: d for n, d in members.items() if n != "stopp.parquet"},
        {**members, "more": b""},
        dict(reversed(members.items())),
    ):
        container.write(path, [container.Source.of_bytes(name, data) for name, data in wrong.items()])
        assert code_of(read, path, keys, rows) == "parcel.part_members"


def table(count=3, **changes):
    columns = {
        "person_key": pa.array([bytes([n]) * 16 for n in range(count)], KEY_TYPE),
        "kode": pa.array(["a"] * count),
        "antall": pa.array([1] * count, pa.int32()),
    }
    return pa.table(columns | changes)


def wrong_types():
    yield table(antall=pa.array([1, 2, 3], pa.int64())), "parcel.column_type"
    yield table(antall=pa.array([1, 2, 3], pa.int16())), "parcel.column_type"
    yield table(antall=pa.array([1.0, 2, 3])), "parcel.column_type"
    yield table(kode=pa.array([b"a", b"b", b"c"])), "parcel.column_type"
    yield table(kode=pa.array([["a"], [], None])), "parcel.columns"
    yield table(kode=pa.array([{"x": 1}] * 3)), "parcel.columns"
    yield table(more=pa.array([1, 2, 3])), "parcel.columns"
    yield table().drop_columns(["kode"]), "parcel.columns"
    yield table().rename_columns(["person_key", "Kode", "antall"]), "parcel.columns"
    yield table().select(["kode", "person_key", "antall"]), "parcel.columns"
    yield table(person_key=pa.array([b"x" * 15] * 3, pa.binary(15))), "parcel.column_type"
    yield table(kode=pa.array(["x" * 1001, "y", "z"])), "parcel.string_length"
    yield table(kode=pa.array([None, "y", "æ" * 1001])), "parcel.string_length"
    yield table(kode=pa.array(["x", "y\0", "z"])), "parcel.character"
    yield table(kode=pa.array([None, "y", "\uffff"])), "parcel.character"


def test_length_of_a_text_is_counted_in_characters():
    columns = [field.with_nullable(False) if field.name == "person_key" else field for field in table().schema]
    longest = table(kode=pa.array(["æ" * 1000, None, "x"])).cast(pa.schema(columns))
    read = read_part_parquet(write_parquet(longest, dictionary=False), SCHEMA, name="x")
    assert read["kode"].to_pylist() == longest["kode"].to_pylist()


@pytest.mark.parametrize(("wrong", "code"), list(wrong_types()))
def test_another_column_type_name_order_or_nesting_is_refused(wrong, code):
    columns = [field.with_nullable(False) if field.name == "person_key" else field for field in wrong.schema]
    raw = write_parquet(wrong.cast(pa.schema(columns)))
    assert code_of(read_part_parquet, raw, SCHEMA, name="x") == code


def test_a_required_column_that_is_optional_is_refused():
    assert code_of(read_part_parquet, write_parquet(table()), SCHEMA, name="x") == "parcel.column_type"


def right(count=3):
    return table(count).cast(SCHEMA)


def as_parquet(arrow, **options):
    sink = io.BytesIO()
    pq.write_table(
        arrow.replace_schema_metadata(None), sink, **({"store_schema": False, "compression": "zstd"} | options)
    )
    return sink.getvalue()


def test_the_agreed_form_is_read_zstd_or_uncompressed_and_empty():
    for options in ({}, {"compression": "none"}):
        assert read_part_parquet(as_parquet(right(), **options), SCHEMA, name="x").equals(right())
    assert read_part_parquet(write_parquet(SCHEMA.empty_table()), SCHEMA, name="x").num_rows == 0


@pytest.mark.parametrize("compression", ["snappy", "gzip", "brotli", "lz4"])
def test_another_compression_is_refused(compression):
    assert (
        code_of(read_part_parquet, as_parquet(right(), compression=compression), SCHEMA, name="x") == "parcel.parquet"
    )


def test_key_value_metadata_is_refused():
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, SCHEMA, compression="zstd", store_schema=False) as writer:
        writer.write_table(right())
        writer.add_key_value_metadata({"who": "somebody"})
    assert code_of(read_part_parquet, sink.getvalue(), SCHEMA, name="x") == "parcel.parquet"
    assert code_of(read_part_parquet, as_parquet(right(), store_schema=True), SCHEMA, name="x") == "parcel.parquet"


def test_too_many_rows_or_too_large_row_groups_are_refused(monkeypatch):
    assert code_of(read_part_parquet, write_parquet(right(30)), SCHEMA, name="x", max_rows=29) == "parcel.rows"
    monkeypatch.setattr(parquet, "ROWS_PER_GROUP", 20)
    assert code_of(read_part_parquet, as_parquet(right(30)), SCHEMA, name="x") == "parcel.rows"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"PAR1",
        b"PAR1" + bytes(100) + b"PAR1",
        b"PAR1" + bytes(4) + struct.pack("<I", 1 << 30) + b"PAR1",
        b"PARE" + bytes(20) + b"PARE",
    ],
)
def test_what_is_no_parquet_is_refused(raw):
    assert code_of(read_part_parquet, raw, SCHEMA, name="x") == "parcel.parquet"


def test_every_tenth_flipped_byte_is_read_alike_or_refused():
    """No crash and no other kind of error: a child process would be replaced for it, a worker would be lost."""
    raw = as_parquet(right(50))
    for at in range(0, len(raw), 10):
        changed = bytearray(raw)
        changed[at] ^= 8
        with contextlib.suppress(ParcelRefused):
            read_part_parquet(bytes(changed), SCHEMA, name="x")


def bomb(count=40_000_000):
    """A few kilobytes that unfold to many gigabytes: one short text, told to stand in every row of 400 row groups."""
    sink = io.BytesIO()
    group = pa.table({"kode": pa.array(["x" * 1000] * 100_000).dictionary_encode()})
    with pq.ParquetWriter(
        sink, pa.schema([("kode", pa.string())]), compression="zstd", store_schema=False, write_statistics=False
    ) as writer:
        for _ in range(count // 100_000):
            writer.write_table(group.cast(pa.schema([("kode", pa.string())])))
    return sink.getvalue()


def test_a_parquet_bomb_is_refused_in_the_child_and_the_next_file_is_read():
    raw = bomb(6_000_000)
    assert len(raw) < 300_000
    schema = pa.schema([("kode", pa.string())])
    with Confined(memory_bytes=512 << 20, cpu_seconds=20) as child:
        assert code_of(child.run, count_rows, raw, schema) == "parcel.limits"
        assert child.run(count_rows, bytes(write_parquet(right())), SCHEMA) == 3


def count_rows(raw, schema):
    return read_part_parquet(raw, schema, name="x").num_rows


def test_metadata_that_claim_more_than_a_row_group_may_hold_are_refused(monkeypatch):
    monkeypatch.setattr(parquet, "MAX_GROUP_BYTES", 10)
    assert code_of(read_part_parquet, as_parquet(right()), SCHEMA, name="x") == "parcel.rows"


def test_every_table_of_the_layout_keeps_its_columns_through_parquet(rows):
    for name, schema in part_schemas(rows.layout).items():
        content = rows.lokal if name == LOKAL else rows.tables[name]
        assert content.schema.equals(schema)
        assert read_part_parquet(write_parquet(content), schema, name=name).equals(content)


def test_an_identity_part_whose_records_do_not_add_up_is_refused(tmp_path, keys):
    facts = cast.facts(keys)
    records = np.zeros((2, 32), np.uint8)
    records[1, 0] = 1
    commitment = commitment_of(records[:, :16].tobytes())
    from ipis.kernel.sealed import seal_bytes

    for part_rows, body, code in (
        ({"identity": 3}, records.tobytes(), "parcel.rows"),
        ({"identity": 2}, records.tobytes()[:-1], "parcel.rows"),
    ):
        sources = clear_part(
            facts,
            Content("identity", commitment, {"identity": 2}),
            (1, 1),
            part_rows,
            [container.Source.of_bytes("identities.bin", body)],
        )
        whole = seal_bytes(b"".join(container.stream(sources)), keys.tpf.recipient)
        part = Part("identity-0001.age", "identity", 1, 1, keys.tpf.key_id, 1, "0" * 64, 1)
        assert code_of(opening.open_identity, whole, part, facts, keys.tpf) == code


@pytest.mark.parametrize("order", [[1, 0], [0, 0]])
def test_identities_out_of_order_or_twice_are_refused(keys, order):
    records = np.zeros((2, 32), np.uint8)
    records[1, 0] = 1
    chosen = records[order]
    header = Header(
        cast.facts(keys),
        "identity",
        1,
        1,
        commitment_of(chosen[:, :16].tobytes()),
        {"identity": 2},
        {"identity": 2},
        None,
    )
    assert code_of(opening.join_identities, [opening.IdentityPart(header, chosen.tobytes())]) == "parcel.commitment"
    short = opening.IdentityPart(replace(header, rows={"identity": 3}), chosen.tobytes())
    assert code_of(opening.join_identities, [short]) == "parcel.rows"
