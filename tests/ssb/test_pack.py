"""The season pack leaves SSB unsigned and comes back signed by the offline root; nothing else makes one."""

from __future__ import annotations

import json
import subprocess

import pytest
from tests.ssb.conftest import IN_WINDOW
from tests.ssb.fake_tpf import BYDAL, TESTVIK

from ipis.kernel.container import Archive
from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.demo import demo_orgnr
from ipis.kernel.environment import Environment
from ipis.kernel.errors import PackRefused
from ipis.kernel.seasonpack import SeasonPack
from ipis.kernel.signature import SigningKey
from ipis.ssb import pack


@pytest.fixture
def tpf_keys(tmp_path, tpf):
    path = tmp_path / "tpf.json"
    path.write_text(json.dumps(tpf.public()))
    return path


@pytest.fixture
def sources(room, tpf, tpf_keys):
    def make(**changes):
        return pack.Sources(
            **{
                "environment": room.environment,
                "definitions": DefinitionFolder.packaged("iplos", 2017),
                "key_files": [tpf_keys, room.public / "keys.json"],
                "organisations": None,
                "care_units": None,
                "version": 3,
                "created_at": IN_WINDOW,
                "root": tpf.root.public,
                **changes,
            }
        )

    return make


def refused(sources, tmp_path, **changes):
    with pytest.raises(PackRefused) as caught:
        pack.make_body(sources(**changes), tmp_path / "body")
    assert not (tmp_path / "body").exists()
    return caught.value


def test_signed_pack_says_what_it_was_made_of(sources, tmp_path, tpf, room):
    pack.make_body(sources(), tmp_path / "body")
    armored = tpf.root.sign((tmp_path / "body").read_bytes(), "ipis-keys@v1")
    pack.join_signature(tmp_path / "body", armored, tmp_path / "a.sesong", tpf.root.public)
    found = SeasonPack.load(tmp_path / "a.sesong", trusted_root=tpf.root.public, environment=room.environment)
    assert (found.register, found.year, found.version) == ("iplos", 2017, 3)
    assert found.orgnr_of(TESTVIK) == demo_orgnr(TESTVIK)
    assert "05" in found.bydeler(BYDAL)
    assert found.bydeler(TESTVIK) == ("00",)
    assert found.successor_of("1601") == "5001"
    assert found.collection.kommuner[TESTVIK] == "Hamar"
    assert {key.role for key in found.body.keys} == set(pack.NEEDED_ROLES)


def test_ssh_keygen_signs_the_body(sources, tmp_path, tpf):
    """The root needs nothing of ours on its offline machine."""
    pack.make_body(sources(), tmp_path / "body")
    tpf.root.save(tmp_path / "root.key")
    subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-f", tmp_path / "root.key", "-n", "ipis-keys@v1", tmp_path / "body"],
        check=True,
        capture_output=True,
    )
    done = pack.join_signature(
        tmp_path / "body", (tmp_path / "body.sig").read_bytes(), tmp_path / "a.sesong", tpf.root.public
    )
    assert done.root == tpf.root.public


def test_signature_of_another_root_is_refused(sources, tmp_path, tpf):
    pack.make_body(sources(), tmp_path / "body")
    stranger = SigningKey.generate("root", Environment.TEST)
    armored = stranger.sign((tmp_path / "body").read_bytes(), "ipis-keys@v1")
    with pytest.raises(PackRefused):
        pack.join_signature(tmp_path / "body", armored, tmp_path / "a.sesong", tpf.root.public)
    assert not (tmp_path / "a.sesong").exists()


def test_signature_needs_what_was_made_beside_the_body(tmp_path):
    (tmp_path / "body").touch()
    with pytest.raises(PackRefused) as caught:
        pack.join_signature(tmp_path / "body", b"", tmp_path / "a.sesong", None)
    assert caught.value.code == "ssb.pack_members"


@pytest.mark.parametrize("text", ["", "{}x", "[1]", '[{"role": "tpf"}]'])
def test_key_file_that_is_none_is_refused(sources, tmp_path, room, text):
    broken = tmp_path / "broken.json"
    broken.write_text(text)
    assert refused(sources, tmp_path, key_files=[broken, room.public / "keys.json"]).code in (
        "ssb.pack_keys",
        "seasonpack.field",
    )


def test_missing_key_file_is_refused(sources, tmp_path):
    assert refused(sources, tmp_path, key_files=[tmp_path / "none.json"]).code == "ssb.pack_keys"


def test_each_role_has_exactly_one_key(sources, tmp_path, room, tpf_keys):
    error = refused(sources, tmp_path, key_files=[tpf_keys])
    assert (error.code, error.params["role"], error.params["found"]) == ("ssb.pack_role", "ssb", 0)
    error = refused(sources, tmp_path, key_files=[tpf_keys, tpf_keys, room.public / "keys.json"])
    assert (error.code, error.params["found"]) == ("ssb.pack_role", 2)


def test_root_that_a_party_holds_is_not_offline(sources, tmp_path, tpf):
    assert refused(sources, tmp_path, root=tpf.receipts.public).code == "ssb.pack_root_in_use"


@pytest.mark.parametrize(("given", "option"), [({}, "--organisations"), ({"organisations": "o.csv"}, "--care-units")])
def test_demo_rule_is_refused_in_production(sources, tmp_path, given, option, room):
    """Made-up organisation numbers never reach a production pack."""
    collection = SeasonPack.load(room.pack / "iplos-2017.sesong").collection
    lines = ["kommune;orgnr;domain", *(f"{k};{demo_orgnr(k)};k{k}.kommune.no" for k in collection.kommuner)]
    (tmp_path / "o.csv").write_text("\n".join(lines), encoding="utf-8")
    changes = {name: tmp_path / file for name, file in given.items()}
    error = refused(sources, tmp_path, environment=Environment.PRODUCTION, **changes)
    assert (error.code, error.params["option"]) == ("ssb.pack_demo_rule", option)


def test_organisations_and_units_of_a_file_are_taken(sources, tmp_path, room):
    collection = SeasonPack.load(room.pack / "iplos-2017.sesong").collection
    lines = ["kommune,orgnr,domain", *(f"{k},{demo_orgnr(k)},k{k}.kommune.no" for k in [*collection.kommuner, "9999"])]
    (tmp_path / "o.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    (tmp_path / "u.csv").write_text("orgnr\n899999999\n")
    body = pack.make_body(sources(organisations=tmp_path / "o.csv", care_units=tmp_path / "u.csv"), tmp_path / "body")
    assert body.organisations[TESTVIK].domain == "k0403.kommune.no"
    assert "9999" not in body.organisations
    assert body.care_units == ("899999999",)


def test_municipality_without_an_organisation_is_named(sources, tmp_path):
    (tmp_path / "o.csv").write_text(f"kommune,orgnr,domain\n{TESTVIK},900040300,k0403.kommune.no\n")
    error = refused(sources, tmp_path, organisations=tmp_path / "o.csv")
    assert (error.code, error.params["missing"]) == ("ssb.pack_organisation", 425)


@pytest.mark.parametrize("text", ["", "kommune,orgnr\n0403,9\n", "kommune,orgnr,domain\n0403\n", "\xff\xfe"])
def test_file_without_the_columns_is_refused(sources, tmp_path, text):
    (tmp_path / "o.csv").write_bytes(text.encode("latin-1"))
    assert refused(sources, tmp_path, organisations=tmp_path / "o.csv").code == "ssb.pack_file"


def test_file_that_is_not_there_is_refused(sources, tmp_path):
    assert refused(sources, tmp_path, organisations=tmp_path / "none.csv").code == "ssb.pack_file"


def test_a_list_that_may_not_be_shipped_comes_with_the_pack(sources, tmp_path):
    """ICPC-2 belongs to Wonca: whoever has it names the file, and every party gets it under the root's signature."""
    listed = tmp_path / "liste.csv"
    listed.write_text("code,label_nb\nP70,Demens\n", encoding="utf-8")
    pack.make_body(sources(codes={"icpc2": listed}), tmp_path / "body")
    members = Archive(tmp_path / "body.members", "members").names
    assert any(name.endswith("codes/icpc2.csv") for name in members)


def test_a_list_that_nothing_looks_into_is_refused(sources, tmp_path):
    (tmp_path / "x.csv").write_text("code\nA\n")
    assert refused(sources, tmp_path, codes={"ukjent": tmp_path / "x.csv"}).code == "ssb.pack_codes"


def test_a_shipped_list_may_be_replaced_by_the_years_own(sources, tmp_path):
    (tmp_path / "u.csv").write_text("code,label_nb\n999999999,Enhet\n", encoding="utf-8")
    pack.make_body(sources(codes={"care_units": tmp_path / "u.csv"}), tmp_path / "body")
    archive = Archive(tmp_path / "body.members", "members")
    (name,) = [each for each in archive.names if each.endswith("codes/care_units.csv")]
    assert b"999999999" in archive.read(name, 1 << 20)


def test_the_overview_of_care_units_is_the_list_that_rules_look_into(sources, tmp_path):
    """K079: in production no municipality is judged by the made-up list."""
    (tmp_path / "u.csv").write_text("naeringskode;orgnr;adresse\n87.102;899999999;Gata 1\n", encoding="utf-8")
    pack.make_body(sources(care_units=tmp_path / "u.csv"), tmp_path / "body")
    archive = Archive(tmp_path / "body.members", "body.members")
    (name,) = [each for each in archive.names if each.endswith("codes/care_units.csv")]
    assert archive.read(name, 1 << 20).decode("utf-8").splitlines() == [
        "orgnr,kommune,name,naeringskode",
        "899999999,,,87.102",
    ]
