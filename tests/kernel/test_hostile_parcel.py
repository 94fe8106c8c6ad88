"""Every mutation of a real forsendelse is refused, with its own code, whether or not the sender signs it anew."""

from dataclasses import replace

import pytest
from tests.kernel import parcel_cast as cast
from tests.kernel.parcel_hands import code_of, members_of, open_all, receive, resigned, written

from ipis.kernel import opening, sealed
from ipis.kernel.environment import Environment
from ipis.kernel.errors import IpisError
from ipis.kernel.forsendelse import (
    read_container,
    verify,
    verify_manifest,
)
from ipis.kernel.manifest import MANIFEST, NAMESPACE, SIGNATURE


def flipped(members, part, place):
    """Give the members with one bit of a part changed."""
    changed = bytearray(members[part])
    header = sealed.check_header(bytes(changed[:1024]))
    at = {
        "header": header - 10,
        "first": header + 20,
        "middle": len(changed) // 2,
        "last": len(changed) - 20,
        "trailer": -1,
    }[place]
    changed[at] ^= 1
    return {**members, part: bytes(changed)}


@pytest.mark.parametrize("part", ["identity-0001.age", "data-0001.age", "contact.age"])
@pytest.mark.parametrize("place", ["header", "first", "middle", "last", "trailer"])
def test_a_flipped_bit_in_any_part_is_refused_by_its_hash(real, keys, tmp_path, part, place):
    path = written(tmp_path, flipped(members_of(real), part, place))
    assert code_of(receive, path, keys) == "parcel.part_hash"


@pytest.mark.parametrize("part", ["identity-0001.age", "data-0001.age", "contact.age"])
@pytest.mark.parametrize("place", ["header", "first", "middle", "last", "trailer"])
def test_a_flipped_bit_under_a_new_signature_is_refused_by_its_own_check(real, keys, layout, tmp_path, part, place):
    path = written(tmp_path, resigned(flipped(members_of(real), part, place), keys))
    assert code_of(open_all, path, keys, layout, tmp_path) in {"parcel.sealed_damaged", "parcel.age_header"}


def test_a_flipped_bit_in_the_raw_file_is_refused(real, keys, tmp_path):
    """At every hundredth byte of the file: container, parts, manifest or signature, something refuses it."""
    data = real.read_bytes()
    path = tmp_path / "x"
    for at in range(0, len(data), len(data) // 300):
        changed = bytearray(data)
        changed[at] ^= 4
        path.write_bytes(changed)
        code_of(receive, path, keys)


def test_a_part_cut_at_a_chunk_border_is_refused_whether_or_not_the_manifest_is_mended(real, keys, layout, tmp_path):
    members = members_of(real)
    sealed_part = members["data-0001.age"]
    cut = sealed_part[: sealed.check_header(sealed_part[:1024]) + 16]
    assert code_of(receive, written(tmp_path, {**members, "data-0001.age": cut}), keys) == "parcel.part_size"
    path = written(tmp_path, resigned({**members, "data-0001.age": cut}, keys))
    assert code_of(open_all, path, keys, layout, tmp_path) == "parcel.sealed_damaged"


def test_a_missing_part_manifest_or_signature_is_refused(real, keys, tmp_path):
    members = members_of(real)
    for name in members:
        rest = {other: data for other, data in members.items() if other != name}
        assert code_of(receive, written(tmp_path, rest), keys) == "parcel.member_missing"


def test_a_doubled_part_or_two_manifests_are_refused(real, keys, tmp_path):
    members = list(members_of(real).items())
    for name in ("data-0001.age", MANIFEST, SIGNATURE):
        doubled = [item for item in members for _ in range(1 + (item[0] == name))]
        assert code_of(receive, written(tmp_path, doubled), keys) == "parcel.member_doubled"


def test_a_renamed_or_added_part_is_refused(real, keys, tmp_path):
    members = members_of(real)
    renamed = {name.replace("data-0001", "data-0002"): data for name, data in members.items()}
    assert code_of(receive, written(tmp_path, renamed), keys) == "parcel.member_unknown"
    added = {"lese-meg.txt": b"x", **members}
    assert code_of(receive, written(tmp_path, added), keys) == "parcel.member_unknown"


def test_reordered_parts_are_refused(real, keys, tmp_path):
    members = members_of(real)
    names = list(members)
    for order in ([1, 0, 2, 3, 4], [3, 4, 0, 1, 2], [0, 1, 2, 4, 3]):
        path = written(tmp_path, {names[n]: members[names[n]] for n in order})
        assert code_of(receive, path, keys) == "parcel.member_order"


def test_parts_of_two_forsendelser_cannot_be_mixed(real, keys, layout, tmp_path):
    """By the hash; and when the sender mends and signs the manifest, by the inner header."""
    other = members_of(cast.packed(tmp_path, keys, forsendelse="ff" * 16)[0])
    for role in ("identity-0001.age", "data-0001.age", "contact.age"):
        mixed = {**members_of(real), role: other[role]}
        assert code_of(receive, written(tmp_path, mixed), keys) in {"parcel.part_hash", "parcel.part_size"}
        folder = tmp_path / role
        folder.mkdir()
        assert code_of(open_all, written(folder, resigned(mixed, keys)), keys, layout, folder) == "parcel.part_mixed"


def test_parts_of_two_packings_under_one_id_are_refused_by_their_commitment(real, keys, tmp_path):
    """Same facts, other person keys: the identities would belong to other rows."""
    other = receive(cast.packed(tmp_path, keys)[0], keys)
    own = receive(real, keys)
    first, second = ((p.manifest.by_role("identity")[0], p) for p in (own, other))
    opened = [
        opening.open_identity(p.read_part(part), part, own.manifest.facts, keys.tpf) for part, p in (first, second)
    ]
    assert opened[0].header.commitment != opened[1].header.commitment
    twice = [
        replace(opened[0], header=replace(opened[0].header, n=2)),
        replace(opened[1], header=replace(opened[1].header, k=2, n=2)),
    ]
    assert code_of(opening.join_identities, twice) == "parcel.part_mixed"
    swapped = replace(opened[0], header=replace(opened[0].header, commitment=opened[1].header.commitment))
    assert code_of(opening.join_identities, [swapped]) == "parcel.commitment"


def test_a_signature_of_another_key_another_manifest_or_another_sender_is_refused(real, keys, tmp_path):
    members = members_of(real)
    stranger = cast.Keys.make()
    by_stranger = {**members, SIGNATURE: stranger.sender.sign(members[MANIFEST], NAMESPACE)}
    assert code_of(receive, written(tmp_path, by_stranger), keys) == "signature.other_key"
    assert code_of(receive, real, stranger) == "parcel.sender"
    other_content = {**members, SIGNATURE: keys.sender.sign(members[MANIFEST] + b" ", NAMESPACE)}
    assert code_of(receive, written(tmp_path, other_content), keys) == "signature.wrong"
    as_login = {**members, SIGNATURE: keys.sender.sign(members[MANIFEST], "ipis-login@v1")}
    assert code_of(receive, written(tmp_path, as_login), keys) == "signature.namespace"


def test_another_environment_is_refused(real, keys):
    parcel = read_container(real)
    for environment in (Environment.TEST, Environment.PRODUCTION):
        assert code_of(verify, parcel, sender=keys.sender.public, environment=environment) == "parcel.environment"
    assert (
        verify_manifest(
            parcel.manifest_bytes, parcel.signature, sender=keys.sender.public, environment=Environment.DEMO
        )
        == parcel.manifest
    )


def changed_manifest(real, keys, tmp_path, change):
    return written(tmp_path, resigned(members_of(real), keys, change))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda m: m.update(format=2), "parcel.field"),
        (lambda m: m.update(extra=1), "parcel.field"),
        (lambda m: m.pop("bydel"), "parcel.field"),
        (lambda m: m.update(kommune=403), "parcel.field"),
        (lambda m: m.update(kommune="04030"), "parcel.field"),
        (lambda m: m.update(kommune="٠٤٠٣"), "parcel.field"),
        (lambda m: m.update(year=True), "parcel.field"),
        (lambda m: m.update(sequence=0), "parcel.field"),
        (lambda m: m.update(created_at="2018-02-30T00:00:00Z"), "parcel.field"),
        (lambda m: m.update(program="x" * 61), "parcel.field"),
        (lambda m: m.update(program="a\nb"), "parcel.field"),
        (lambda m: m.update(environment="prod"), "parcel.field"),
        (lambda m: m.update(parts=[]), "parcel.field"),
        (lambda m: m.update(parts="x"), "parcel.field"),
        (lambda m: m["parts"][0].update(more=1), "parcel.field"),
        (lambda m: m.update(files=2), "parcel.manifest_parts"),
        (lambda m: m["parts"][1].update(file=2), "parcel.manifest_parts"),
        (lambda m: m["parts"][1].update(n=2), "parcel.manifest_parts"),
        (lambda m: m["parts"].reverse(), "parcel.manifest_parts"),
        (lambda m: m["parts"].pop(0), "parcel.manifest_parts"),
        (lambda m: m["parts"].pop(), "parcel.manifest_parts"),
        (lambda m: m["parts"].append(m["parts"][2]), "parcel.manifest_parts"),
        (lambda m: m["parts"][0].update(role="data"), "parcel.manifest_parts"),
    ],
)
def test_a_manifest_that_is_not_exactly_as_agreed_is_refused(real, keys, tmp_path, change, code):
    assert code_of(receive, changed_manifest(real, keys, tmp_path, change), keys) == code


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b'{"format":1,"format":1}', "parcel.json_doubled_key"),
        (b'{"a":{"b":1,"b":2}}', "parcel.json_doubled_key"),
        (b'{"a": 1}', "parcel.json"),
        (b'{"b":1,"a":2}', "parcel.json"),
        (b'{"a":1.5}', "parcel.json"),
        (b'{"a":NaN}', "parcel.json"),
        (b'{"a":1e3}', "parcel.json"),
        (b'["a"]', "parcel.json"),
        (b'{"a":"\\u0041"}', "parcel.json"),
        (b"\xff", "parcel.json"),
        (b"[" * 100_000, "parcel.json"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "parcel.json"),
        (b'{"a":"' + b"x" * (5 << 20) + b'"}', "parcel.member_size"),
    ],
)
def test_json_that_could_be_read_in_two_ways_is_refused(real, keys, tmp_path, raw, code):
    members = members_of(real)
    signed = {**members, MANIFEST: raw, SIGNATURE: keys.sender.sign(raw, NAMESPACE)}
    assert code_of(receive, written(tmp_path, signed), keys) == code


def test_a_zip_comment_on_a_real_parcel_is_refused(real, keys, tmp_path):
    data = bytearray(real.read_bytes())
    data[-2:] = b"\5\0"
    path = tmp_path / "x"
    path.write_bytes(data + b"hello")
    assert code_of(receive, path, keys) == "parcel.zip_comment"


@pytest.mark.parametrize("part", ["identity-0001.age", "data-0001.age", "contact.age"])
def test_a_header_of_ten_thousand_stanzas_and_a_second_recipient_are_refused_in_any_part(
    real, keys, layout, tmp_path, part
):
    import pyrage

    members = members_of(real)
    own = {"i": keys.tpf, "d": keys.ssb, "c": keys.feedback}[part[0]]
    stanzas = members[part].replace(b"\n-> X25519", b"\n" + b"-> x-grease\n\n" * 10_000 + b"-> X25519", 1)
    second = bytes(pyrage.encrypt(b"x", [own.recipient.key, keys.tpf.recipient.key]))
    for content, code in ((stanzas, "parcel.age_header"), (second, "parcel.age_recipients")):
        folder = tmp_path / code
        folder.mkdir()
        path = written(folder, resigned({**members, part: content}, keys))
        assert code_of(open_all, path, keys, layout, folder) == code


def test_last_years_key_is_refused_in_the_words_of_k002(real, keys):
    parcel = receive(real, keys)
    newer = cast.Keys.make()
    (part,) = parcel.manifest.by_role("identity")
    with pytest.raises(IpisError) as caught:
        opening.open_identity(parcel.read_part(part), part, parcel.manifest.facts, newer.tpf)
    assert (caught.value.code, caught.value.rule) == ("parcel.other_key", "K002")
    assert part.key_id in caught.value.render("nb").found
