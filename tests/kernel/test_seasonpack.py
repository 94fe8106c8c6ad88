"""The season pack: nothing in it is believed before the root's signature and every hash fit."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.kommune import testvik

from ipis.kernel import container
from ipis.kernel.canonical import dumps, loads
from ipis.kernel.environment import Environment
from ipis.kernel.errors import IpisError
from ipis.kernel.sealed import Identity
from ipis.kernel.seasonpack import BODY, NAMESPACE, SIGNATURE, Body, Key, KeyState, SeasonPack, attach, body_of
from ipis.kernel.signature import SigningKey

AT = datetime(2018, 1, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return testvik.desk(tmp_path_factory.mktemp("season"))


@pytest.fixture(scope="module")
def pack(desk):
    return SeasonPack.load(desk.pack)


def code_of(call, *args, **kwargs):
    with pytest.raises(IpisError) as caught:
        call(*args, **kwargs)
    assert caught.value.render("nn").expected != "a text for this code in the catalogue"
    return caught.value.code


def members_of(path):
    archive = container.Archive(path, path.name)
    return {name: archive.read(name, 1 << 26) for name in archive.names}


def written(folder, members):
    path = folder / "changed.sesong"
    container.write(path, [container.Source.of_bytes(name, data) for name, data in members.items()])
    return path


def resigned(desk, members, change):
    body = loads(members[BODY], what=BODY)
    change(body)
    raw = dumps(body)
    return {**members, BODY: raw, SIGNATURE: desk.root.sign(raw, NAMESPACE)}


def test_a_pack_gives_definitions_keys_and_organisations(pack, desk):
    assert (pack.environment, pack.register, pack.year, pack.version) == (Environment.DEMO, "iplos", 2017, 1)
    assert pack.collection.year == 2017
    assert "0403" in pack.collection.kommuner
    assert pack.recipients.tpf.key_id == desk.tpf.key_id
    assert pack.recipients.feedback.key_id == desk.feedback.key_id
    assert pack.orgnr_of("0403") is not None
    assert pack.orgnr_of("0301") is None
    assert pack.bydeler("0403") == ("00",)
    assert (pack.successor_of("1601"), pack.successor_of("0403")) == ("5001", "0403")
    assert pack.allowed_signers().startswith('root namespaces="ipis-keys@v1" ssh-ed25519 ')


def test_a_pinned_root_is_the_only_one_believed(desk):
    stranger = SigningKey.generate("root", Environment.DEMO)
    assert SeasonPack.load(desk.pack, trusted_root=desk.root.public).root == desk.root.public
    assert code_of(SeasonPack.load, desk.pack, trusted_root=stranger.public) == "seasonpack.root"


def test_a_production_pack_needs_a_pinned_root(tmp_path):
    production = testvik.desk(tmp_path / "p", Environment.PRODUCTION)
    assert code_of(SeasonPack.load, production.pack) == "seasonpack.root_not_pinned"
    assert SeasonPack.load(production.pack, trusted_root=production.root.public).environment is Environment.PRODUCTION


def test_a_pack_of_another_environment_is_refused(desk):
    assert code_of(SeasonPack.load, desk.pack, environment=Environment.TEST) == "seasonpack.environment"


def test_a_changed_member_body_or_signature_is_refused(desk, tmp_path):
    members = members_of(desk.pack)
    name = next(iter(members))
    assert code_of(SeasonPack.load, written(tmp_path, {**members, name: members[name] + b" "})) == "seasonpack.hash"
    body = {**members, BODY: members[BODY].replace(b'"version":1', b'"version":2')}
    assert code_of(SeasonPack.load, written(tmp_path, body)) == "seasonpack.root"
    assert code_of(SeasonPack.load, written(tmp_path, {**members, SIGNATURE: b"x"})) == "signature.form"


def test_a_member_that_is_missing_added_or_out_of_order_is_refused(desk, tmp_path):
    members = members_of(desk.pack)
    first, *_ = members
    without = {name: data for name, data in members.items() if name != first}
    assert code_of(SeasonPack.load, written(tmp_path, without)) == "seasonpack.members"
    assert (
        code_of(SeasonPack.load, written(tmp_path, {"definitions/more.toml": b"", **members})) == "seasonpack.members"
    )
    unsigned = {name: data for name, data in members.items() if name != SIGNATURE}
    assert code_of(SeasonPack.load, written(tmp_path, unsigned)) == "parcel.member_missing"


def test_what_is_no_pack_or_not_there_is_refused(tmp_path):
    path = tmp_path / "x.sesong"
    assert code_of(SeasonPack.load, path) == "seasonpack.missing"
    path.write_bytes(b"hello")
    assert code_of(SeasonPack.load, path) == "seasonpack.form"


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.update(format=2),
        lambda b: b.update(version=0),
        lambda b: b.pop("keys"),
        lambda b: b.update(extra=1),
        lambda b: b["keys"][0].update(key_id="0" * 16),
        lambda b: b["keys"][0].update(role="mayor"),
        lambda b: b["keys"][0].update(kind="ssh-ed25519"),
        lambda b: b["keys"][0].update(public="age1x"),
        lambda b: b["keys"][0].update(state="accept-until"),
        lambda b: b["keys"][0].update(accept_until="2018-01-01T00:00:00Z"),
        lambda b: b["keys"].append(b["keys"][0]),
        lambda b: b["organisations"].update({"0403": "x"}),
        lambda b: b["organisations"].update({"0403": {"orgnr": "1", "domain": "x.no"}}),
        lambda b: b["organisations"].update({"x": {"orgnr": "987654321", "domain": "x.no"}}),
        lambda b: b.update(organisations=[]),
        lambda b: b["agreements"].update({"0301": "01"}),
        lambda b: b["agreements"].update({"0301": ["1"]}),
        lambda b: b["successors"].update({"0301": 1}),
        lambda b: b.update(care_units=["x"]),
        lambda b: b["members"].update({"definitions/x": "0"}),
        lambda b: b["members"].update({"elsewhere/x": "0" * 64}),
    ],
)
def test_a_body_that_is_not_as_agreed_is_refused_although_the_root_signed_it(desk, tmp_path, change):
    path = written(tmp_path, resigned(desk, members_of(desk.pack), change))
    assert code_of(SeasonPack.load, path) == "seasonpack.field"


def test_a_second_active_key_of_a_role_is_refused(desk, tmp_path):
    second = Identity.generate("tpf", Environment.DEMO)
    more = Key("tpf", "age", second.recipient.text, second.key_id).as_dict()
    path = written(tmp_path, resigned(desk, members_of(desk.pack), lambda b: b["keys"].append(more)))
    assert code_of(SeasonPack.load, path) == "seasonpack.field"


def with_keys(tmp_path, *keys):
    root = SigningKey.generate("root", Environment.DEMO)
    return SeasonPack.load(testvik.season_pack(tmp_path / "k.sesong", root, testvik.body(keys)))


def age_key(role, state, until=None):
    identity = Identity.generate(role, Environment.DEMO)
    return Key(role, "age", identity.recipient.text, identity.key_id, state, until)


def test_key_states_decide_what_is_accepted_and_until_when(tmp_path):
    """A truth table: pending and destroyed never, active always, accept-until before its instant."""
    states = {
        KeyState.PENDING: (age_key("tpf", KeyState.PENDING), False, False),
        KeyState.ACTIVE: (age_key("tpf", KeyState.ACTIVE), True, True),
        KeyState.ACCEPT_UNTIL: (age_key("tpf", KeyState.ACCEPT_UNTIL, AT), True, False),
        KeyState.DESTROYED: (age_key("tpf", KeyState.DESTROYED), False, False),
    }
    assert set(states) == set(KeyState)
    pack = with_keys(tmp_path, *(key for key, _, _ in states.values()))
    for key, before, after in states.values():
        assert (key.key_id in pack.accepted_key_ids("tpf", AT - timedelta(seconds=1))) is before
        assert (key.key_id in pack.accepted_key_ids("tpf", AT)) is after
        assert (key.key_id in pack.accepted_key_ids("tpf")) is before
    assert pack.active_key("tpf") == states[KeyState.ACTIVE][0]
    assert code_of(pack.active_key, "ssb") == "seasonpack.no_active_key"


def test_signing_keys_follow_their_states_and_allowed_signers_names_the_party(tmp_path):
    receipt = SigningKey.generate("ssb-receipt", Environment.DEMO).public
    coming = SigningKey.generate("ssb-receipt", Environment.DEMO).public
    pack = with_keys(
        tmp_path,
        Key("ssb-receipt", "ssh-ed25519", receipt.openssh, receipt.fingerprint),
        Key("ssb-receipt", "ssh-ed25519", coming.openssh, coming.fingerprint, KeyState.PENDING),
    )
    assert pack.signing_keys("ssb-receipt") == (receipt,)
    assert pack.signing_keys("tpf-receipt") == ()
    assert f'ssb namespaces="ipis-receipt@v1" {receipt.openssh}\n' in pack.allowed_signers()
    assert coming.openssh not in pack.allowed_signers()


def test_a_version_never_goes_down(pack):
    pack.refuse_older(0)
    pack.refuse_older(1)
    assert code_of(pack.refuse_older, 2) == "seasonpack.version_down"


def test_the_public_keys_of_a_room_become_active_keys(desk):
    entry = {"role": "tpf", "kind": "age", "public": desk.tpf.recipient.text, "key_id": desk.tpf.key_id}
    assert Key.public_of(entry).state is KeyState.ACTIVE
    assert code_of(Key.public_of, {**entry, "key_id": "x"}) == "seasonpack.field"
    assert code_of(Key.public_of, {"role": "tpf"}) == "seasonpack.field"


def test_a_signature_is_joined_only_to_the_body_it_signs(desk, tmp_path):
    unsigned = desk.pack.with_suffix(".unsigned")
    raw = body_of(unsigned)
    assert Body.parse(raw)[0].version == 1
    wrong = desk.root.sign(raw + b" ", NAMESPACE)
    assert code_of(attach, unsigned, wrong, tmp_path / "x.sesong") == "seasonpack.root"
    assert not (tmp_path / "x.sesong").exists()
    stranger = SigningKey.generate("root", Environment.DEMO)
    assert (
        code_of(attach, unsigned, desk.root.sign(raw, NAMESPACE), tmp_path / "x.sesong", stranger.public)
        == "seasonpack.root"
    )
