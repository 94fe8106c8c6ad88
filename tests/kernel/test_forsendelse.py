"""Forsendelser: packed by one, opened by three, the same rows at the end."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from tests.kernel import parcel_cast as cast
from tests.kernel.parcel_hands import code_of, members_of, open_all, receive

from ipis.kernel import container, opening, packing, sealed
from ipis.kernel.errors import IpisError
from ipis.kernel.forsendelse import (
    Limits,
    check_complete,
    check_part,
    extract,
    read_container,
)
from ipis.kernel.identifiers import MAPPING_SCHEMA
from ipis.kernel.manifest import MANIFEST, Manifest
from ipis.kernel.rows import KEY_TYPE, content_sha256


def test_what_is_packed_arrives_the_same(real, keys, layout, tmp_path):
    identities, data, contact = open_all(real, keys, layout, tmp_path)
    assert {name: table.num_rows for name, table in data.tables.items()} == {
        "person": 40, "diagnose": 81, "vedtak": 81, "tjeneste": 81, "stopp": 81, "vurdering": 81, "deltakelse": 81,
    }  # fmt: skip
    assert len(identities) == 32 * (40 + 6)
    assert (contact.email, contact.pin, contact.language) == (cast.contact().email, cast.contact().pin, "nb")
    values = dict(zip(data.lokal["local_key"].to_pylist(), data.lokal["value"].to_pylist(), strict=True))
    assert sorted(values.values()) == sorted(f"id-{n}" for n in range(40))
    person, tjeneste = data.tables["person"], data.tables["tjeneste"]
    by_key = dict(zip(person["person_key"].to_pylist(), person["brukerNr"].to_pylist(), strict=True))
    owned = [
        (key, nr)
        for key, nr in zip(tjeneste["person_key"].to_pylist(), tjeneste["brukerNr"].to_pylist(), strict=True)
        if key in by_key
    ]
    assert len(owned) == 80
    assert all(by_key[key] == nr for key, nr in owned)


def test_unparsed_text_and_missing_values_arrive(real, keys, layout, tmp_path):
    _, data, _ = open_all(real, keys, layout, tmp_path)
    before = cast.extract_tables()
    for name, record in layout.records.items():
        for field in record.fields.values():
            if field.identity or field.kind == "id":
                continue
            assert sorted(map(str, data.tables[name][field.name].to_pylist())) == sorted(
                map(str, before[name][field.name].to_pylist())
            )
            if field.has_raw:
                assert (
                    data.tables[name][f"{field.name}__raw"].null_count == before[name][f"{field.name}__raw"].null_count
                )


def test_nothing_of_the_identity_reaches_the_data_part(layout):
    rows = cast.rows()
    for table in rows.tables.values():
        assert not {"fid", "typeID", "_row", "_person"} & set(table.column_names)


def test_rows_are_sorted_by_fresh_keys_and_the_content_sum_does_not_see_them():
    """Two forsendelser of one extract share no key, no order and no local key, but the sum over their content."""
    first, second = cast.rows(), cast.rows()
    assert not set(first.tables["person"]["person_key"].to_pylist()) & set(
        second.tables["person"]["person_key"].to_pylist()
    )
    assert not set(first.lokal["local_key"].to_pylist()) & set(second.lokal["local_key"].to_pylist())
    for table in first.tables.values():
        assert table["person_key"].to_pylist() == sorted(table["person_key"].to_pylist())
    sums = {content_sha256(rows.tables, rows.lokal, rows.layout) for rows in (first, second)}
    assert len(sums) == 1
    fewer = cast.rows(persons=39)
    assert content_sha256(fewer.tables, fewer.lokal, fewer.layout) not in sums


def test_every_clear_part_is_padded_to_64_kib(real, keys):
    """Sealed sizes tell no more than steps of 64 KiB."""
    parcel = receive(real, keys)
    for part, key in zip(parcel.manifest.parts, (keys.tpf, keys.ssb, keys.feedback), strict=True):
        assert len(sealed.open_bytes(parcel.read_part(part), key, part=part.name)) % 65_536 == 0


def test_each_party_opens_its_own_part_only(real, keys):
    parcel = receive(real, keys)
    others = {"identity": (keys.ssb, keys.feedback), "data": (keys.tpf, keys.feedback), "contact": (keys.tpf, keys.ssb)}
    for part in parcel.manifest.parts:
        for key in others[part.role]:
            assert (
                code_of(sealed.open_bytes, parcel.read_part(part), key, part=part.name) == "parcel.sealed_for_another"
            )


def test_the_manifest_holds_no_person_data_and_no_counts(real):
    manifest = json.loads(members_of(real)[MANIFEST])
    assert set(manifest) == {
        "bydel", "created_at", "environment", "files", "format", "forsendelse", "kommune", "orgnr", "pack_version", "parts",
        "program", "register", "replaces", "sender", "sequence", "year",
    }  # fmt: skip


@pytest.fixture(scope="module")
def large(tmp_path_factory, keys):
    """A forsendelse cut into parts and files: limits small enough that Testvik needs several."""
    folder = tmp_path_factory.mktemp("large")
    rows = cast.rows(persons=9000)
    files = cast.pack(
        cast.facts(keys),
        rows,
        cast.contact(),
        keys.recipients,
        keys.sender,
        folder / "storby.forsendelse",
        Limits(460_000, 1_100_000),
    )
    return files, rows


def test_a_large_forsendelse_is_cut_between_persons_and_comes_together_again(large, keys, layout, tmp_path):
    files, rows = large
    containers = [receive(path, keys) for path in files]
    manifest = check_complete(containers)
    assert len(files) > 1
    assert [path.name for path in files[:2]] == ["storby.forsendelse", "storby-2.forsendelse"]
    assert all(path.stat().st_size <= 1_100_000 for path in files)
    assert all(part.size <= 460_000 for part in manifest.parts)
    assert len(manifest.by_role("data")) > 1
    where = {part.name: each for each in containers for part in each.parts}
    parts = []
    for part in manifest.by_role("data"):
        extract(where[part.name], part.name, tmp_path / part.name)
        staged = sealed.open_to_file(tmp_path / part.name, keys.ssb, tmp_path / f"{part.name}.clear", part=part.name)
        parts.append(opening.read_data_part(staged, part, manifest.facts, layout))
    persons = [set(part.tables["tjeneste"]["person_key"].to_pylist()) for part in parts]
    assert not set.intersection(*persons)
    joined = opening.join_data(parts, layout)
    assert joined.tables["tjeneste"].num_rows == rows.tables["tjeneste"].num_rows
    assert joined.lokal.equals(rows.lokal)
    assert code_of(opening.join_data, parts[:-1], layout) == "parcel.part_missing"
    assert code_of(opening.join_data, parts[::-1], layout) == "parcel.part_missing"
    assert code_of(opening.join_data, [], layout) == "parcel.part_missing"


@pytest.mark.parametrize("most", [66_700, 70_000, 131_000, 133_000, 200_000, 1 << 20])
def test_no_part_is_larger_than_asked_for(tmp_path, keys, most):
    """Whole blocks of 64 KiB are filled: one more person would be one block more."""
    rows = cast.rows(persons=700)
    (path,) = cast.pack(
        cast.facts(keys), rows, cast.contact(), keys.recipients, keys.sender, tmp_path / "x", Limits(part=most)
    )
    parts = read_container(path).manifest.parts
    assert max(part.size for part in parts) <= most
    assert (len(parts) == 3) is (most == 1 << 20)


def test_a_single_person_larger_than_a_part_may_be_is_said_so(tmp_path, keys):
    rows = cast.rows(persons=1)
    many = {**rows.tables, "diagnose": pa.concat_tables([rows.tables["diagnose"].slice(0, 1)] * 1_000)}
    with pytest.raises(IpisError) as caught:
        next(packing._cut(replace(rows, tables=many), np.sort(packing._keys(rows.identities))[:1], 1000))
    assert caught.value.code == "seal.part_size"
    assert caught.value.params["least"] > 66_000


def test_files_that_are_missing_doubled_or_of_another_forsendelse_are_refused(large, real, keys):
    containers = [receive(path, keys) for path in large[0]]
    assert code_of(check_complete, containers[1:]) == "parcel.files_missing"
    assert code_of(check_complete, [*containers, containers[0]]) == "parcel.files_missing"
    assert code_of(check_complete, [receive(real, keys), containers[1]]) == "parcel.files_mixed"


def test_limits_too_small_for_anything_are_refused(tmp_path, keys):
    for limits, code in ((Limits(part=1000), "seal.part_size"), (Limits(file=1000), "seal.file_size")):
        assert code_of(cast.packed, tmp_path, keys, limits) == code
    assert list(tmp_path.iterdir()) == []


def test_a_part_is_extracted_whole_or_not_at_all(real, keys, tmp_path):
    members = members_of(real)
    changed = bytearray(real.read_bytes())
    changed[container.Archive(real, "x")["data-0001.age"].start + 500] ^= 1
    path = tmp_path / "x.forsendelse"
    path.write_bytes(changed)
    parcel = read_container(path)
    assert code_of(extract, parcel, "data-0001.age", tmp_path / "out") == "parcel.zip_crc"
    assert [p.name for p in tmp_path.iterdir()] == ["x.forsendelse"]
    extract(read_container(real), "contact.age", tmp_path / "contact.age")
    part = read_container(real).manifest.part("contact.age")
    check_part(tmp_path / "contact.age", part)
    (tmp_path / "contact.age").write_bytes(members["contact.age"][:-1])
    assert code_of(check_part, tmp_path / "contact.age", part) == "parcel.part_size"
    (tmp_path / "contact.age").write_bytes(members["contact.age"][:-1] + b"x")
    assert code_of(check_part, tmp_path / "contact.age", part) == "parcel.part_hash"
    assert code_of(read_container(real).manifest.part, "other.age") == "parcel.member_unknown"


def test_a_part_read_into_memory_is_compared_with_the_manifest(real, keys):
    parcel = read_container(real)
    part = parcel.manifest.part("contact.age")
    assert code_of(parcel.read_part, replace(part, sha256="0" * 64)) == "parcel.part_hash"


def test_the_manifest_reads_back_as_written(real):
    raw = members_of(real)[MANIFEST]
    assert Manifest.parse(raw).to_bytes() == raw


@pytest.fixture
def mapping(real, keys):
    """The mapping that TPF makes for the real forsendelse."""
    parcel = receive(real, keys)
    (part,) = parcel.manifest.by_role("identity")
    opened = opening.open_identity(parcel.read_part(part), part, parcel.manifest.facts, keys.tpf)
    records = np.frombuffer(opening.join_identities([opened]), np.uint8).reshape(-1, 32)
    person_keys = [bytes(record[:16]) for record in records]
    count = len(person_keys)
    table = pa.table(
        {
            "person_key": pa.array(person_keys, KEY_TYPE),
            "pseudonym": pa.array(person_keys, KEY_TYPE),
            "id_class": ["national"] * count,
            "key_version": pa.array([1] * count, pa.int16()),
            "kjoenn": [None, "1"] * (count // 2),
            "foedselsaar": pa.array([1950, None] * (count // 2), pa.int16()),
            "id_reason": ["ok"] * count,
        },
        schema=MAPPING_SCHEMA,
    )
    return parcel.manifest.facts, table, opened.header.commitment


def opened_mapping(facts, pieces, commitment, keys, folder):
    total = sum(piece.num_rows for piece in pieces)
    for k, piece in enumerate(pieces, 1):
        path = folder / f"mapping-{k:04d}.age"
        opening.seal_mapping(facts, piece, (k, len(pieces)), (commitment, total), keys.ssb.recipient, path)
        staged = sealed.open_to_file(path, keys.ssb, folder / f"{k}.clear", part=path.name)
        yield opening.read_mapping_part(staged, (k, len(pieces)), facts, part=path.name)


def test_the_mapping_arrives_in_one_part_or_several(mapping, keys, tmp_path):
    facts, table, commitment = mapping
    for n, pieces in enumerate(([table], [table.slice(0, 20), table.slice(20)])):
        folder = tmp_path / str(n)
        folder.mkdir()
        assert opening.join_mapping(list(opened_mapping(facts, pieces, commitment, keys, folder)), commitment).equals(
            table
        )


def test_a_mapping_of_other_persons_or_with_fewer_is_refused(mapping, keys, tmp_path):
    facts, table, commitment = mapping
    parts = list(opened_mapping(facts, [table.slice(1)], commitment, keys, tmp_path))
    assert code_of(opening.join_mapping, parts, commitment) == "parcel.commitment"
    assert code_of(opening.join_mapping, parts, "0" * 64) == "parcel.commitment"
    assert (
        code_of(opening.read_mapping_part, tmp_path / "1.clear", (1, 1), replace(facts, sequence=2), part="m")
        == "parcel.part_mixed"
    )
    assert code_of(opening.read_mapping_part, tmp_path / "1.clear", (1, 2), facts, part="m") == "parcel.part_mixed"
