"""The published vectors of docs/spec/pseudonym.md hold, by our code and by the plain CMAC of the library."""

import json
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC

from ipis.kernel.environment import Environment
from ipis.tpf.keys import RootKey
from ipis.tpf.pseudonymise import NationalKey, Pseudonymiser

VECTORS = json.loads(Path(__file__).with_name("pseudonym.json").read_text(encoding="utf-8"))
SPECIFICATION = (Path(__file__).parents[2] / VECTORS["specification"]).read_text(encoding="utf-8")
ROOT = RootKey(bytes.fromhex(VECTORS["root"]), Environment.TEST)


@pytest.mark.parametrize("vector", VECTORS["national"], ids=lambda vector: f"{vector['version']}-{vector['digits']}")
def test_vector_holds(vector):
    key = ROOT.derive(VECTORS["register"], "register", vector["version"])
    digits = np.frombuffer(vector["digits"].encode(), np.uint8).reshape(1, 11)
    assert NationalKey(key).pseudonyms(digits).tobytes().hex() == vector["pseudonym"]
    plain = CMAC(algorithms.AES(key))
    plain.update(b"\x0b\x00\x00\x00" + vector["digits"].encode() + b"\x00")
    assert plain.finalize().hex() == vector["pseudonym"]
    assert vector["pseudonym"] in SPECIFICATION


@pytest.mark.parametrize(("version", "value"), VECTORS["key_check_values"].items())
def test_key_check_value_holds(version, value):
    assert Pseudonymiser(ROOT, VECTORS["register"], int(version)).key_check_value == value
    assert value in SPECIFICATION
