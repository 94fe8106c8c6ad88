"""`ipis kommune seal` by its command line: what it makes, and all that it refuses to seal."""

import subprocess

import numpy as np
import pytest
from tests.kommune import testvik

from ipis.__main__ import run
from ipis.kernel import opening, sealed
from ipis.kernel.environment import Environment
from ipis.kernel.forsendelse import check_complete, extract, read_container, verify
from ipis.kernel.identifiers import unpack_identities
from ipis.kernel.seasonpack import SeasonPack
from ipis.kernel.signature import SigningKey
from ipis.kommune.keyring import Keyring


def refusal(capsys, arguments):
    """Run and give exit code and error code."""
    result = run(arguments)
    said = capsys.readouterr().err
    return result, said.rpartition("[")[2].partition("]")[0]


def opened(desk, path, role="contact"):
    parcel = read_container(path)
    sender = SigningKey.load(desk.keyring / "sender.key", "sender", Environment.DEMO).public
    manifest = verify(parcel, sender=sender, environment=Environment.DEMO)
    (part,) = manifest.by_role(role)
    if role == "contact":
        return opening.open_contact(parcel.read_part(part), part, manifest.facts, desk.feedback)
    if role == "identity":
        return opening.join_identities([opening.open_identity(parcel.read_part(part), part, manifest.facts, desk.tpf)])
    layout = SeasonPack.load(desk.pack).collection.layout
    extract(parcel, part.name, desk.folder / part.name)
    staged = sealed.open_to_file(desk.folder / part.name, desk.ssb, desk.folder / "clear", part=part.name)
    return opening.join_data([opening.read_data_part(staged, part, manifest.facts, layout)], layout)


def test_an_extract_becomes_a_forsendelse_that_each_party_opens(desk, capsys):
    source = testvik.extract(desk.folder)
    assert run(desk.seal(source)) == 0
    out = desk.folder / "testvik.forsendelse"
    assert capsys.readouterr().out.strip() == str(out)
    facts = read_container(out).manifest.facts
    assert (facts.kommune, facts.bydel, facts.year, facts.sequence, facts.replaces) == ("0403", "00", 2017, 1, None)
    contact = opened(desk, out)
    assert (contact.email, contact.phone, contact.language) == ("faglig@k0403.kommune.test", "90000000", "nb")
    assert contact.pin.reveal() == desk.pin.read_text().strip()
    keys, identities = unpack_identities(opened(desk, out, "identity"))
    digits = {bytes(row[:11]).decode() for row in identities.digits}
    assert digits == set(testvik.NUMBERS)
    assert (np.diff([int.from_bytes(bytes(key), "big") for key in keys]) > 0).all()
    data = opened(desk, out, "data")
    assert data.tables["person"]["bostedKommuneNr"].to_pylist() == ["0403", "0403"]
    assert sorted(data.lokal["value"].to_pylist()) == ["B1", "B2", "T0", "T1", "V1-0", "V1-1"]
    sealed_one = Keyring(desk.keyring).find(facts.forsendelse)
    assert sealed_one.manifest_sha256 == read_container(out).manifest_sha256
    assert not [path for path in desk.folder.iterdir() if path.name.startswith(".")]


def test_the_keyring_knows_a_forsendelse_before_its_file_takes_its_name(desk, monkeypatch):
    """A power cut between the two may leave an entry without a file, never a file whose feedback cannot be opened."""
    add, standing = Keyring.add, []

    def look(ring, entry):
        standing.append([path.name for path in desk.folder.iterdir() if path.suffix == ".forsendelse"])
        add(ring, entry)

    monkeypatch.setattr(Keyring, "add", look)
    assert run(desk.seal(testvik.extract(desk.folder), "--feedback-code")) == 0
    assert standing == [[]]
    assert (desk.folder / "testvik.forsendelse").exists()


def test_a_keyring_that_cannot_be_written_leaves_no_file(desk, monkeypatch):
    def full(_ring, _entry):
        raise OSError(28, "no space left")

    monkeypatch.setattr(Keyring, "add", full)
    assert run(desk.seal(testvik.extract(desk.folder))) == 70
    assert not [path.name for path in desk.folder.iterdir() if "forsendelse" in path.name or path.name.startswith(".")]


def test_no_identity_number_stands_in_what_the_municipality_keeps(desk):
    assert run(desk.seal(testvik.extract(desk.folder), "--feedback-code")) == 0
    for path in desk.keyring.iterdir():
        content = path.read_bytes()
        assert not any(number.encode() in content for number in testvik.NUMBERS)
        assert desk.pin.read_text().strip().encode() not in content


def test_the_next_one_replaces_the_last_and_takes_the_greater_number(desk):
    """--sequence, else the extract's innsending or one more than the newest, whichever is greater."""
    found = []
    for n, (innsending, more) in enumerate([(1, ()), (1, ()), (7, ()), (2, ()), (1, ("--sequence", 3))]):
        source = testvik.extract(desk.folder, innsending=innsending)
        assert run(desk.seal(source, *more, out=f"{n}.forsendelse")) == 0
        found.append(read_container(desk.folder / f"{n}.forsendelse").manifest.facts)
    assert [facts.sequence for facts in found] == [1, 2, 7, 8, 3]
    ids = [facts.forsendelse for facts in found]
    assert [facts.replaces for facts in found] == [None, *ids[:4]]
    assert len({*ids}) == 5


def test_a_feedback_code_is_sealed_and_kept(desk):
    assert run(desk.seal(testvik.extract(desk.folder), "--feedback-code", "--language", "nn")) == 0
    contact = opened(desk, desk.folder / "testvik.forsendelse")
    (entry,) = Keyring(desk.keyring).sealed()
    assert contact.language == "nn"
    assert contact.feedback_code == entry.feedback_code
    assert len(entry.feedback_code.reveal()) == 12


def test_large_ones_are_cut_into_parts_and_files(desk, capsys):
    numbers = tuple(testvik.NUMBERS) * 400
    source = testvik.extract(desk.folder, numbers=numbers)
    assert run(desk.seal(source, "--max-part-size", 70_000, "--max-file-size", 150_000)) == 0
    files = capsys.readouterr().out.split()
    containers = [read_container(desk.folder / name.rpartition("/")[2]) for name in files]
    assert len(files) == check_complete(containers).files > 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"numbers": ("01015012352", "01815024598")}, "numbers.real_in_test"),
        ({"numbers": ("01015012353", "01815024598")}, "numbers.real_in_test"),
        ({"bruker": ("01815012352", "B2")}, "seal.bruker_nr"),
        ({"bruker": ("B1", "01815012352")}, "seal.bruker_nr"),
        ({"bruker": ("x01815 012352", "B2")}, "seal.bruker_nr"),
        ({"vedtak": "V01815012352"}, "seal.own_identifier"),
        ({"vedtak": "018150-24598"}, "seal.own_identifier"),
        ({"numbers": ("010150", "020250"), "type_id": "9", "bruker": ("010150", "B2")}, "seal.bruker_nr"),
        ({"year": 2016}, "extract.year"),
    ],
)
def test_what_may_not_be_sent_is_refused_and_nothing_is_written(desk, capsys, changes, code):
    source = testvik.extract(desk.folder, **changes)
    before = sorted(path.name for path in desk.folder.iterdir())
    assert refusal(capsys, desk.seal(source)) == (2, code)
    assert sorted(path.name for path in desk.folder.iterdir() if path.name != "keyring") == before
    assert Keyring(desk.keyring).sealed() == []


def test_another_persons_birth_date_as_a_number_is_no_leak(desk):
    """A shorter identifier is compared with the person's own ids only."""
    source = testvik.extract(desk.folder, numbers=("010150", "020250"), type_id="9", bruker=("020250", "B2"))
    assert run(desk.seal(source)) == 0


def test_dummies_of_one_repeated_digit_are_left_aside(desk):
    source = testvik.extract(desk.folder, numbers=("00000000000", "01815024598"), bruker=("100000000000", "B2"))
    assert run(desk.seal(source)) in {0, 2}


def test_a_column_of_strangers_numbers_is_refused_as_ssb_would(desk, capsys):
    """Nobody of this extract, but numbers all the same."""
    source = testvik.extract(desk.folder, numbers=testvik.NUMBERS * 2, bruker=("41815012346",) * 4)
    assert refusal(capsys, desk.seal(source)) == (2, "numbers.leak")


def test_critical_findings_refuse_and_others_do_not(desk, capsys):
    source = testvik.extract(desk.folder, diagnose="ikke")
    assert run(desk.seal(source)) == 0
    assert "0 funn bør rettes" not in capsys.readouterr().err


def test_the_contact_is_judged_by_the_catalogue_and_does_not_stop(desk, capsys):
    """K016 and K017 leave the forsendelse standing; the answer then goes to the registered address."""
    arguments = desk.seal(testvik.extract(desk.folder), "--contact-email", "ingen adresse", "--contact-phone", "112")
    assert run(arguments) == 0
    said = capsys.readouterr().err
    assert "K016" in said
    assert "K017" in said
    assert "ingen adresse" not in said


@pytest.mark.parametrize(
    ("more", "result", "code"),
    [
        (("--contact-email", ""), 64, "seal.option"),
        (("--contact-email", "a\n@b.no"), 64, "seal.option"),
        (("--contact-phone", "9" * 21), 64, "seal.option"),
        (("--max-part-size", "1000"), 64, "seal.part_size"),
        (("--max-file-size", "1000"), 64, "seal.file_size"),
    ],
)
def test_a_wrong_command_line_is_said_so(desk, capsys, more, result, code):
    assert refusal(capsys, desk.seal(testvik.extract(desk.folder), *more)) == (result, code)
    assert not (desk.folder / "testvik.forsendelse").exists()


@pytest.mark.parametrize("out", ["borte/a.forsendelse", "."])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(desk, capsys, out):
    assert run(desk.seal(desk.folder / "borte.xml", out=out)) == 64
    assert "[seal.out]" in capsys.readouterr().err


def test_a_refusal_is_told_in_the_language_asked_for_or_else_the_users(desk, capsys, monkeypatch):
    monkeypatch.setenv("IPIS_LANGUAGE", "en")
    nowhere = desk.folder / "finst-ikkje.xml"
    assert run(desk.seal(nowhere, "--language", "nn")) == 2
    assert "Stoppa: " in capsys.readouterr().err
    assert run(desk.seal(nowhere)) == 2
    assert "Stopped: " in capsys.readouterr().err


@pytest.mark.parametrize("more", [("--sequence", "0"), ("--sequence", "10000"), ("--language", "sv"), ("--ukjent",)])
def test_an_option_out_of_bounds_is_wrong_use(desk, capsys, more):
    assert run(desk.seal(testvik.extract(desk.folder), *more)) == 64
    assert "hint:" in capsys.readouterr().err


def test_a_sequence_beyond_four_digits_is_refused(desk, capsys):
    source = testvik.extract(desk.folder, innsending=9999)
    assert run(desk.seal(source)) == 0
    assert refusal(capsys, desk.seal(source)) == (64, "seal.sequence")


@pytest.mark.parametrize(
    ("text", "code"), [("", "pin.empty"), ("abc", "pin.form"), ("PIN MED ROM", "pin.form"), (None, "pin.no_file")]
)
def test_a_pin_of_another_form_is_refused(desk, capsys, text, code):
    pin = desk.folder / "annen-pin"
    if text is not None:
        pin.write_text(text)
    assert refusal(capsys, desk.seal(testvik.extract(desk.folder), "--pin-file", pin)) == (64, code)


def test_without_a_file_the_pin_is_asked_for_unseen(desk, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(
        "ipis.kommune.pin.typer.prompt",
        lambda text, **how: asked.append((text, how["hide_input"])) or "ABCDEFGH23456789",
    )
    arguments = desk.seal(testvik.extract(desk.folder))
    at = arguments.index("--pin-file")
    assert run(arguments[:at] + arguments[at + 2 :]) == 0
    assert asked == [("PIN", True)]
    assert "ABCDEFGH23456789" not in "".join(capsys.readouterr())


def test_last_years_pack_refuses_this_years_extract(tmp_path, capsys):
    """In the words of K002: download the new key and encrypt again."""
    old = testvik.desk(tmp_path / "old", year=2016)
    assert run(old.seal(testvik.extract(tmp_path))) == 2
    said = capsys.readouterr().err
    assert "[seasonpack.key_not_valid]" in said
    assert f"{old.tpf.key_id}, som ikke gjelder for årgang 2017" in said
    assert "Last ned ny krypteringsnøkkel" in said


def test_an_older_pack_than_one_seen_is_refused(desk, capsys):
    keys = SeasonPack.load(desk.pack).body.keys
    newer = testvik.season_pack(desk.folder / "2.sesong", desk.root, testvik.body(keys, version=2))
    source = testvik.extract(desk.folder)
    assert run(desk.seal(source, "--pack", newer)) == 0
    capsys.readouterr()
    assert refusal(capsys, desk.seal(source)) == (2, "seasonpack.version_down")


def test_a_production_pack_without_a_pinned_root_is_refused(tmp_path, capsys):
    production = testvik.desk(tmp_path / "p", Environment.PRODUCTION)
    assert refusal(capsys, production.seal(testvik.extract(tmp_path))) == (2, "seasonpack.root_not_pinned")


def test_the_root_is_shown_at_first_use_only(desk, capsys):
    source = testvik.extract(desk.folder)
    assert run(desk.seal(source)) == 0
    assert desk.root.public.fingerprint in capsys.readouterr().err
    assert run(desk.seal(source)) == 0
    assert desk.root.public.fingerprint not in capsys.readouterr().err


def test_the_manifest_verifies_with_the_keyrings_own_allowed_signers(desk):
    assert run(desk.seal(testvik.extract(desk.folder))) == 0
    parcel = read_container(desk.folder / "testvik.forsendelse")
    (desk.folder / "sig").write_bytes(parcel.signature)
    done = subprocess.run(
        ["ssh-keygen", "-Y", "verify", "-f", desk.keyring / "sender.allowed_signers", "-I", "kommune-0403-00", "-n", "ipis-manifest@v1", "-s", desk.folder / "sig"],
        input=parcel.manifest_bytes, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
