"""Pseudonyms: nobody dropped, dummies never merged, the same again after a crash, and the classes told apart."""

import pickle

import numpy as np
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from ipis.kernel.environment import Environment
from ipis.kernel.errors import Misuse
from ipis.kernel.foedselsnummer import judge, read_identities
from ipis.kernel.identifiers import MAPPING_SCHEMA, pack_identities
from ipis.kernel.opening import IdentityPart
from ipis.tpf.keys import TEST_ROOT, RootKey, make_root_key
from ipis.tpf.mapping import Mapped, Opened, Sealed
from ipis.tpf.pseudonymise import NationalKey, Pseudonymiser

FIRST, SECOND = "0f" * 16, "1e" * 16
DEMO = Environment.DEMO


@pytest.fixture
def worker():
    return Pseudonymiser(RootKey(TEST_ROOT, DEMO), "iplos")


def records(fids, types, environment=DEMO, seed=1):
    identities = read_identities(pa.array(fids, pa.string()), pa.array(types, pa.string()), environment)
    keys = np.random.default_rng(seed).integers(0, 256, (len(fids), 16), np.uint8)
    return pack_identities(keys, identities, judge(identities, 2017, environment).reason).tobytes()


def rows(worker, content, forsendelse=FIRST):
    return worker.mapping(content, forsendelse, 2017).to_pylist()


def test_every_record_has_one_row_in_the_order_it_came(worker):
    content = records(["01815012352", None, "x", "018150", "41815012346"], ["1", "1", "1", "9", "2"])
    table = worker.mapping(content, FIRST, 2017)
    assert table.schema == MAPPING_SCHEMA
    assert table["id_reason"].to_pylist() == ["ok", "missing", "form", "not_linkable", "ok"]
    assert table["id_class"].to_pylist() == ["national", "unlinkable", "unlinkable", "unlinkable", "national"]
    assert table["kjoenn"].to_pylist() == ["1", None, None, None, "1"]
    assert table["foedselsaar"].to_pylist() == [1950, None, None, 1950, 1950]
    assert b"".join(table["person_key"].to_pylist()) == b"".join(
        content[i : i + 16] for i in range(0, len(content), 32)
    )
    assert set(table["key_version"].to_pylist()) == {1}
    table.validate(full=True)


def test_the_municipality_judges_as_tpf_does(worker):
    """What the supplied columns say at M is what the mapping brings to S."""
    fids, types = (
        ["01815012352", "01815012353", "41815012346", "00815012352", None, "018150"],
        ["1", "1", "1", "1", "3", "9"],
    )
    at_home = judge(read_identities(pa.array(fids), pa.array(types), DEMO), 2017, DEMO).columns()
    mapped = worker.mapping(records(fids, types), FIRST, 2017)
    for name, column in at_home.items():
        assert mapped[name].to_pylist() == column.to_pylist()


def test_a_person_has_one_pseudonym_whoever_sends_and_whenever(worker):
    """Also where a D-number is typed as fødselsnummer: the number proves itself."""
    one = rows(worker, records(["41815012346"], ["2"], seed=1))
    other = rows(worker, records(["41815012346"], ["1"], seed=2), SECOND)
    assert one[0]["pseudonym"] == other[0]["pseudonym"]
    assert one[0]["pseudonym"].hex() == "813622f77adc08101ee7dd511fb74c75"


def test_dummies_never_merge(worker):
    """The same placeholder on many persons gives as many pseudonyms."""
    content = records(["11111111111", "00000000000", "99999999999", None, "x"] * 40, ["3"] * 200)
    assert len({row["pseudonym"] for row in rows(worker, content)}) == 200


def test_a_retry_after_a_crash_gives_the_same_and_another_forsendelse_another(worker):
    content = records([None, "018150"], ["1", "9"])
    again = rows(Pseudonymiser(RootKey(TEST_ROOT, DEMO), "iplos"), content)
    assert rows(worker, content) == again
    assert {row["pseudonym"] for row in again}.isdisjoint(row["pseudonym"] for row in rows(worker, content, SECOND))


def test_an_unlinkable_pseudonym_is_the_person_key_under_the_key_of_the_forsendelse(worker):
    content = records([None], ["1"])
    key = RootKey(TEST_ROOT, DEMO).derive("iplos", FIRST, 1)
    expected = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(content[:16])
    assert rows(worker, content)[0]["pseudonym"] == expected


def test_synthetic_numbers_are_held_out_in_production_and_never_passed_through():
    root = RootKey(bytes(32), Environment.PRODUCTION)
    content = records(["01815012352"], ["1"], DEMO)
    (row,) = rows(Pseudonymiser(root, "iplos"), content)
    assert (row["id_reason"], row["id_class"]) == ("synthetic_in_production", "unlinkable")
    assert b"01815012352" not in row["pseudonym"]


@given(st.lists(st.from_regex(r"[0-9]{11}", fullmatch=True), max_size=40), st.binary(min_size=32, max_size=32))
def test_any_column_is_the_cmac_of_its_values(numbers, key):
    digits = np.frombuffer("".join(numbers).encode(), np.uint8).reshape(-1, 11)
    found = NationalKey(key).pseudonyms(digits)
    for number, pseudonym in zip(numbers, found, strict=True):
        one = CMAC(algorithms.AES(key))
        one.update(b"\x0b\x00\x00\x00" + number.encode() + b"\x00")
        assert pseudonym.tobytes() == one.finalize()


def test_a_column_longer_than_a_block_is_the_same_as_its_parts():
    key = NationalKey(bytes(32))
    digits = np.random.default_rng(1).integers(48, 58, (70_000, 14), np.uint8)
    whole = key.pseudonyms(digits)
    assert np.array_equal(whole, np.vstack([key.pseudonyms(digits[:33_000]), key.pseudonyms(digits[33_000:])]))
    assert np.array_equal(whole, key.pseudonyms(digits[:, :11]))


def test_an_empty_part_gives_an_empty_mapping(worker):
    assert worker.mapping(b"", FIRST, 2017).num_rows == 0


@pytest.mark.parametrize("forsendelse", ["", "0f", "0F" * 16, "register", "zz" * 16])
def test_a_forsendelse_id_out_of_form_is_refused(worker, forsendelse):
    with pytest.raises(ValueError, match="forsendelse id"):
        worker.mapping(b"", forsendelse, 2017)


def test_several_forsendelser_at_once_are_each_as_if_alone(worker):
    """Also the one without persons, and dummies stay under the key of their own forsendelse."""
    first = records(["01815012352", None, "x"], ["1", "1", "1"])
    second = records(["41815012346", "018150"], ["2", "9"], seed=2)
    alone = [worker.mapping(content, name, 2017) for content, name in ((first, FIRST), (b"", FIRST), (second, SECOND))]
    together = worker.mappings([(first, FIRST), (b"", FIRST), (second, SECOND)], 2017)
    assert [table.num_rows for table in together] == [3, 0, 2]
    assert all(one.equals(other) for one, other in zip(together, alone, strict=True))
    assert worker.mappings([], 2017) == []


def test_the_end_of_one_part_is_never_read_with_the_beginning_of_the_next(worker):
    content = records(["01815012352", "41815012346"], ["1", "2"])
    with pytest.raises(ValueError, match="32-byte"):
        worker.mappings([(content[:31], FIRST), (content[31:], SECOND)], 2017)


def test_a_broken_record_refuses_the_whole_part(worker):
    with pytest.raises(ValueError, match="record"):
        worker.mapping(records(["01815012352"], ["1"])[:-1] + b"\x07", FIRST, 2017)


def test_keys_show_and_carry_nothing(worker):
    for thing in (worker, NationalKey(bytes(32)), RootKey(TEST_ROOT, DEMO)):
        assert "00" not in repr(thing)
        with pytest.raises(TypeError):
            pickle.dumps(thing)


def test_the_worker_opens_its_own_key_file_and_no_other(tmp_path):
    make_root_key(tmp_path / "root.key", DEMO)
    assert len(Pseudonymiser.load(tmp_path / "root.key", DEMO, "iplos").key_check_value) == 6
    with pytest.raises(Misuse) as refusal:
        Pseudonymiser.load(tmp_path / "root.key", Environment.TEST, "iplos")
    assert refusal.value.code == "tpfkeys.environment"


def test_what_is_open_in_memory_shows_nothing_of_a_person(worker):
    """Neither a number nor a pseudonym, wherever somebody may print it."""
    content = records(["01815012352"], ["1"])
    table = worker.mapping(content, FIRST, 2017)
    pseudonym = table["pseudonym"][0].as_py()
    held = [
        IdentityPart(None, content),
        Opened(None, None, None, content),
        Mapped(None, None, None, table, pseudonym),
        Sealed(None, None, pseudonym, {}, {}),
    ]
    for thing in held:
        shown = repr(thing)
        assert "01815012352" not in shown
        assert pseudonym.hex() not in shown.lower()
        assert repr(pseudonym)[2:-1] not in shown
